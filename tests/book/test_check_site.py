import pytest

from reviewlib.book import check_site


@pytest.fixture
def site(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a b.css").write_text("")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="_static/a%20b.css"><h1 id="here">x</h1>'
        '<link rel="canonical" href="https://example.org/"><a href="https://example.org/">out</a>'
        '<a href="book/page.html#part">in</a><a href="#here">up</a><a href="book/">folder</a>'
        '<a href="mailto:a@example.org">mail</a><img src="data:image/png;base64,AA" alt="dot">'
    )
    (tmp_path / "book" / "index.html").write_text("")
    (tmp_path / "book" / "page.html").write_text(
        '<p id="part"></p><a href="../index.html?q=1">x</a>'
    )
    return tmp_path


def test_a_sound_site_has_no_problems(site):
    assert check_site.problems(site) == []


@pytest.mark.parametrize(
    ("html", "message"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="page.html#gone">x</a>', "page.html#gone names an anchor"),
        ('<a href="#gone">x</a>', "#gone names an anchor"),
        ('<a href="/index.html">x</a>', "starts at the root"),
        ('<a href="../../outside.html">x</a>', "leads nowhere"),
        ('<img src="../_static/a%20b.css">', "has no alt text"),
        ('<img src="gone.png" alt="x">', "gone.png leads nowhere"),
        ('<script src="gone.js"></script>', "gone.js leads nowhere"),
        ('<script src="https://cdn.example.org/x.js"></script>', "from another host"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "from another host"),
        ('<iframe src="https://example.org/"></iframe>', "from another host"),
        ('<object data="https://example.org/x.svg"></object>', "from another host"),
    ],
)
def test_each_kind_of_problem_is_found(site, html, message):
    (site / "book" / "bad.html").write_text(html)
    (site.parent / "outside.html").write_text("")
    (problem,) = check_site.problems(site)
    assert problem.startswith("book/bad.html: ")
    assert message in problem


def test_an_empty_folder_is_a_problem(tmp_path):
    assert check_site.problems(tmp_path)


def test_pages_of_static_packages_are_not_ours(site):
    (site / "_static" / "demo.html").write_text('<a href="gone.html">x</a>')
    assert check_site.problems(site) == []
