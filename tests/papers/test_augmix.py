import math
from functools import partial

import numpy as np
import pytest
import torch
import vision
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional as F

from reviewlib import data
from reviewlib.papers.augmix import AugMix, AugMixLoss, losses, method
from reviewlib.papers.augmix.method import GEOMETRIC, OPERATIONS, jensen_shannon, operate, views
from reviewlib.train import Config, Training, fit_all, sgd
from reviewlib.train.models import batchnorm_cnn

TRAIN = data.load("fashion-mnist-subset").development.train
GRAY = TRAIN.images[:200]
COLOR = torch.nn.functional.pad(GRAY[:150].view(50, 3, 28, 28), (2, 2, 2, 2))


def seeded(**options):
    return AugMix(generator=torch.Generator().manual_seed(0), **options)


def by_pillow(name, array, level):
    """The operation as in google-research/augmix augmentations.py, at a level of 10."""
    image = Image.fromarray(array)
    width, height = image.size
    plain = {"autocontrast": ImageOps.autocontrast, "equalize": ImageOps.equalize}
    if name in plain:
        return plain[name](image)
    if name == "posterize":
        return ImageOps.posterize(image, 4 - int(level * 4 / 10))
    if name == "solarize":
        return ImageOps.solarize(image, 256 - int(level * 256 / 10))
    if name == "rotate":
        return image.rotate(int(level * 30 / 10), resample=Image.BILINEAR)
    across, down = int(level * (width / 3) / 10), int(level * (height / 3) / 10)
    matrix = {
        "shear_x": (1, level * 0.3 / 10, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, level * 0.3 / 10, 1, 0),
        "translate_x": (1, 0, across, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, down),
    }[name]
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    "images", [GRAY, COLOR, COLOR[..., 4:28, :]], ids=["gray", "color", "wide"]
)
def test_each_operation_is_pillows(name, images):
    g = torch.Generator().manual_seed(0)
    level = 0.1 + 9.9 * torch.rand(len(images), generator=g, dtype=torch.float64)
    if name in GEOMETRIC:
        level *= 2.0 * torch.randint(2, level.shape, generator=g) - 1
    ours = operate(name, images.float(), level)
    arrays = images.permute(0, 2, 3, 1).squeeze(-1).numpy()
    theirs = [np.array(by_pillow(name, a, x)) for a, x in zip(arrays, level.tolist(), strict=True)]
    theirs = torch.from_numpy(np.stack(theirs)).view(*images.permute(0, 2, 3, 1).shape)
    away = (ours - theirs.permute(0, 3, 1, 2).float()).abs()
    if name in ("equalize", "posterize", "solarize"):
        assert away.max() == 0
    assert away.max() <= 1
    assert (away > 0).float().mean() < 0.002
    assert not torch.equal(ours, images.float())


def test_equalize_keeps_images_of_one_color_and_of_few_pixels():
    flat = torch.full((2, 1, 28, 28), 7.0)
    assert torch.equal(operate("equalize", flat, torch.zeros(2)), flat)
    assert torch.equal(operate("autocontrast", flat, torch.zeros(2)), flat)
    small = torch.randint(256, (20, 1, 5, 5)).float()  # fewer pixels than gray levels
    pillow = [np.array(ImageOps.equalize(Image.fromarray(a[0].byte().numpy()))) for a in small]
    assert torch.equal(
        operate("equalize", small, torch.zeros(20))[:, 0], torch.tensor(np.stack(pillow)).float()
    )


def test_the_choices_have_the_papers_distributions():
    plan = seeded().draw(40_000)
    lengths = (plan.operation >= 0).sum(-1)
    assert set(lengths.unique().tolist()) == {1, 2, 3}
    assert (lengths.flatten().bincount()[1:] / lengths.numel()).sub(1 / 3).abs().max() < 0.01
    used = plan.operation[plan.operation >= 0]
    assert (used.bincount() / len(used)).sub(1 / 9).abs().max() < 0.005
    assert torch.allclose(plan.w.sum(1), torch.ones(40_000, dtype=torch.float64))
    assert plan.w.mean(0).sub(1 / 3).abs().max() < 0.01
    assert plan.w.var(0).sub(1 / 18).abs().max() < 0.002  # of Dirichlet(1, 1, 1)
    assert plan.m.mean().sub(0.5).abs() < 0.01 and plan.m.var().sub(1 / 12).abs() < 0.002
    assert plan.sign.mean().abs() < 0.01 and set(plan.sign.unique().tolist()) == {-1, 1}
    assert plan.u.min() >= 0 and plan.u.max() < 1 and plan.u.mean().sub(0.5).abs() < 0.01


