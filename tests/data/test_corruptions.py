import io

import numpy as np
import pytest
import torch
from PIL import Image

from reviewlib import data
from reviewlib.data.corruptions import CIFAR_C, MNIST_C, SEVERITIES, benchmark, corrupt, severity_of

EVERY = (*CIFAR_C, *MNIST_C)
IMAGES = data.load("fashion-mnist-subset").development.train.images[:300]
# as color images of CIFAR's size: three garments, one a channel, in a black frame
COLOR = torch.nn.functional.pad(IMAGES.view(100, 3, 28, 28), (2, 2, 2, 2))


def made(images, name, severity, seed=0):
    return corrupt(images, name, severity, torch.Generator().manual_seed(seed))


def distortion(images, name, severity):
    return (made(images, name, severity).float() - images.float()).abs().mean().item()


def test_there_are_the_fifteen_of_cifar_c_and_four_that_are_far():
    assert len(CIFAR_C) == 15 and MNIST_C == ("stripe", "dotted_line", "zigzag", "inverse")
    assert not set(CIFAR_C) & set(MNIST_C)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("images", [IMAGES, COLOR], ids=["gray", "color"])
def test_a_higher_severity_distorts_more(images, name):
    amounts = [distortion(images, name, severity) for severity in SEVERITIES]
    assert amounts == sorted(amounts) and amounts[0] > 0
    assert amounts[-1] > 1.15 * amounts[0]


@pytest.mark.parametrize("name", EVERY)
def test_images_keep_their_form_and_the_same_seed_gives_the_same(name):
    for images in (IMAGES[:20], COLOR[:20], IMAGES[:3, :, :14, :14]):
        before = images.clone()
        changed = made(images, name, 3)
        assert changed.shape == images.shape and changed.dtype == torch.uint8
        assert torch.equal(changed, made(images, name, 3))
        assert torch.equal(images, before)
        assert made(images[:0], name, 3).shape == images[:0].shape


RANDOM = set(EVERY) - {
    *("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"),
    "stripe",
}


@pytest.mark.parametrize("name", EVERY)
def test_another_seed_gives_another_corruption_of_every_image_unless_nothing_is_random(name):
    one, other = (made(IMAGES[:20], name, 4, seed) for seed in (1, 2))
    same = [torch.equal(a, b) for a, b in zip(one, other, strict=True)]
    if name in RANDOM:
        assert sum(same) < 10  # a band of rows may fall on the same place by chance
    else:
        assert all(same)


