"""Fashion-MNIST's files: where they are looked for, what is verified, and the shipped subset."""

import gzip
import hashlib
import lzma
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from reviewlib import data, vision
from reviewlib.data.fashion import files
from reviewlib.data.fashion.__main__ import contents

FILES = files.FILES
FULL_CHECKSUM = "14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214"


@pytest.fixture(scope="module")
def small():
    return data.load("fashion-mnist-subset")


@pytest.fixture(scope="module")
def full():
    places = (files._cache(), files.DEBIAN_FOLDER)
    if not os.environ.get("REVIEWLIB_DATA") and not any(map(files._holds_any, places)):
        pytest.skip("Fashion-MNIST is not on this machine, and tests download nothing")
    return data.load("fashion-mnist")


# The shipped subset and the full set


def test_subset_is_balanced_and_of_the_stated_sizes(small):
    splits = (small.development.train, small.development.validation, small.test)
    assert tuple(len(split) for split in splits) == (4_000, 1_000, 3_000)
    for split in splits:
        assert split.images.shape[1:] == (1, 28, 28)
        assert torch.bincount(split.labels).tolist() == [len(split) // 10] * 10
    parts = [split.images for split in splits] + [split.labels.to(torch.uint8) for split in splits]
    decoded = b"".join(part.numpy().tobytes() for part in parts)
    assert hashlib.sha256(decoded).hexdigest() == small.checksum == files.SUBSET_CHECKSUM
    assert files.SUBSET_FILE.stat().st_size <= 4_000_000


def test_subset_splits_share_no_image(small):
    splits = (small.development.train, small.development.validation, small.test)
    images = [{image.tobytes() for image in split.images.numpy()} for split in splits]
    assert len(set.union(*images)) == sum(map(len, images))


def test_subset_lies_within_the_full_splits(full, small):
    assert hashlib.sha256(contents(full)).hexdigest() == small.checksum


def test_full_set_has_the_fixed_splits(full):
    train, validation = full.development.train, full.development.validation
    assert (len(train), len(validation), len(full.test)) == (54_000, 6_000, 10_000)
    # Published first labels of the two files.
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert full.test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    assert full.checksum == FULL_CHECKSUM
    # Put together again, the splits are the published files.
    in_files = ((train, validation), (train, validation), (full.test,), (full.test,))
    for file, splits in zip(FILES, in_files, strict=True):
        digest = hashlib.sha256(file.header)
        for split in splits:
            values = split.images if len(file.shape) == 3 else split.labels.to(torch.uint8)
            digest.update(values.numpy())
        assert digest.hexdigest() == file.sha256


@pytest.mark.parametrize("damage", ["truncated", "garbage", "other", "missing", "longer"])
def test_corrupt_shipped_file_is_detected(damage, tmp_path, monkeypatch):
    size = 8 * 785
    path = tmp_path / "subset.xz"
    if damage != "missing":
        path.write_bytes(
            {
                "truncated": lzma.compress(bytes(size), preset=0)[:-20],
                "garbage": b"garbage",
                "other": lzma.compress(bytes(size), preset=0),
                "longer": lzma.compress(bytes(2 * size), preset=0),
            }[damage]
        )
    monkeypatch.setattr(files, "SUBSET_FILE", path)
    monkeypatch.setattr(files, "SUBSET_SIZES", (4, 1, 3))
    with pytest.raises(files.DataError, match="subset.xz.*Reinstall reviewlib"):
        files.subset()


# Where the full set is looked for, with four tiny files in its place


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Fashion-MNIST with 6 training and 2 test images; nothing is found, nothing downloads."""
    shapes = {file.name: (6 if file.shape[0] == 60_000 else 2, *file.shape[1:]) for file in FILES}
    idx_files, plain = [], {}
    for offset, (name, shape) in enumerate(shapes.items()):
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        count = torch.Size(shape).numel()
        plain[name] = header + bytes((i + offset) % 10 for i in range(count))
        idx_files.append(files.IdxFile(name, shape, hashlib.sha256(plain[name]).hexdigest()))
    monkeypatch.setattr(files, "FILES", tuple(idx_files))
    monkeypatch.setattr(files, "TRAIN", 4)
    monkeypatch.setattr(files, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REVIEWLIB_DATA", raising=False)
    monkeypatch.setattr(vision, "torchvision", no_torchvision)
    return plain


def no_torchvision():
    raise ImportError("torchvision must be installed")


def write(folder, plain, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plain.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def test_real_headers_are_those_of_idx_files():
    assert FILES[0].header.hex() == "00000803" + "0000ea60" + "0000001c" * 2
    assert (FILES[3].header.hex(), FILES[3].size) == ("00000801" + "00002710", 10_008)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["", "fashion-mnist", "FashionMNIST/raw"])
def test_environment_variable_names_the_folder(tiny, tmp_path, monkeypatch, below, packed):
    write(tmp_path / "mine" / below, tiny, packed)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    splits, checksum = files.full()
    assert [labels.tolist() for _, labels in splits] == [[1, 2, 3, 4], [5, 6], [3, 4]]
    assert [len(images) for images, _ in splits] == [4, 2, 2]
    assert splits[2][0].flatten()[:9].tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert checksum == hashlib.sha256(b"".join(tiny.values())).hexdigest()


def test_places_are_searched_in_order(tiny, tmp_path, monkeypatch):
    with pytest.raises(files.DataError):
        files._folder()
    write(tmp_path / "debian", tiny)
    assert files._folder() == tmp_path / "debian"
    write(tmp_path / "cache" / "reviewlib" / "fashion-mnist", tiny)
    assert files._folder() == tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    assert files._folder() == tmp_path / "mine"


def test_missing_everywhere_names_all_four_ways(tiny):
    with pytest.raises(files.DataError) as error:
        files.full()
    for way in ("REVIEWLIB_DATA", "cache", "apt install dataset-fashion-mnist", "pip install"):
        assert way in str(error.value)
    assert "torchvision must be installed" in str(error.value)


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
def test_bad_file_is_named_and_not_passed_over(tiny, tmp_path, monkeypatch, damage, name):
    write(tmp_path / "debian", tiny)  # a good copy in a later place must not be used
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    bad = tmp_path / "mine" / f"{name}.gz"
    content, message = damaged(damage, tiny[name])
    bad.write_bytes(content)
    with pytest.raises(files.DataError, match=f"{name}.gz.*{message}.*Replace or delete.*(1)"):
        files.full()


def test_no_more_than_needed_is_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    asked = []

    class Watched(gzip.GzipFile):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with pytest.raises(files.DataError, match="got more"):
        files._read(path, Watched, 10, "")
    assert asked == [11]


def test_bad_file_in_the_cache_is_an_error(tiny, tmp_path):
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    write(tmp_path / "debian", tiny)
    write(cache, tiny, packed=False)
    bad = cache / "t10k-images-idx3-ubyte"
    bad.write_bytes(bytes(bad.stat().st_size))
    with pytest.raises(files.DataError, match=f"{bad}.*Replace or delete this file"):
        files.full()


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_missing_one_of_four_is_named(tiny, tmp_path, monkeypatch, name):
    write(tmp_path / "debian", tiny)
    write(tmp_path / "mine", tiny)
    (tmp_path / "mine" / f"{name}.gz").unlink()
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    with pytest.raises(files.DataError, match=f"mine/{name}.* is missing"):
        files.full()


def test_empty_named_folder_is_an_error(tiny, tmp_path, monkeypatch):
    write(tmp_path / "debian", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(files.DataError, match="REVIEWLIB_DATA names .*nowhere.* holds none"):
        files.full()


def fake_download(monkeypatch, write_files):
    """Let torchvision's download fill its raw folder so; returns the roots that it was given."""
    roots = []

    def fashion_mnist(root, download):
        assert download
        roots.append(Path(root))
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        write_files(raw)

    module = SimpleNamespace(datasets=SimpleNamespace(FashionMNIST=fashion_mnist))
    monkeypatch.setattr(vision, "torchvision", lambda: module)
    return roots


def test_download_goes_to_the_cache_at_once(tiny, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"

    def download(raw):
        write(raw, tiny)
        assert not cache.exists()
        assert (tmp_path / "cache" / "reviewlib" / "fashion-mnist.lock").exists()

    roots = fake_download(monkeypatch, download)
    assert files.full()[0][2][1].tolist() == [3, 4]
    assert len(list(cache.iterdir())) == 4
    files.full()
    assert len(roots) == 1
    assert not roots[0].exists()


def test_interrupted_download_leaves_nothing(tiny, tmp_path, monkeypatch):
    def download(raw):
        write(raw, dict(list(tiny.items())[:2]))
        raise KeyboardInterrupt

    fake_download(monkeypatch, download)
    with pytest.raises(KeyboardInterrupt):
        files.full()
    assert [path for path in (tmp_path / "cache" / "reviewlib").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("half", [True, False])
def test_bad_download_is_not_kept(tiny, tmp_path, monkeypatch, half):
    def download(raw):
        write(raw, dict(list(tiny.items())[:2]) if half else tiny)
        if not half:
            (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"a proxy's log-in page")

    fake_download(monkeypatch, download)
    with pytest.raises(files.DataError, match="download failed"):
        files.full()
    assert not (tmp_path / "cache" / "reviewlib" / "fashion-mnist").exists()


def test_second_process_uses_the_download_of_the_first(tiny, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "reviewlib" / "fashion-mnist"
    roots = fake_download(monkeypatch, lambda raw: write(raw, tiny))

    class Waited:
        """A lock during whose wait the other process finished."""

        def __init__(self, path):
            write(cache, tiny)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(files, "FileLock", Waited)
    assert files.full()[0][2][1].tolist() == [3, 4]
    assert roots == []


def test_unwritable_cache_is_a_data_error(tiny, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(files.DataError, match="download failed"):
        files.full()