def test_a_chain_ends_for_good_and_has_at_most_depth_operations():
    operation = seeded(depth=5, width=2).draw(1000).operation
    assert operation.shape == (1000, 2, 5)
    ended = operation < 0
    assert (ended[..., 1:] >= ended[..., :-1]).all() and not ended[..., 0].any()
    assert (seeded(depth=1).draw(100).operation >= 0).all()


def test_every_image_has_its_own_choices():
    same = GRAY[:1].expand(64, -1, -1, -1)
    assert len({image.numpy().tobytes() for image in seeded()(same)}) > 60


def test_a_batch_may_be_split_anywhere():
    whole = seeded()(GRAY)
    augment = seeded()
    parts = [augment(part) for part in GRAY.split([1, 63, 100, 36])]
    assert torch.equal(torch.cat(parts), whole)


def test_a_batch_larger_than_a_piece_is_augmented_like_a_small_one(monkeypatch):
    whole = seeded()(GRAY)
    monkeypatch.setattr(method, "PIECE", 7)
    assert torch.equal(seeded()(GRAY), whole)


@pytest.mark.parametrize("images", [GRAY, COLOR, GRAY / 255, COLOR / 255], ids=range(4))
def test_at_severity_0_images_stay(images):
    assert torch.equal(seeded(severity=0.0)(images), images)
    assert torch.equal(seeded(m=0.0)(images), images)


def test_the_result_is_the_mix_that_the_paper_defines():
    augment = seeded(severity=6.0)
    plan = augment.draw(len(COLOR))
    mixed = augment.apply(COLOR, plan)
    for index in range(0, len(COLOR), 7):
        x = COLOR[index : index + 1].float()
        total = torch.zeros_like(x)
        for chain, weight in zip(plan.operation[index], plan.w[index], strict=True):
            place = plan.operation[index].tolist().index(chain.tolist())
            y = x
            for step, code in enumerate(chain.tolist()):
                if code >= 0:
                    name = OPERATIONS[code]
                    level = 0.1 + plan.u[index, place, step] * (6.0 - 0.1)
                    if name in GEOMETRIC:
                        level = level * plan.sign[index, place, step]
                    y = operate(name, y, level.view(1))
            total += weight * y
        expected = (1 - plan.m[index]) * x + plan.m[index] * total
        assert (mixed[index] - expected[0]).abs().max() <= 0.5001


def test_a_higher_severity_moves_images_farther_and_depth_and_width_count():
    def moved(**options):
        return (seeded(**options)(GRAY).float() - GRAY.float()).abs().mean()

    assert moved(severity=1.0) < moved(severity=3.0) < moved(severity=10.0)
    assert moved(depth=1) < moved(depth=6)
    assert moved(width=1) > moved(width=8)  # mixing many chains brings the mean nearer


def test_several_severities_are_each_what_it_is_alone():
    severities = torch.tensor([0.0, 1.0, 7.5])
    together = seeded(severity=severities)((GRAY / 255)[None])
    assert together.shape == (3, *GRAY.shape)
    for one, severity in zip(together, severities.tolist(), strict=True):
        assert torch.equal(one, seeded(severity=severity)(GRAY / 255))


def test_uint8_and_floats_give_the_same_images():
    gray, real = seeded()(GRAY), seeded()(GRAY / 255)
    assert gray.dtype == torch.uint8 and real.dtype == torch.float32
    assert (real * 255 - gray.float()).abs().max() <= 0.5001
    half = seeded()((GRAY / 255).half())
    assert half.dtype == torch.float16 and (half.float() - real).abs().max() < 0.05
    white = torch.full((500, 1, 28, 28), 255, dtype=torch.uint8)
    only = seeded(operations=("autocontrast",))(white)
    assert (only == 255).all(), "rounded, not cut off"


