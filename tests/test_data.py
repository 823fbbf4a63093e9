"""The data sets, their splits, where they are looked for, and the random streams."""

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
from reviewlib.fashion.__main__ import contents

FILES = data.FILES
FULL_CHECKSUM = "14410854cf7a289477dcfc7df3f8ec24741e281cdcc425ede0d9a748ca630214"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, labels=10):
    """A split whose image i is filled with i."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return data.Split(images.contiguous(), torch.arange(count) % labels)


def values(split):
    return split.images[:, 0, 0, 0].tolist()


@pytest.fixture(scope="module")
def small():
    return data.load("fashion-mnist-subset")


@pytest.fixture(scope="module")
def full():
    places = (data._cache(), data.DEBIAN_FOLDER)
    if not os.environ.get("REVIEWLIB_DATA") and not any(map(data._holds_any, places)):
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
    assert hashlib.sha256(decoded).hexdigest() == small.checksum == data.SUBSET_CHECKSUM
    assert data.SUBSET_FILE.stat().st_size <= 4_000_000


def test_subset_splits_share_no_image(small):
    splits = (small.development.train, small.development.validation, small.test)
    digests = [
        {hashlib.sha256(image.numpy().tobytes()).digest() for image in split.images}
        for split in splits
    ]
    assert len(set.union(*digests)) == sum(map(len, digests))


def test_subset_lies_within_the_full_splits(full, small):
    assert hashlib.sha256(contents(full)).hexdigest() == small.checksum


def test_full_set_has_the_fixed_splits(full):
    train, validation = full.development.train, full.development.validation
    assert (len(train), len(validation), len(full.test)) == (54_000, 6_000, 10_000)
    # Published first labels of the two files, and where the validation images begin.
    assert train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert full.test.labels[:5].tolist() == [9, 2, 1, 1, 6]
    folder = data._folder()
    images, labels = (data._read_idx(folder, file) for file in data.FILES[:2])
    assert validation.images.numpy().tobytes() == images[16 + 54_000 * 784 :]
    assert bytes(validation.labels.tolist()) == labels[8 + 54_000 :]
    assert full.checksum == FULL_CHECKSUM


def test_development_data_has_no_test_data(small):
    assert not hasattr(small.development, "test")


def test_load_reads_once(small):
    assert data.load("fashion-mnist-subset", torch.device("cpu")) is small


def test_load_moves_every_split_to_the_device(small):
    moved = data.load("fashion-mnist-subset", "meta")
    for split in (moved.development.train, moved.development.validation, moved.test):
        assert split.images.device.type == split.labels.device.type == "meta"
    assert (moved.name, moved.checksum) == (small.name, small.checksum)


def test_load_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="one of fashion-mnist, fashion-mnist-subset, got 'mnist'"):
        data.load("mnist")


@pytest.mark.parametrize("damage", ["truncated", "garbage", "other", "missing", "longer"])
def test_corrupt_shipped_file_is_detected(damage, tmp_path, monkeypatch):
    original = data.SUBSET_FILE.read_bytes()
    size = 8_000 * 785
    path = tmp_path / "subset.xz"
    if damage != "missing":
        path.write_bytes(
            {
                "truncated": original[:100_000],
                "garbage": b"garbage",
                "other": lzma.compress(bytes(size), preset=0),
                "longer": lzma.compress(bytes(2 * size), preset=0),
            }[damage]
        )
    monkeypatch.setattr(data, "SUBSET_FILE", path)
    with pytest.raises(data.DataError, match="subset.xz.*Reinstall reviewlib"):
        data._subset()


# Where the full set is looked for, with four tiny files in its place


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Fashion-MNIST with 6 training and 2 test images; nothing is found, nothing downloads."""
    shapes = {file.name: (6 if file.shape[0] == 60_000 else 2, *file.shape[1:]) for file in FILES}
    files, plain = [], {}
    for offset, (name, shape) in enumerate(shapes.items()):
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        count = torch.Size(shape).numel()
        plain[name] = header + bytes((i + offset) % 10 for i in range(count))
        files.append(data.IdxFile(name, shape, hashlib.sha256(plain[name]).hexdigest()))
    monkeypatch.setattr(data, "FILES", tuple(files))
    monkeypatch.setattr(data, "TRAIN", 4)
    monkeypatch.setattr(data, "DEBIAN_FOLDER", tmp_path / "debian")
    monkeypatch.setattr(data.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.delenv("REVIEWLIB_DATA", raising=False)
    monkeypatch.setattr(vision, "torchvision", no_torchvision)
    data._load.cache_clear()
    yield plain
    data._load.cache_clear()


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
    dataset = data.load("fashion-mnist")
    assert dataset.development.train.labels.tolist() == [1, 2, 3, 4]
    assert dataset.development.validation.labels.tolist() == [5, 6]
    assert dataset.test.labels.tolist() == [3, 4]
    assert dataset.test.images.flatten()[:9].tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert dataset.checksum == hashlib.sha256(b"".join(tiny.values())).hexdigest()


def test_places_are_searched_in_order(tiny, tmp_path, monkeypatch):
    with pytest.raises(data.DataError):
        data._folder()
    write(tmp_path / "debian", tiny)
    assert data._folder() == tmp_path / "debian"
    write(tmp_path / "cache" / "fashion-mnist", tiny)
    assert data._folder() == tmp_path / "cache" / "fashion-mnist"
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    assert data._folder() == tmp_path / "mine"


def test_missing_everywhere_names_all_four_ways(tiny):
    with pytest.raises(data.DataError) as error:
        data.load("fashion-mnist")
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
        "bomb": (gzip.compress(content + bytes(10_000_000)), "got more"),
        "magic": (gzip.compress(b"\1" + content[1:]), "must be an idx file"),
        "checksum": (gzip.compress(content[:-1] + b"\xff"), "SHA-256"),
    }[damage]


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    "damage", ["truncated", "garbage", "scrambled", "short", "bomb", "magic", "checksum"]
)
def test_bad_file_is_named_and_not_passed_over(tiny, tmp_path, monkeypatch, damage, name):
    write(tmp_path / "debian", tiny)  # a good copy in a later place must not be used
    write(tmp_path / "mine", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    bad = tmp_path / "mine" / f"{name}.gz"
    content, message = damaged(damage, tiny[name])
    bad.write_bytes(content)
    with pytest.raises(data.DataError, match=f"{name}.gz.*{message}.*Replace or delete.*(1)"):
        data.load("fashion-mnist")


def test_no_more_than_needed_is_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1000)))
    asked = []

    class Watched(gzip.GzipFile):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with pytest.raises(data.DataError, match="got more"):
        data._read(path, Watched, 10, "")
    assert asked == [11]


