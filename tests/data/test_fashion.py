"""The search path, the verification and the download of Fashion-MNIST, with tiny files."""

import gzip
import hashlib
import struct

import pytest
import torch

from reviewlib.data import DataError
from reviewlib.data.fashion import files, full

FILES = files.FILES


@pytest.fixture
def tiny(tmp_path, monkeypatch, server):
    """Fashion-MNIST with 60 training and 2 test images, which are not on disk yet."""
    shapes = {file.name: (60 if file.shape[0] == 60_000 else 2, *file.shape[1:]) for file in FILES}
    idx_files, plain = [], {}
    for offset, (name, shape) in enumerate(shapes.items()):
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        count = torch.Size(shape).numel()
        plain[name] = header + bytes((i + offset) % 10 for i in range(count))
        sha256, md5 = hashlib.sha256(plain[name]), hashlib.md5(packed(plain[name]))
        idx_files.append(files.IdxFile(name, shape, sha256.hexdigest(), md5.hexdigest()))
    monkeypatch.setattr(full, "FILES", tuple(idx_files))
    monkeypatch.setattr(full, "SIZES", (20, 10, 30))
    monkeypatch.setattr(full, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(full, "URL", server.url)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REVIEWLIB_DATA", raising=False)
    return plain


def packed(content):
    return gzip.compress(content, mtime=0)


def write(folder, plain, pack=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plain.items():
        if pack:
            (folder / f"{name}.gz").write_bytes(packed(content))
        else:
            (folder / name).write_bytes(content)


def test_real_headers_are_those_of_idx_files():
    assert FILES[0].header.hex() == "00000803" + "0000ea60" + "0000001c" * 2
    assert (FILES[3].header.hex(), FILES[3].size) == ("00000801" + "00002710", 10_008)


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("below", ["", "fashion-mnist", "FashionMNIST/raw"])
def test_environment_variable_names_the_folder(tiny, tmp_path, monkeypatch, below, pack):
    write(tmp_path / "mine" / below, tiny, pack)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    splits, checksum, classes = full.read()
    assert [len(split) for split in splits] == [20, 10, 32]
    assert sorted(splits[1].labels.tolist()) == [*range(10)]
    assert splits[2].labels[:2].tolist() == [3, 4]
    assert splits[2].images.flatten()[:9].tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert checksum == hashlib.sha256(b"".join(tiny.values())).hexdigest()
    assert len(classes) == 10


def test_places_are_searched_in_order(tiny, tmp_path, monkeypatch):
    bad = dict.fromkeys(tiny, b"not an idx file")
    write(tmp_path / "debian", tiny)
    full.read()
    write(tmp_path / "debian", bad)
    write(tmp_path / "cache" / "reviewlib" / "fashion-mnist", tiny)
    full.read()
    write(tmp_path / "cache" / "reviewlib" / "fashion-mnist", bad)
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    full.read()


def test_the_error_for_missing_files_names_all_four_ways(tiny, server):
    with pytest.raises(DataError) as error:
        full.read()
    for way in ("REVIEWLIB_DATA", "cache", "apt install dataset-fashion-mnist", server.url, "404"):
        assert way in str(error.value)


def damaged(damage, content):
    """The bytes of a bad .gz file, and what the error says about it."""
    return {
        "truncated": (gzip.compress(content)[:-12], "cannot be read"),
        "garbage": (b"not gzip at all", "cannot be read"),
        "scrambled": (gzip.compress(content)[:10] + b"\xff" * 100, "cannot be read"),
        "short": (gzip.compress(content[:-1]), "must hold"),
        "longer": (gzip.compress(content + bytes(1_000)), "got more"),
        "magic": (gzip.compress(b"\1" + content[1:]), "must be an idx file"),
        "checksum": (gzip.compress(content[:-1] + b"\xff"), "SHA-256"),
    }[damage]


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    "damage", ["truncated", "garbage", "scrambled", "short", "longer", "magic", "checksum"]
)
def test_bad_file_is_named_and_not_skipped(tiny, tmp_path, monkeypatch, damage, name):
    write(tmp_path / "debian", tiny)  # a good copy in a later place must not be used
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    bad = tmp_path / "mine" / f"{name}.gz"
    content, message = damaged(damage, tiny[name])
    bad.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.gz.*{message}.*Replace or delete.*(1)"):
        full.read()


def test_no_more_than_needed_is_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    asked = []

    class Watched(gzip.GzipFile):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with pytest.raises(DataError, match="got more"):
        files.read(path, Watched, 10, "")
    assert asked == [11]


def test_bad_file_in_the_cache_is_an_error(tiny, tmp_path):
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    write(tmp_path / "debian", tiny)
    write(cache, tiny, pack=False)
    bad = cache / "t10k-images-idx3-ubyte"
    bad.write_bytes(bytes(bad.stat().st_size))
    with pytest.raises(DataError, match=f"{bad}.*Replace or delete this file"):
        full.read()


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_one_missing_file_is_named(tiny, tmp_path, monkeypatch, name):
    write(tmp_path / "debian", tiny)
    write(tmp_path / "mine", tiny)
    (tmp_path / "mine" / f"{name}.gz").unlink()
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataError, match=f"mine/{name}.* is missing"):
        full.read()


def test_empty_named_folder_is_an_error(tiny, tmp_path, monkeypatch):
    write(tmp_path / "debian", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="REVIEWLIB_DATA names .*nowhere.* holds none"):
        full.read()


@pytest.fixture
def online(tiny, server):
    """The server, with the four files."""
    server.files = {f"{name}.gz": packed(content) for name, content in tiny.items()}
    return server


def test_the_four_files_are_downloaded_once_into_the_cache(online, tmp_path):
    assert full.read()[0][2].labels[:2].tolist() == [3, 4]
    full.read()
    assert online.asked == list(online.files)
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    assert {path.name for path in cache.iterdir()} - {".lock"} == set(online.files)


def test_a_failed_download_continues_with_the_missing_files(online):
    missing = "t10k-images-idx3-ubyte.gz"
    content = online.files.pop(missing)
    with pytest.raises(DataError, match="download failed: 404"):
        full.read()
    online.files[missing] = content
    assert full.read()[0][2].labels[:2].tolist() == [3, 4]
    assert sorted(online.asked) == sorted([*online.files, missing])


def test_a_wrong_download_is_not_kept(online, tmp_path):
    online.files["t10k-labels-idx1-ubyte.gz"] = b"the log-in page of a proxy"
    with pytest.raises(DataError, match="download failed: MD5 hash of downloaded file"):
        full.read()
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    assert not (cache / "t10k-labels-idx1-ubyte.gz").exists()


def test_unwritable_cache_is_a_data_error(online, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(DataError, match="download failed"):
        full.read()
