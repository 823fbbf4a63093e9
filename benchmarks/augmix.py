"""Times AugMix against torchvision's, and against a pipeline of Pillow calls an image.

Everything runs in one process on one thread, in interleaved rounds, on the same images; a time is
the minimum over the rounds of this process's CPU time. Every contestant draws its own chains for
each image: torchvision's is called once an image, because one call shares them over a batch. Times
the corruptions too, and measures peak memory. Exits with 1 if a figure is out of its bounds.

    python benchmarks/augmix.py
"""

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from types import ModuleType

import numpy as np
import torch
from PIL import Image, ImageOps

from reviewlib import data
from reviewlib.data.corruptions import CIFAR_C, SEVERITIES, corrupt
from reviewlib.papers.augmix import AugMix

SIZE, PEERS = 28, 64  # pixels; images a round of the slow contestants
BATCHES = (64, 256, 1024)
TIMES_TORCHVISION, TIMES_PILLOW = 8, 3  # least, at the largest batch
CORRUPTION_SECONDS, CORRUPTED = 5, 1000
MOST_MEMORY = 12  # times the batch
PIECE, LARGE = 512, 224  # images that are augmented at a time, pixels, so that it can be measured
DRAW = np.random.default_rng(0)


def imported(name: str) -> ModuleType:
    """Import torchvision, or what imports it, without its compiled operators.

    Those of a torchvision for another torch may be missing.
    """
    try:
        return importlib.import_module(name)
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module(name)


def torchvision_augmix() -> Callable[[torch.Tensor], torch.Tensor]:
    """Return torchvision's AugMix with the paper's operations."""
    v2 = imported("torchvision.transforms.v2")
    return v2.AugMix(severity=3, all_ops=False)


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR)


def signed(value: float) -> float:
    return value if DRAW.random() < 0.5 else -value


# the paper's operations at a level of 10
PILLOW = (
    lambda x, level: ImageOps.autocontrast(x),
    lambda x, level: ImageOps.equalize(x),
    lambda x, level: ImageOps.posterize(x, 4 - int(level * 4 / 10)),
    lambda x, level: x.rotate(signed(int(level * 30 / 10)), resample=Image.BILINEAR),
    lambda x, level: ImageOps.solarize(x, 256 - int(level * 256 / 10)),
    lambda x, level: affine(x, 1, signed(level * 0.3 / 10), 0, 0, 1, 0),
    lambda x, level: affine(x, 1, 0, 0, signed(level * 0.3 / 10), 1, 0),
    lambda x, level: affine(x, 1, 0, signed(int(level * SIZE / 30)), 0, 1, 0),
    lambda x, level: affine(x, 1, 0, 0, 0, 1, signed(int(level * SIZE / 30))),
)


def pillow_augmix(array: np.ndarray, severity: float = 3.0) -> np.ndarray:
    """Return an image (H, W) augmented as in the paper."""
    weights, m = np.float32(DRAW.dirichlet([1.0] * 3)), np.float32(DRAW.beta(1.0, 1.0))
    image, mix = Image.fromarray(array), np.zeros(array.shape, np.float32)
    for weight in weights:
        chain = image
        for _ in range(DRAW.integers(1, 4)):
            chain = PILLOW[DRAW.integers(len(PILLOW))](chain, DRAW.uniform(0.1, severity))
        mix += weight * np.asarray(chain, np.float32)
    return (1 - m) * array.astype(np.float32) + m * mix


def seconds(step: Callable[[], object]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def speeds(images: torch.Tensor, rounds: int) -> dict[str, float]:
    """Return each contestant's images a second: of the fastest of interleaved rounds."""
    theirs, few = torchvision_augmix(), images[:PEERS]
    arrays = [image.numpy() for image in few[:, 0]]
    contestants = {
        f"ours, batches of {batch}": (lambda batch=batch: AugMix(3.0)(images[:batch]), batch)
        for batch in BATCHES
    }
    contestants["torchvision, an image"] = (lambda: [theirs(image) for image in few], PEERS)
    contestants["Pillow, an image"] = (lambda: [pillow_augmix(array) for array in arrays], PEERS)
    best = dict.fromkeys(contestants, 0.0)
    for step, _ in contestants.values():
        step()  # warm-up
    for _ in range(rounds):
        for name, (step, count) in contestants.items():
            best[name] = max(best[name], count / seconds(step))
    return best


def all_corruptions(images: torch.Tensor) -> None:
    for name in CIFAR_C:
        for severity in SEVERITIES:
            corrupt(images, name, severity, torch.Generator().manual_seed(0))


def memory() -> float:
    """Return the peak memory of augmenting a batch over the batch, in a fresh process.

    Of a larger batch than a piece the share is smaller.
    """
    code = (
        "import resource, torch; torch.set_num_threads(1)\n"
        "from reviewlib.papers.augmix import AugMix\n"
        f"x = torch.rand({PIECE}, 1, {LARGE}, {LARGE}); AugMix(3.0)(x[:4])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); AugMix(3.0)(x); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return int(done.stdout) * unit / (PIECE * LARGE * LARGE * 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    train = data.load("fashion-mnist-subset").development.train.images
    images = train[: max(BATCHES)]
    best = speeds(images, rounds)
    for name, speed in best.items():
        print(f"{name:<26}{speed:>9,.0f} images a second")
    ours = best[f"ours, batches of {max(BATCHES)}"]
    corrupting = min(seconds(lambda: all_corruptions(train[:CORRUPTED])) for _ in range(3))
    figures = (
        ("ours / torchvision", ours / best["torchvision, an image"], ">=", TIMES_TORCHVISION),
        ("ours / Pillow", ours / best["Pillow, an image"], ">=", TIMES_PILLOW),
        (f"75 corruptions of {CORRUPTED:,}, s", corrupting, "<=", CORRUPTION_SECONDS),
        ("peak memory / batch", memory(), "<=", MOST_MEMORY),
    )
    too_bad = False
    for name, value, sign, bound in figures:
        good = value >= bound if sign == ">=" else value <= bound
        too_bad |= not good
        verdict = f"within {sign} {bound}" if good else f"OUT OF BOUNDS: {sign} {bound}"
        print(f"{name:<30}{value:>8.2f}  {verdict}")
    return int(too_bad)


if __name__ == "__main__":
    sys.exit(main())