@pytest.mark.parametrize("images", [GRAY, COLOR, GRAY / 255], ids=["gray", "color", "float"])
def test_it_is_a_transform_of_torchvision(images):
    v2 = vision.module("torchvision.transforms.v2")
    compose = v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            seeded(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5], [0.5]),
        ]
    )
    for what in (images, images[0], images.unflatten(0, (10, -1))):
        out = compose(what)
        assert out.shape == what.shape and out.dtype == torch.float32
        assert -1 <= out.min() < out.max() <= 1
    pillow = Image.fromarray(GRAY[0, 0].numpy())
    after = v2.Compose([v2.ToImage(), seeded()])
    assert after(pillow).shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugMix(severity=11), r"severity must lie in \[0, 10\], got 11"),
        (lambda: AugMix(severity=-1), "got -1"),
        (lambda: AugMix(severity=math.nan), "got nan"),
        (lambda: AugMix(width=0), "width and depth must be at least 1, got 0 and 3"),
        (lambda: AugMix(depth=0), "got 3 and 0"),
        (lambda: AugMix(m=1.5), r"m must lie in \[0, 1\]"),
        (lambda: AugMix(operations=()), "operations must be some of"),
        (lambda: AugMix(operations=("color",)), "got .*color"),
        (lambda: AugMix()(GRAY[0, 0]), r"\(..., C, H, W\), got shape \(28, 28\)"),
        (lambda: AugMix()(Image.new("L", (28, 28))), "got Image; put v2.ToImage"),
        (lambda: AugMix()(GRAY.int()), "uint8, or floats .* got torch.int32"),
        (lambda: AugMix()(GRAY.float()), r"must lie in \[0, 1\], got 0 to 255"),
        (lambda: AugMix()(GRAY / 127.5 - 1), "got -1 to 1; put AugMix before"),
        (lambda: jensen_shannon(torch.zeros(2, 3)), "at least two"),
    ],
)
def test_what_it_cannot_take_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_empty_batch_stays_empty():
    assert seeded()(GRAY[:0]).shape == (0, 1, 28, 28)


def test_the_divergence_is_0_for_equal_views_and_at_most_log_3():
    z = torch.randn(40, 10)
    assert jensen_shannon(z, z, z).item() == pytest.approx(0, abs=1e-6)
    apart = [1e4 * torch.eye(3)[i].expand(5, 3) for i in range(3)]
    assert jensen_shannon(*apart).item() == pytest.approx(math.log(3), abs=1e-5)
    p = [torch.randn(40, 10).softmax(-1) for _ in range(3)]
    by_torch = sum(F.kl_div((sum(p) / 3).log(), each, reduction="batchmean") for each in p) / 3
    assert jensen_shannon(*[each.log() for each in p]).item() == pytest.approx(by_torch.item())


def test_the_divergence_is_finite_in_half_precision_and_its_gradient_too():
    z = (1000 * torch.eye(3)).half().requires_grad_()
    loss = jensen_shannon(z, z.flip(0), z.roll(1, 0))
    loss.backward()
    assert loss.isfinite() and z.grad.isfinite().all()