def test_bad_file_in_the_cache_is_an_error(tiny, tmp_path):
    cache = tmp_path / "cache" / "fashion-mnist"
    write(tmp_path / "debian", tiny)
    write(cache, tiny, packed=False)
    bad = cache / "t10k-images-idx3-ubyte"
    bad.write_bytes(bytes(bad.stat().st_size))
    with pytest.raises(data.DataError, match=f"{bad}.*Replace or delete this file"):
        data.load("fashion-mnist")


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_missing_one_of_four_is_named(tiny, tmp_path, monkeypatch, name):
    write(tmp_path / "debian", tiny)
    write(tmp_path / "mine", tiny)
    (tmp_path / "mine" / f"{name}.gz").unlink()
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "mine"))
    with pytest.raises(data.DataError, match=f"mine/{name}.* is missing"):
        data.load("fashion-mnist")


def test_empty_named_folder_is_an_error(tiny, tmp_path, monkeypatch):
    write(tmp_path / "debian", tiny)
    monkeypatch.setenv("REVIEWLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(data.DataError, match="REVIEWLIB_DATA names .*nowhere.* holds none"):
        data.load("fashion-mnist")


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
    cache = tmp_path / "cache" / "fashion-mnist"

    def download(raw):
        write(raw, tiny)
        assert not cache.exists()
        assert (tmp_path / "cache" / "fashion-mnist.lock").exists()

    roots = fake_download(monkeypatch, download)
    assert data.load("fashion-mnist").test.labels.tolist() == [3, 4]
    assert len(list(cache.iterdir())) == 4
    data._load.cache_clear()
    data.load("fashion-mnist")
    assert len(roots) == 1
    assert not roots[0].exists()


def test_interrupted_download_leaves_nothing(tiny, tmp_path, monkeypatch):
    def download(raw):
        write(raw, dict(list(tiny.items())[:2]))
        raise KeyboardInterrupt

    fake_download(monkeypatch, download)
    with pytest.raises(KeyboardInterrupt):
        data.load("fashion-mnist")
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("half", [True, False])
def test_bad_download_is_not_kept(tiny, tmp_path, monkeypatch, half):
    def download(raw):
        write(raw, dict(list(tiny.items())[:2]) if half else tiny)
        if not half:
            (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"a proxy's log-in page")

    fake_download(monkeypatch, download)
    with pytest.raises(data.DataError, match="download failed"):
        data.load("fashion-mnist")
    assert not (tmp_path / "cache" / "fashion-mnist").exists()


def test_second_process_uses_the_download_of_the_first(tiny, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "fashion-mnist"
    roots = fake_download(monkeypatch, lambda raw: write(raw, tiny))

    class Waited:
        """A lock during whose wait the other process finished."""

        def __init__(self, path):
            write(cache, tiny)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(data, "FileLock", Waited)
    assert data.load("fashion-mnist").test.labels.tolist() == [3, 4]
    assert roots == []


def test_unwritable_cache_is_a_data_error(tiny, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache should be")
    with pytest.raises(data.DataError, match="download failed"):
        data.load("fashion-mnist")


# Splits


def test_take_selects_images_with_their_labels():
    split = numbered(12)
    for index in ([11, 3], torch.tensor([11, 3])):
        taken = split.take(index)
        assert (values(taken), taken.labels.tolist()) == ([11, 3], [1, 3])
    assert values(split.take(split.labels == 1)) == [1, 11]
    taken.images.zero_()
    assert values(split)[11] == 11


def test_pixels_are_floats_from_0_to_1():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    pixels = data.Split(images, torch.zeros(1, dtype=torch.int64)).pixels()
    assert pixels.dtype == torch.float32
    assert pixels.flatten().tolist() == [0.0, pytest.approx(0.2), 1.0]
    assert images.flatten().tolist() == [0, 51, 255]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64), "images must be uint8"),
        (torch.zeros(2, 9, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), "images must"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2), "labels must be int64"),
        (
            torch.zeros(2, 1, 3, 3, dtype=torch.uint8),
            torch.zeros(3, dtype=torch.int64),
            r"labels must be int64 of shape \(2,\)",
        ),
    ],
)
def test_split_rejects_wrong_tensors(images, labels, message):
    with pytest.raises(ValueError, match=message):
        data.Split(images, labels)


