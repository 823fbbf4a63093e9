"""Atomic, verified downloads into a folder, by pooch."""

import warnings
from pathlib import Path

from filelock import FileLock


def fetch(url: str, known_hash: str, folder: Path) -> None:
    """Download a file into a folder, unless it is already there; other processes wait meanwhile.

    The file appears after its hash has been verified. A failed download leaves no file.

    Args:
        url: address of the file; its last part is the name in the folder.
        known_hash: "sha256:..." or "md5:...".
        folder: created if needed.

    Raises:
        OSError: the folder cannot be written, or the server does not send the file.
        ValueError: the hash differs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm warns in a notebook without widgets
        import pooch

    name = url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # pooch would download once per process
        if not (folder / name).exists():
            # A stream would leave the connection open when the server refuses.
            downloader = pooch.HTTPDownloader(stream=False)
            pooch.retrieve(url, known_hash, name, folder, downloader=downloader)