class Recorder(nn.Module):
    """A linear model that keeps its inputs."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(784, 10), []

    def forward(self, x):
        self.seen.append(x)
        return self.linear(x.flatten(-3))


def test_the_loss_is_one_pass_over_three_views_with_the_label_on_the_clean_one():
    x, y, model = GRAY[:16] / 255, torch.arange(16) % 10, Recorder()
    loss = AugMixLoss(seeded(), weight=12.0)(model, x, y)
    (seen,) = model.seen
    clean, one, other = seen.chunk(3)
    assert torch.equal(clean, x) and not torch.equal(one, other)
    assert torch.equal(torch.cat([one, other]), seeded()(torch.cat([x, x])))
    expected = F.cross_entropy(model(clean), y) + 12 * jensen_shannon(
        model(clean), model(one), model(other)
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    plain = AugMixLoss(seeded(), weight=0.0)(model, x, y)
    assert plain.item() == pytest.approx(F.cross_entropy(model(clean), y).item(), rel=1e-5)


def test_the_gradient_flows_through_all_three_views():
    x, model, kept = GRAY[:8] / 255, Recorder(), []

    def logits(images):
        kept.append(model(images))
        kept[0].retain_grad()
        return kept[0]

    AugMixLoss(seeded())(logits, x, torch.zeros(8, dtype=torch.long)).backward()
    assert all(view.abs().sum() > 0 for view in kept[0].grad.chunk(3))


def stack(loss, severities=(1.0, 3.0, 9.0), lrs=(0.05, 0.1, 0.02)):
    """Trainings of three small nets on the same batches, with different settings."""
    split = data.Split(TRAIN.images[:100], TRAIN.labels[:100])
    trainings = []
    for severity, lr in zip(severities, lrs, strict=True):
        torch.manual_seed(0)
        net = batchnorm_cnn(split, 10, 2).double()
        made = partial(loss, severity=severity) if loss in SEVERE else loss
        trainings.append(Training(net, split, Config(4, 20, lr), 5, made, sgd))
    return trainings


SEVERE = (losses.on_agreement, losses.on_mixed, losses.on_one_operation, losses.on_three_views)


@pytest.mark.parametrize("loss", [*SEVERE, losses.on_crops, losses.on_three_crops])
def test_nets_side_by_side_train_as_each_does_alone(loss):
    together = fit_all(stack(loss))
    for index, fit in enumerate(together):
        (alone,) = fit_all([stack(loss)[index]])
        assert torch.allclose(fit.losses, alone.losses, rtol=1e-9)
        for a, b in zip(fit.model.parameters(), alone.model.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=1e-6, atol=1e-9)
        assert fit.passes == alone.passes
    assert len({fit.losses[-1].item() for fit in together}) == 3


@pytest.mark.parametrize(
    ("loss", "views"),
    [
        (losses.on_crops, 1),
        (losses.on_mixed, 1),
        (losses.on_one_operation, 1),
        (losses.on_agreement, 3),
        (losses.on_three_views, 3),
        (losses.on_three_crops, 3),
    ],
)
def test_every_view_counts_as_a_pass(loss, views):
    (fit, *_) = fit_all(stack(loss))
    assert fit.passes == views * 4 * 20


def test_crops_are_mirrored_half_of_the_time_and_moved_by_at_most_the_padding():
    torch.manual_seed(0)
    x = torch.zeros(3000, 1, 28, 28)
    x[..., 10, 5] = 1
    rows, columns = (
        losses.cropped(x).flatten(1).argmax(1) // 28,
        losses.cropped(x).flatten(1).argmax(1) % 28,
    )
    assert set(rows.unique().tolist()) == {9, 10, 11}
    mirrored = columns > 14
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert set(columns.unique().tolist()) == {4, 5, 6, 21, 22, 23}
    share = rows.bincount()[9:] / len(rows)
    assert share.sub(1 / 3).abs().max() < 0.03


def test_one_operation_is_not_mixed_with_the_image():
    x, seen = GRAY[:50] / 255, Recorder()
    torch.manual_seed(0)
    losses.on_one_operation(seen, x, torch.zeros(50, dtype=torch.long), severity=5.0)
    torch.manual_seed(0)
    crops = losses.cropped(x)
    one = AugMix(5.0, width=1, depth=1)
    plan = one.draw(50)
    for index in range(50):
        name = OPERATIONS[plan.operation[index, 0, 0]]
        level = 0.1 + plan.u[index, 0, 0] * 4.9
        level = level * plan.sign[index, 0, 0] if name in GEOMETRIC else level
        changed = operate(name, (crops[index : index + 1] * 255).round(), level.view(1)) / 255
        assert torch.allclose(seen.seen[0][index], changed[0], atol=1e-6)


def test_views_of_a_model_are_the_clean_one_and_two_others():
    clean, one, other = views(lambda x: x.flatten(-3), GRAY[:5] / 255, seeded())
    assert torch.equal(clean, (GRAY[:5] / 255).flatten(-3))
    assert one.shape == other.shape == clean.shape


def in_use(change):
    """The loss of AugMix, with a convolutional net (see test_methods)."""
    conv = [nn.Conv2d(1, 8, 3, stride=2), nn.ReLU()]
    model = nn.Sequential(*conv, nn.Flatten(), nn.Linear(72, 10))
    change(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, optimizer, AugMixLoss(weight=1.0)