def test_subset_draws_without_replacement():
    split = numbered(50)
    drawn = values(data.subset(split, 20, generator(1)))
    assert len(set(drawn)) == 20
    assert drawn == values(data.subset(split, 20, generator(1)))
    assert drawn != values(data.subset(split, 20, generator(2)))
    assert sorted(values(data.subset(split, 50, generator(1)))) == list(range(50))


@pytest.mark.parametrize("size", [51, -1])
def test_subset_rejects_a_bad_size(size):
    with pytest.raises(ValueError, match=f"size must be between 0 and 50, got {size}"):
        data.subset(numbered(50), size, generator())


@pytest.mark.parametrize("folds", [1, 3, 10, 53])
def test_folds_are_disjoint_and_of_equal_size(folds):
    split = numbered(53)
    parts = [values(data.fold(split, index, folds)) for index in range(folds)]
    assert {len(part) for part in parts} == {53 // folds}
    assert len({value for part in parts for value in part}) == folds * (53 // folds)


def test_folds_are_random_and_fixed():
    first = values(data.fold(numbered(53), 0, 10))
    assert first == [19, 6, 27, 20, 49]
    torch.manual_seed(5)
    assert first == values(data.fold(numbered(53), 0, 10))


@pytest.mark.parametrize(("index", "folds"), [(10, 10), (-1, 10), (0, 0), (0, 54)])
def test_fold_rejects_a_bad_index(index, folds):
    with pytest.raises(ValueError, match="must be between"):
        data.fold(numbered(53), index, folds)


# Label noise


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.333, 1.0])
def test_flipped_labels_are_exactly_as_many_and_all_wrong(fraction):
    labels = torch.arange(1000) % 10
    flipped = data.flip_labels(labels, fraction, 10, generator(3))
    assert int((flipped != labels).sum()) == round(fraction * 1000)
    assert 0 <= int(flipped.min()) and int(flipped.max()) <= 9
    assert torch.equal(labels, torch.arange(1000) % 10)
    assert torch.equal(flipped, data.flip_labels(labels, fraction, 10, generator(3)))


