"""Atomic, verified downloads, from a server on this machine."""

import hashlib
import signal
import threading
import time

import pytest

from reviewlib.data.download import fetch

CONTENT = bytes(range(256)) * 4000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def images(server):
    """The server, with one file."""
    server.files["images.gz"] = CONTENT
    return server


def names(folder):
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_a_file_appears_only_when_complete(images, tmp_path):
    folder, half = tmp_path / "cache" / "new", []
    images.halfway = lambda: half.append((folder / "images.gz").exists())
    fetch(f"{images.url}/images.gz", SHA256, folder)
    assert half == [False]
    assert names(folder) == {"images.gz"}
    assert (folder / "images.gz").read_bytes() == CONTENT


def test_a_file_that_is_there_is_neither_downloaded_nor_replaced(images, tmp_path):
    (tmp_path / "images.gz").write_bytes(b"mine")
    fetch(f"{images.url}/images.gz", SHA256, tmp_path)
    assert (tmp_path / "images.gz").read_bytes() == b"mine"
    assert images.asked == []


def test_a_file_with_another_hash_is_refused(images, tmp_path):
    images.files["images.gz"] = b"the log-in page of a proxy"
    with pytest.raises(ValueError, match="hash of downloaded file.*does not match"):
        fetch(f"{images.url}/images.gz", SHA256, tmp_path)
    assert names(tmp_path) == set()


def test_a_broken_connection_leaves_nothing(images, tmp_path):
    images.halfway = lambda: "hang up"
    with pytest.raises(OSError):
        fetch(f"{images.url}/images.gz", SHA256, tmp_path)
    assert names(tmp_path) == set()


def test_an_interrupted_download_leaves_nothing(images, tmp_path):
    stopped = threading.Event()

    def interrupt():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        stopped.wait(20)
        return "hang up"

    images.halfway = interrupt
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{images.url}/images.gz", SHA256, tmp_path)
    stopped.set()
    assert names(tmp_path) == set()


def test_a_file_that_the_server_lacks_is_an_error(images, tmp_path):
    with pytest.raises(OSError, match="404"):
        fetch(f"{images.url}/labels.gz", SHA256, tmp_path)
    assert names(tmp_path) == set()


def test_a_second_caller_uses_the_download_of_the_first(images, tmp_path):
    images.halfway = lambda: time.sleep(0.3)
    ask = [
        threading.Thread(target=fetch, args=(f"{images.url}/images.gz", SHA256, tmp_path))
        for _ in range(2)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert images.asked == ["images.gz"]
    assert (tmp_path / "images.gz").read_bytes() == CONTENT