@pytest.mark.parametrize("name", EVERY)
def test_images_do_not_depend_on_the_default_type(name):
    expected = made(IMAGES[:20], name, 3)
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(made(IMAGES[:20], name, 3), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_pixelate_is_pillows_box_filter():
    for severity, scale in zip(SEVERITIES, (0.95, 0.9, 0.85, 0.75, 0.65), strict=True):
        small = int(28 * scale)
        for image, ours in zip(
            IMAGES[:20, 0], made(IMAGES[:20], "pixelate", severity), strict=True
        ):
            pillow = Image.fromarray(image.numpy()).resize((small, small), Image.BOX)
            theirs = torch.from_numpy(np.array(pillow.resize((28, 28), Image.BOX)))
            assert (ours[0].int() - theirs.int()).abs().max() <= 1


@pytest.mark.parametrize(("images", "most"), [(IMAGES[:50], 0.01), (COLOR[:50], 0.5)])
def test_jpeg_is_near_pillows(images, most):
    for severity, quality in zip(SEVERITIES, (80, 65, 58, 50, 40), strict=True):
        file, ours = io.BytesIO(), made(images, "jpeg_compression", severity)
        theirs = torch.empty_like(images)
        for index, image in enumerate(images):
            file = io.BytesIO()
            array = image.permute(1, 2, 0).squeeze(-1).contiguous().numpy()
            Image.fromarray(array).save(file, "JPEG", quality=quality)
            opened = torch.from_numpy(np.array(Image.open(file)))
            theirs[index] = opened.view(*opened.shape[:2], -1).permute(2, 0, 1)
        away = (ours.float() - theirs.float()).abs().mean()
        lost = (theirs.float() - images.float()).abs().mean()
        assert away < 0.6 * lost, "nearer to Pillow's file than that is to the image"
        assert away / 255 < most


def test_noise_has_its_standard_deviation_and_impulses_their_share():
    gray = torch.full((50, 1, 28, 28), 128, dtype=torch.uint8)
    noise = made(gray, "gaussian_noise", 5).float() / 255
    assert noise.std().item() == pytest.approx(0.10, rel=0.02)
    assert noise.mean().item() == pytest.approx(128 / 255, abs=0.003)
    shot = made(gray, "shot_noise", 5).float() / 255
    assert shot.std().item() == pytest.approx((128 / 255 / 50) ** 0.5, rel=0.03)
    impulses = made(gray, "impulse_noise", 5)
    assert (impulses != 128).float().mean().item() == pytest.approx(0.07, rel=0.06)
    assert set(impulses.unique().tolist()) == {0, 128, 255}


@pytest.mark.parametrize("name", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur"])
def test_a_blur_keeps_a_uniform_image(name):
    gray = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    for severity in SEVERITIES:
        assert (made(gray, name, severity).int() - 100).abs().max() <= 1


def test_brightness_keeps_hue_and_saturation():
    red = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 28, 28)
    lighter = made(red, "brightness", 1)[0, :, 0, 0].float()
    assert lighter[0].item() == round(200 + 0.05 * 255)
    assert torch.allclose(lighter / lighter[0], torch.tensor([1, 0.5, 0.25]), atol=0.01)


def test_contrast_shrinks_the_distance_from_the_mean():
    image = torch.tensor([50, 150], dtype=torch.uint8).repeat(14 * 28).view(1, 1, 28, 28)
    assert made(image, "contrast", 5).unique().tolist() == [92, 107]  # 100 -+ 0.15 * 50, rounded


def test_a_stripe_and_a_band_are_inverted_at_their_places():
    black = torch.zeros(9, 1, 28, 28, dtype=torch.uint8)
    stripes = made(black, "stripe", 5)[0, 0, 0]
    assert stripes.tolist() == [255] * 7 + [0] * 14 + [255] * 7
    for severity in SEVERITIES:
        rows = (made(black, "inverse", severity)[:, 0] == 255).all(-1).sum(1)
        assert (rows == round(0.2 * severity * 28)).all()
    assert torch.equal(made(IMAGES, "inverse", 5), 255 - IMAGES)


def test_the_benchmark_gives_each_image_one_severity_in_turn():
    for name in ("brightness", "contrast", "pixelate"):  # without chance
        severities = severity_of(len(IMAGES), name)
        changed = benchmark(IMAGES, name)
        for severity in SEVERITIES:
            mine = severities == severity
            assert mine.sum() == len(IMAGES) // 5
            assert torch.equal(changed[mine], made(IMAGES[mine], name, severity))


def test_the_benchmark_depends_on_the_images_and_on_nothing_else():
    torch.manual_seed(1)
    first = benchmark(IMAGES[:50], "gaussian_noise")
    torch.manual_seed(2)
    assert torch.equal(benchmark(IMAGES[:50], "gaussian_noise"), first)
    moved = IMAGES[:50].clone()
    moved[49] = 255 - moved[49]
    others = benchmark(moved, "gaussian_noise")
    assert not torch.equal(others[:49], first[:49])


@pytest.mark.parametrize(
    ("images", "name", "severity", "message"),
    [
        (IMAGES, "rain", 1, "a corruption is one of gaussian_noise, .*, got 'rain'"),
        (IMAGES, "fog", 0, r"severity must be one of \(1, 2, 3, 4, 5\), got 0"),
        (IMAGES, "fog", 6, "got 6"),
        (IMAGES.float(), "fog", 1, "uint8 .* got torch.float32"),
        (IMAGES[0], "fog", 1, r"shape \(1, 28, 28\)"),
        (IMAGES[:, [0, 0]], "fog", 1, "1 or 3 channels"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(images, name, severity, message):
    with pytest.raises(ValueError, match=message):
        corrupt(images, name, severity, torch.Generator())
