import copy
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune as torch_prune

from reviewlib import data, papers
from reviewlib.papers.lottery_tickets import method, variants
from reviewlib.papers.lottery_tickets.arms import MAIN
from reviewlib.papers.lottery_tickets.procedures import densities, equal_width
from reviewlib.train import cross_entropy
from reviewlib.trial.fingerprints import TINY
from reviewlib.trial.procedures import complete
from reviewlib.trial.runs import Run, draw

OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
}


def toy(norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(20)] if norm else []
    return nn.Sequential(nn.Linear(10, 20), *middle, nn.Tanh(), nn.Linear(20, 4))


def by_hand(**named: list) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in named.items()}


def ones(weights):
    return {name: torch.ones_like(weight) for name, weight in weights.items()}


def train(model, optimizer="momentum", steps=20):
    opt = OPTIMIZERS[optimizer](model.parameters())
    for step in range(steps):
        g = torch.Generator().manual_seed(step)
        x, y = torch.randn(32, 10, generator=g), torch.randint(4, (32,), generator=g)
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()


CRITERIA = {
    "each layer by itself": method.magnitude_masks,
    "all layers together": variants.global_masks,
}
each_criterion = pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)


def kept(model):
    return {name: int(mask.sum()) for name, mask in method.masks(model).items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_mask_of_ones_is_the_baseline(optimizer):
    plain, masked = toy(), toy()
    method.prune(masked, method.masks(masked))
    for model in (plain, masked):
        train(model, optimizer=optimizer)
    assert same(method.weights(plain), method.weights(masked))
    assert method.density(plain) == method.density(masked) == 1


def test_magnitude_masks_match_the_paper_on_six_weights():
    weights = by_hand(a=[[3.0, -5.0], [0.5, -1.0]], b=[[-4.0, 2.0]])
    layer_wise = method.magnitude_masks(weights, ones(weights), 0.5)
    assert layer_wise["a"].tolist() == [[1, 1], [0, 0]]
    assert layer_wise["b"].tolist() == [[1, 0]]
    own = method.magnitude_masks(weights, ones(weights), {"a": 0.25, "b": 1.0})
    assert own["a"].tolist() == [[0, 1], [0, 0]] and own["b"].tolist() == [[1, 1]]


def test_global_masks_rank_the_layers_together():
    weights = by_hand(a=[[3.0, -5.0], [0.5, -1.0]], b=[[-0.25, 2.0]])
    masks = variants.global_masks(weights, ones(weights), 0.5)
    assert masks["a"].tolist() == [[1, 1], [0, 0]] and masks["b"].tolist() == [[0, 1]]
    # as many in all as the layers' own densities add up to: 4 * 0.75 + 2 * 0.5
    masks = variants.global_masks(weights, ones(weights), {"a": 0.75, "b": 0.5})
    assert masks["a"].tolist() == [[1, 1], [0, 1]] and masks["b"].tolist() == [[0, 1]]
    # a layer may lose all its weights
    masks = variants.global_masks(weights, ones(weights), 1 / 6)
    assert masks["a"].tolist() == [[0, 1], [0, 0]] and masks["b"].tolist() == [[0, 0]]


@each_criterion
def test_a_pruned_weight_is_never_kept_however_large(criterion):
    weights, masks = by_hand(a=[[9.0, 1.0, -2.0, 0.0]]), by_hand(a=[[0, 1, 1, 1]])
    assert criterion(weights, masks, 0.5)["a"].tolist() == [[0, 1, 1, 0]]
    # a survivor may be 0
    assert criterion(weights, masks, 0.75)["a"].tolist() == [[0, 1, 1, 1]]


def test_magnitude_masks_reject_no_survivor_and_more_than_there_are():
    weights, masks = by_hand(a=[[9.0, 1.0]]), by_hand(a=[[0, 1]])
    with pytest.raises(ValueError, match=r"must keep 1 to 1 survivors of 'a', got 1.0 \(keeps 2\)"):
        method.magnitude_masks(weights, masks, 1.0)
    with pytest.raises(ValueError, match=r"must keep 1 to 1 survivors of 'a', got 0.2 \(keeps 0\)"):
        method.magnitude_masks(weights, masks, 0.2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@each_criterion
def test_masks_reject_weights_that_have_diverged(criterion, value):
    weights = by_hand(a=[[9.0, value]])
    with pytest.raises(ValueError, match="weights must be finite, got nan or inf in"):
        criterion(weights, ones(weights), 0.5)


def never(model):
    pytest.fail("must be refused before the first training")


@pytest.mark.parametrize("density", [0, -0.1, 1.1, 20, math.nan, {"0": 0.5, "2": math.nan}])
@each_criterion
def test_rounds_reject_a_density_out_of_range(criterion, density):
    with pytest.raises(ValueError, match=r"density must be a share in \(0, 1\], such as 0.2, got"):
        method.find_ticket(toy(), never, density, 2, criterion=criterion)


@pytest.mark.parametrize("count", [0, -1])
def test_rounds_reject_a_count_below_one(count):
    with pytest.raises(ValueError, match=f"count must be at least 1, got {count}"):
        method.find_ticket(toy(), never, 0.5, count)


@pytest.mark.parametrize("density", [{}, {"0": 0.5}, {"0": 0.5, "2": 0.5, "3": 0.5}])
def test_rounds_reject_a_density_for_other_layers(density):
    with pytest.raises(ValueError, match=r"density must be given for layers \['0', '2'\], got \["):
        method.find_ticket(toy(), never, density, 2)


def test_rounds_reject_a_model_without_layers_to_prune():
    with pytest.raises(ValueError, match=r"density must be given for layers \[\], got \[\]"):
        method.find_ticket(nn.Sequential(nn.Tanh()), never, 0.5, 2)


def test_rounds_reject_a_density_that_leaves_a_layer_without_weights():
    model = toy()
    with pytest.raises(ValueError, match="must keep 1 to 80 survivors of '2', got 0.005"):
        method.find_ticket(model, never, 0.005, 2)
    assert list(model.state_dict()) == list(toy().state_dict())  # and leave it as it came


def test_prune_rejects_a_mask_of_another_shape():
    with pytest.raises(RuntimeError, match="size mismatch for mask"):
        method.prune(toy(), {"0": torch.ones(1, 10)})


def test_a_model_and_its_caller_share_no_masks():
    model = toy()
    given = method.magnitude_masks(method.weights(model), method.masks(model), 0.5)
    method.prune(model, given)
    before = copy.deepcopy(given)
    method.prune(model, {name: torch.zeros_like(mask) for name, mask in given.items()})
    assert same(given, before)
    method.masks(model)["0"].fill_(1)
    assert method.density(model) == 0


def test_counts_are_exact_in_half_precision():
    # a sum of a thousand ones in bfloat16 is rounded
    model = nn.Linear(100, 20).bfloat16()
    for _ in method.rounds(model, 0.5005, 2):
        pass
    assert method.density(model) == 1001 / 2000
    again = method.magnitude_masks(method.weights(model), method.masks(model), 0.5005)
    assert same(again, method.masks(model))


@each_criterion
def test_one_shot_agrees_with_torch(criterion):
    ours, theirs = toy(), toy()
    method.find_ticket(ours, train, 0.3, 1, criterion=criterion)
    train(theirs)
    layers = [(theirs[0], "weight"), (theirs[2], "weight")]
    if criterion is variants.global_masks:
        torch_prune.global_unstructured(layers, torch_prune.L1Unstructured, amount=0.7)
    else:
        for layer, name in layers:
            torch_prune.l1_unstructured(layer, name, amount=0.7)
    for name, mask in method.masks(ours).items():
        assert torch.equal(mask, theirs[int(name)].weight_mask)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("rewind", [True, False])
def test_every_round_agrees_with_torch(rewind, optimizer):
    ours, theirs, start = toy(), toy(), toy()
    for layer in (theirs[0], theirs[2]):
        torch_prune.identity(layer, "weight")
    candidates = method.rounds(ours, 0.1, 3, rewind=rewind)
    next(candidates)
    for number in (1, 2, 3):
        for model in (ours, theirs):
            train(model, optimizer=optimizer)
        next(candidates, None)
        for name in (0, 2):
            layer = theirs[name]
            keep = round(0.1 ** (number / 3) * layer.weight.numel())
            torch_prune.l1_unstructured(
                layer,
                "weight",
                amount=int(layer.weight_mask.sum()) - keep,
                importance_scores=layer.weight_orig,  # by default those before the last step
            )
            if rewind:
                layer.weight_orig.data.copy_(start[name].weight)
                layer.bias.data.copy_(start[name].bias)
            assert torch.equal(ours[name].weight, layer.weight_orig * layer.weight_mask)
            assert torch.equal(ours[name].bias, layer.bias)


@each_criterion
def test_masks_of_rounds_are_nested_and_reach_the_final_density(criterion):
    model, seen = toy(), []
    for candidate in method.rounds(model, 0.1, 4, criterion=criterion):
        seen.append(method.masks(candidate))
        train(candidate)
    seen.append(method.masks(model))
    counts = [sum(int(mask.sum()) for mask in masks.values()) for masks in seen]
    assert counts == pytest.approx([280 * 0.1 ** (r / 4) for r in range(5)], abs=2)
    for before, after in pairwise(seen):
        assert all((after[name] <= before[name]).all() for name in before)
    if criterion is method.magnitude_masks:
        assert kept(model) == {"0": 20, "2": 8}


def test_rounds_keep_the_largest_survivors_of_every_training():
    model = toy()
    candidates = method.rounds(model, 0.1, 3)
    next(candidates)
    for _ in range(3):
        train(model)
        trained = method.weights(model)
        next(candidates, None)
        for name, mask in method.masks(model).items():
            size = trained[name].abs()
            assert size[mask == 1].min() >= size[mask == 0].max()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("step", [0, 3])
def test_survivors_are_the_weights_of_the_step_bitwise(step, optimizer):
    model, early = toy(norm=True), toy(norm=True)
    for net in (model, early):
        train(net, optimizer, steps=step)
    ticket = method.find_ticket(model, lambda net: train(net, optimizer), 0.2, 3)
    for name, weight in method.weights(ticket).items():
        mask = method.masks(ticket)[name]
        assert torch.equal(weight, early.get_submodule(name).weight * mask)
        assert torch.equal(ticket.get_submodule(name).bias, early.get_submodule(name).bias)
    assert torch.equal(ticket[1].running_mean, early[1].running_mean)
    assert ticket[1].num_batches_tracked == step


def test_a_ticket_with_batch_norm_starts_from_its_own_start():
    model, start = toy(norm=True), toy(norm=True)
    ticket = method.find_ticket(model, train, 0.2, 3)
    for name, value in start[1].state_dict().items():
        assert torch.equal(ticket[1].state_dict()[name], value)


def test_a_mask_works_on_top_of_another_parametrization():
    model = toy()
    nn.utils.parametrizations.weight_norm(model[0])
    start = method.weights(model)["0"]
    for candidate in method.rounds(model, 0.2, 2):
        train(candidate)
    mask = method.masks(model)["0"]
    assert mask.sum() == 40
    assert torch.equal(method.weights(model)["0"], start * mask)
    train(model)
    assert torch.equal(method.weights(model)["0"] == 0, mask == 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_pruned_weights_stay_zero(optimizer):
    model = toy()
    train(model, optimizer=optimizer)
    method.prune(model, method.magnitude_masks(method.weights(model), method.masks(model), 0.2))
    for _ in range(5):
        train(model, optimizer=optimizer, steps=3)
        assert method.density(model) == pytest.approx(0.2)
        for name, weight in method.weights(model).items():
            assert torch.equal(weight == 0, method.masks(model)[name] == 0)


def test_survivors_of_either_sign_learn():
    # a widely copied implementation freezes what is below 1e-6: every negative weight, too
    ticket = method.find_ticket(toy(), train, 0.3, 2)
    before = method.weights(ticket)
    train(ticket)
    for name, after in method.weights(ticket).items():
        for sign in (-1, 1):
            chosen = before[name].sign() == sign
            assert chosen.any() and (after[chosen] != before[name][chosen]).all()


def test_rounds_without_rewinding_keep_the_trained_weights():
    model = toy()
    for candidate in method.rounds(model, 0.5, 1, rewind=False):
        train(candidate)
        trained = method.weights(candidate)
    for name, weight in method.weights(model).items():
        assert torch.equal(weight, trained[name] * method.masks(model)[name])


def test_a_random_mask_keeps_as_many_weights_of_every_layer():
    density = {"0": 0.13, "2": 0.37}
    ticket, model = method.find_ticket(toy(), train, density, 3), toy()
    masks = variants.random_masks(model, density, torch.Generator().manual_seed(1))
    method.prune(model, masks)
    assert kept(model) == kept(ticket) == {"0": 26, "2": 30}
    other = variants.random_masks(toy(), density, torch.Generator().manual_seed(2))
    assert not same(masks, other)


def test_signs_are_the_tickets_and_magnitudes_are_fresh():
    ticket, fresh = method.find_ticket(toy(), train, 0.3, 1), toy()
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.normal_()
    sizes = {name: weight.abs() for name, weight in method.weights(fresh).items()}
    signed = method.weights(variants.signed_like(ticket, fresh))
    for name, own in method.weights(ticket).items():
        assert torch.equal(signed[name].sign(), own.sign())
        assert torch.equal(signed[name].abs(), sizes[name] * (own != 0))


def test_the_output_is_pruned_at_half_the_rate():
    found = densities(nn.Sequential(nn.Linear(9, 8), nn.Linear(8, 7), nn.Linear(7, 2)), 0.25, 2)
    assert found == {"0": 0.25, "1": 0.25, "2": pytest.approx(0.75**2)}


def parameters(model):
    return sum(
        int(part.sum()) for name, part in model.state_dict().items() if name.endswith("mask")
    ) + sum(layer.bias.numel() for layer in method.layers(model).values())


def test_the_small_net_has_as_many_parameters_as_the_ticket():
    model = nn.Sequential(nn.Linear(196, 100), nn.Linear(100, 33), nn.Linear(33, 10))
    aim = densities(model, 0.07, 5)
    width = equal_width(model, aim)
    method.prune(model, variants.random_masks(model, aim, torch.Generator()))
    assert parameters(model) == pytest.approx(196 * width + width + 10 * width + 10, abs=104)


def procedures(arm, seeds=(0,), dtype=torch.float32, steps=10):
    """The procedures of an arm in the main condition, each seed at its own learning rate."""
    of, tiny = papers.find("lottery_tickets"), replace(TINY, train=100, steps=steps)
    development = data.load(tiny.data).development
    of = replace(of, net=lambda run, net=of.net: net(run).to(dtype))
    found = []
    for seed in seeds:
        run = Run(
            of.arm(arm), MAIN, seed, tiny, ({"lr": 0.01 + 0.005 * seed, "weight_decay": 1e-4},)
        )
        found.append(run.procedure(of, draw(development, tiny, MAIN, seed), 0))
    return found


@pytest.mark.parametrize("arm", ["ticket", "random"])
def test_a_stacked_procedure_equals_the_one_alone(arm):
    seeds, double = (0, 1), torch.float64
    together = complete(procedures(arm, seeds, double))
    for (one,), procedure in zip(together, procedures(arm, seeds, double), strict=True):
        ((alone,),) = complete([procedure])
        assert one.passes == alone.passes
        assert same(method.masks(one.model), method.masks(alone.model))
        torch.testing.assert_close(one.losses, alone.losses, rtol=1e-8, atol=1e-8)


def test_the_ticket_costs_what_the_dense_net_at_equal_cost_does():
    ((ticket,),) = complete(procedures("ticket"))
    ((dense,),) = complete(procedures("dense_4x"))
    assert ticket.passes == dense.passes
    aim = densities(ticket.model, 0.203, 3)
    assert kept(ticket.model) == {
        name: round(aim[name] * mask.numel()) for name, mask in method.masks(ticket.model).items()
    }


def test_the_dense_net_and_the_ticket_share_start_and_final_order():
    ((dense,),) = procedures("dense")
    (trainings,) = procedures("ticket")
    ticket = next(trainings)
    assert same(method.weights(dense.model), method.weights(ticket.model))
    orders = [ticket.seed, *(training.seed for training in trainings)]
    assert len(set(orders)) == 4 and orders[-1] == dense.seed


def test_reinitialized_nets_share_the_mask_and_nothing_else():
    ends = complete(procedures("reinitialized"))[0]
    assert len(ends) == 3
    masks = [method.masks(end.model) for end in ends]
    assert same(masks[0], masks[1]) and same(masks[0], masks[2])
    assert not same(*(method.weights(end.model) for end in ends[:2]))


def test_fine_tuning_continues_at_a_small_rate_and_rewinds_nothing():
    (trainings,) = procedures("fine_tuned")
    rates = []
    for training in trainings:
        rates.append((training.config.lr, training.config.schedule))
        last = training
    assert rates == [(0.01, "cosine"), *[(0.001, "constant")] * 3]
    assert last.config.eval_steps[-1] == last.config.steps


def test_a_ticket_rewound_late_trains_for_as_long_as_the_dense_net_in_all():
    (trainings,) = procedures("rewound_late", steps=100)
    assert [training.config.steps for training in trainings] == [3, *[97] * 4]


@pytest.mark.parametrize(
    "kind", [nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
)
def test_every_kind_of_convolution_is_pruned(kind):
    torch.manual_seed(0)
    model = method.find_ticket(nn.Sequential(kind(4, 8, 3)), lambda net: None, 0.25, 1)
    assert method.density(model) == pytest.approx(0.25, abs=0.01)
    assert (model[0].weight == 0).double().mean() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    "layer", [nn.LSTM(4, 4), nn.GRU(4, 4), nn.LSTMCell(4, 4), nn.MultiheadAttention(4, 1)]
)
def test_a_model_with_layers_that_would_stay_dense_is_refused(layer):
    model = nn.ModuleList([nn.Linear(4, 4), layer])
    with pytest.raises(ValueError, match=r"dense or convolutional layers, got \['1'\]"):
        method.find_ticket(model, lambda net: None, 0.5, 1)


def in_use(change):
    """A pruned net, with half of its weights (see test_methods)."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    method.find_ticket(model, lambda net: None, density=0.5, count=1)
    change(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, cross_entropy