def test_flips_are_uniform_over_the_other_classes():
    labels = torch.full((30_000,), 2)
    counts = torch.bincount(data.flip_labels(labels, 1.0, 4, generator()), minlength=4)
    assert counts[2] == 0
    # 10,000 expected of each; 5 standard deviations are 408.
    assert (counts[[0, 1, 3]] - 10_000).abs().max() < 408


def test_flips_depend_on_the_generator():
    labels = torch.arange(1000) % 10
    flips = [data.flip_labels(labels, 0.2, 10, generator(seed)) for seed in (0, 1)]
    assert not torch.equal(*flips)


def test_flips_of_a_smaller_fraction_are_among_those_of_a_larger():
    labels = torch.arange(1000) % 10
    first, second = generator(), generator()
    for _ in ("training", "validation"):  # from one generator, one after the other
        few = data.flip_labels(labels, 0.1, 10, first)
        many = data.flip_labels(labels, 0.4, 10, second)
        changed = few != labels
        assert torch.equal(few[changed], many[changed])


@pytest.mark.parametrize(
    ("fraction", "classes", "message"),
    [
        (1.1, 10, "fraction must be in"),
        (-0.1, 10, "fraction must be in"),
        (float("nan"), 10, "fraction must be in"),
        (0.1, 1, "at least 2 classes"),
        (0.1, 9, r"labels must be in \[0, 9\), got 0 to 9"),
    ],
)
def test_flip_labels_rejects_bad_arguments(fraction, classes, message):
    with pytest.raises(ValueError, match=message):
        data.flip_labels(torch.arange(10), fraction, classes, generator())


# Random streams


def test_stream_seeds_are_pinned():
    assert [data.stream_seed(0, name) for name in data.STREAMS] == [
        791345853915685207,
        6004962786717105893,
        7885824881599989479,
        2774440215086976078,
        3547852110482792779,
    ]
    first = torch.rand(2, generator=data.stream(0, "subset"))
    assert first.tolist() == pytest.approx([0.2377, 0.2716], abs=5e-5)


def test_streams_differ_by_name_and_by_seed():
    seeds = [data.stream_seed(seed, name) for seed in range(100) for name in data.STREAMS]
    assert len(set(seeds)) == 500
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = {
        torch.rand(1, generator=data.stream(seed, name)).item()
        for seed in (0, 1)
        for name in data.STREAMS
    }
    assert len(draws) == 10


def test_stream_rejects_an_unknown_name():
    with pytest.raises(ValueError, match="subset, noise, init, order, method, got 'dropout'"):
        data.stream(0, "dropout")


def test_stream_rejects_a_seed_that_is_no_integer():
    with pytest.raises(TypeError):
        data.stream_seed(0.0, "init")
