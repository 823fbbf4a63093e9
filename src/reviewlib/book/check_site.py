"""Check a built site: every link works, every image has alt text, nothing loads from another host.

Sphinx checks only the references that it makes itself.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Relations that only name an address; a browser loads every other kind of <link>.
NAMED_ONLY = {"canonical", "author", "next", "prev", "search", "index", "alternate"}
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src"}
LOADED |= {"audio": "src", "embed": "src", "object": "data"}


class _Page(HTMLParser):
    """The anchors of a page, what it links to, what it loads, and its images without alt text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.bare_images: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names, links to or loads."""
        given = {key: value or "" for key, value in attrs}
        if "id" in given:
            self.anchors.add(given["id"])
        if tag == "a" and "name" in given:
            self.anchors.add(given["name"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and not NAMED_ONLY & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if given.get(LOADED.get(tag, "")):
            self.loads.append(given[LOADED[tag]])
        if tag == "img" and not given.get("alt", "").strip():
            self.bare_images.append(given.get("src", ""))


def problems(site: Path) -> list[str]:
    """Return one line for every problem of the pages under a folder."""
    site = Path(site).resolve()
    files = [p for p in sorted(site.rglob("*.html")) if "_static" not in p.relative_to(site).parts]
    pages = {path: _Page(path.read_text(encoding="utf8")) for path in files}
    if not pages:
        return [f"{site.name}: there is no page"]
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name}: image {src} has no alt text" for src in page.bare_images]
        for url in page.loads:
            if urlsplit(url).netloc:
                found.append(f"{name}: loads {url} from another host")
        for url in sorted({*page.links, *page.loads}):
            if problem := _broken(url, path, pages, site):
                found.append(f"{name}: {problem}")
    return found


def _broken(url: str, path: Path, pages: dict[Path, _Page], site: Path) -> str | None:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    # On GitHub Pages the root of the host is not the root of the site.
    if parts.path.startswith("/"):
        return f"{url} starts at the root of the host"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site) or not target.exists():
        return f"{url} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and anchor != "top" and target in pages and anchor not in pages[target].anchors:
        return f"{url} names an anchor that the page does not have"
    return None
