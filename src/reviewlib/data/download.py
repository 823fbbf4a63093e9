"""Downloads into a folder, by pooch: whole and verified, or not at all."""

import warnings
from pathlib import Path

from filelock import FileLock


def fetch(url: str, known_hash: str, folder: Path) -> None:
    """Download a file under its own name, unless it is there; processes wait for one another.

    The file appears when it is whole and its hash is right. A failed download leaves nothing.

    Args:
        url: of the file.
        known_hash: "sha256:..." or "md5:...".
        folder: made if need be.

    Raises:
        OSError: the folder cannot be written, or the server does not send the file.
        ValueError: the hash differs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tqdm, in a notebook without widgets
        import pooch

    name = url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # pooch would download once per process
        if not (folder / name).exists():
            # A stream would leave the connection open when the server refuses.
            whole = pooch.HTTPDownloader(stream=False)
            pooch.retrieve(url, known_hash, name, folder, downloader=whole)
