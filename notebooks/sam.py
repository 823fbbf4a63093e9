# %% [markdown]
# # SAM: does a flat minimum pay for its second gradient?
#
# *Sharpness-Aware Minimization for Efficiently Improving Generalization*, Foret, Kleiner, Mobahi
# and Neyshabur, ICLR 2021 {cite}`foret2021`.
#
# SAM asks every optimizer step to look uphill before it goes downhill: take the gradient not where
# the weights are, but at the worst point within a small radius. That costs a second forward and
# backward pass. The paper reports lower test error on nearly everything it tries, and large gains
# when the labels are wrong. Should you pay?
#
# This page rebuilds SAM, gives it and its rivals the same tuning budget, and lets paired seeds
# decide. You can run all of it: the default `quick` preset checks your machine in about a minute,
# the evidence (`laptop`) takes less than an hour of processor time.

# %% tags=["parameters"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% [markdown]
# ## What the paper claims
#
# The table lists the claims that this page tests, with the paper's own numbers where it gives any
# that we could check, and the claims that a small experiment cannot test. The paper's baseline
# deserves praise: it is the better of the standard and the *doubled* number of epochs, so SAM's
# price was on the bill from the start. Its radius was tuned on a grid of six values; how hard the
# learning rate and the weight decay of each side were searched we could not check.
#
# A claim that is *primary* gets a verdict; its test and its margin, the smallest effect that would
# matter to a practitioner, were fixed before the final seeds ran.

# %%
import torch
from IPython.display import Markdown, display

from reviewlib import chapter
from reviewlib.papers.sam import method

page = chapter.open_chapter("sam", preset=preset, device=device, seeds=seeds, data=data)
page.claims()

# %% [markdown]
# ## What others found
#
# - **Later work on the cause.** A flat minimum is SAM's stated reason, but measured sharpness does
#   not rank networks by how well they generalize: adaptive sharpness correlates weakly, and out of
#   distribution sometimes the wrong way {cite}`andriushchenko2023`.
# - **Later work on the recipe.** What helps is taking the perturbation on small parts of the batch
#   (m-sharpness), and with label noise SAM too fits the wrong labels in the end, so that early
#   stopping is part of the gain {cite}`andriushchenko2022`.
# - **Later work on the rivals.** Compared with averaging weights along training, at a fraction of
#   the cost, SAM wins on some tasks and loses on others {cite}`kaddour2022`.
# - **Cheaper forms.** MosaicML's Composer takes SAM's second gradient only every tenth step, with a
#   radius ten times as large, and reports keeping the gain of a ResNet at a small part of the cost;
#   it also reports none where every example is seen only once (mosaicml/composer, SAM's README).
# - **Users.** The issue trackers of public implementations hold reports of no gain, and of a
#   baseline in the official code that does not come out as in the paper
#   (google-research/sam issue 6, sayakpaul/SAM-TF issue 3).
# - **Earlier reviews.** The reviews that this book grew out of ask of every such paper: was the
#   baseline tuned as hard as the method, and does the gain remain next to a simple alternative?
#
# ## The idea, by hand
#
# Write $L(w)$ for the training loss on one batch. SAM minimizes the worst loss within a radius
# $\rho$ of the weights,
#
# $$\min_w \max_{\|\epsilon\|_2 \le \rho} L(w + \epsilon).$$
#
# To first order the worst point lies straight up the gradient, $\epsilon(w) = \rho\, g / \|g\|_2$
# with $g = \nabla L(w)$. So one step is two gradients: climb to $w + \epsilon(w)$, take the
# gradient *there*, go back, and apply it at $w$.
#
# Here is all of it on the smallest loss that has sharp and flat minima: $L(w) = (w_1 w_2 - 1)^2$.
# Every point with $w_1 w_2 = 1$ is a minimum, and the valley is widest where $w_1 = w_2$. The cell
# takes one step by hand in plain PyTorch and one with the library, and stops if they differ.


# %%
def loss(w):
    return (w[0] * w[1] - 1) ** 2


def closure(w):
    w.grad = None
    value = loss(w)
    value.backward()
    return value


rho, lr, start = 0.3, 0.05, [0.3, 2.2]
w = torch.tensor(start, requires_grad=True)
g = torch.autograd.grad(loss(w), w)[0]
e = rho * g / g.norm()  # climb
g_up = torch.autograd.grad(loss(w + e), w)[0]  # the gradient up there ...
by_hand = w.detach() - lr * g_up  # ... applied down here
method.SAM([w], torch.optim.SGD, rho=rho, lr=lr).step(lambda: closure(w))
assert torch.allclose(w, by_hand), (w, by_hand)

# %% [markdown]
# Now sixty steps of each from the same start. Plain gradient descent walks to the nearest minimum
# and stays. SAM cannot rest in a narrow place: the gradient a radius away pushes it back and forth
# across the valley, and each bounce moves it a little toward where the valley is wide.


# %%
def walk(make, steps=60):
    w = torch.tensor(start, requires_grad=True)
    optimizer, path = make([w]), [start]
    for _ in range(steps):
        optimizer.step(lambda: closure(w))
        path.append(w.tolist())
    return path


paths = {
    "gradient descent": walk(lambda p: torch.optim.SGD(p, lr=lr)),
    "SAM": walk(lambda p: method.SAM(p, torch.optim.SGD, rho=rho, lr=lr)),
    "first ascent": [start, (torch.tensor(start) + e).tolist()],
}
page.show_contours(loss, paths, around=(-0.05, 1.45, 0.9, 2.4))

# %% [markdown]
# ## The idea, as code
#
# This is the library's own source, the code that the experiment below ran; you can copy
# `reviewlib/papers/sam/method.py` into any project, it needs only torch. SAM is an optimizer
# around an optimizer. A step climbs, takes the gradient, comes back, and lets the base optimizer
# act on the gradient it brought along:

# %%
display(chapter.source(method.SAM.step), chapter.source(method.SAM.sharp_gradient))
chapter.source(method.SAM.perturbed)

# %% [markdown]
# Coming back means putting back the saved bits; adding and subtracting $\epsilon$ would drift. Two
# details decide whether an implementation is right. The norm runs over *all* parameters together,
# not layer by layer. And the second pass must leave no trace in BatchNorm's running statistics, or
# they describe a network that is never used. With `adaptive=True` the radius is measured relative
# to the size of each weight (ASAM {cite}`kwon2021`), which makes it invariant to rescaling. With
# `chunks=k` each of $k$ parts of the batch gets a perturbation of its own (m-sharpness, $m$ the
# size of a part), and the step takes the mean of their gradients.
#
# The experiment trains the runs of an arm side by side, as one batched model. There the norm is one
# number a run: `stacked.py` repeats `ascent` so, and a test holds each run to what it would have
# been alone.

# %%
display(chapter.source(method.SAM.ascent))
chapter.source(method.unrecorded)

# %% [markdown]
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017`, averaged down to 14 × 14 pixels, in three settings: a network with
# one hidden layer of 128 units on clean labels; the same with 40% of the training labels replaced
# by a different class; and a small convolutional net with these wrong labels. Within a setting arms
# share network, images, schedule (half a cosine) and momentum, except for what their line in the
# table names, and all have the same number of trials from one search sequence: what SAM spends on
# its radius $\rho$ it cannot spend elsewhere. Settings are chosen on validation images that carry
# the same wrong labels; the test images are not in the hands of the tuning code. Then fresh seeds,
# the same for every arm, each with its own training images, initialization, batch order and fold of
# the test set. The [protocol](../book/protocol.md) says why each of these is needed.
#
# Two arms are controls on ourselves: the baseline tuned a second time, from other search draws, and
# the baseline with a quarter of its images. A first version of this experiment searched the
# learning rate less far down, and four of its arms chose that edge. This one searches further,
# and its final seeds are new.
#
# The first line below is what this notebook has run, or found in this machine's cache, to see
# whether the machine agrees with the stored records of the same preset; the evidence comes from a
# larger one. All trials are shown, not only the best: how far the points of an arm spread tells how
# much there is to gain by tuning it, which is what an untuned baseline gives away.

# %%
display(page.agreement(), page.evidence())
display(page.arms(), page.protocol())
page.show_trials()
page.settings()

# %% [markdown]
# ## Results
#
# First the arms by themselves, then the paired differences that the verdicts rest on: the same
# seed gives both arms the same images, the same wrong labels and the same test fold, so what these
# have in common cancels.

# %%
page.show_finals()
equal_cost = ("clean", "noise", "cnn")
results = (*equal_cost, *(f"{name}-equal-steps" for name in equal_cost))
page.show_contrasts(*results)
display(page.contrasts(*results))
Markdown(
    f"The claim at equal cost: {page.says('clean')} with clean labels, "
    f"{page.says('noise')} with 40% wrong ones, {page.says('cnn')} with wrong ones and the "
    "convolutional net. With clean labels this "
    f"experiment would have noticed {page.notices('clean')}; the margin "
    "there is about what the paper reports on this data set."
    f" Twice the steps change SGD by {page.difference('sgd_2x', 'sgd', 'clean')}, "
    f"{page.difference('sgd_2x', 'sgd', 'noise')} and {page.difference('sgd_2x', 'sgd', 'cnn')}: "
    "where that is negative, equal steps is the harder comparison."
)

# %% [markdown]
# ## Ablations
#
# If there is a gain, is it the direction? The placebo perturbs along a random direction, with a
# length and a learning rate that its own search chose, as SAM's did; so the contrast is between two
# tuned recipes, at equal steps: the placebo needs no first pass and costs half. Is it the weight
# decay? Two arms hold it at zero and spend their trials on fewer knobs. Is it the last step? A
# method that memorizes wrong labels more slowly would look better at the last step alone, so here
# is the early stop too. And would another SAM have done better? The paper finds that smaller parts
# of the batch, each with its own perturbation, generalize better: two arms take $m$ = 25 and $m$ =
# 10 instead of all 100, with the radius tuned anew, since a smaller part acts like a larger radius.
# ASAM has a radius of its own kind and its own range.

# %%
ablations = (
    "direction",
    "noise-both-without-decay",
    "noise-untuned-baseline",
    "noise-decay-alone",
    "noise-early-stopped",
    *("m-25", "m-10", "adaptive"),
)
page.show_contrasts(*ablations)
page.show_curves("noise", "sgd", "sgd_2x", "sam", "sgd_wd0", "sam_wd0")
display(page.contrasts(*ablations))
Markdown(
    f"Without weight decay in both, SAM differs from SGD by {page.says('noise-both-without-decay')}"
    f". Tuning weight decay moves plain SGD by {page.says('noise-decay-alone')}."
)

# %% [markdown]
# ### Is it the flatness?
#
# SAM's reason is that flat minima generalize. Two measures of sharpness, on training images with
# the labels that the net was given: the top eigenvalue of the Hessian, and how far the loss rises
# at the worst point that ascent finds within the paper's default radius. First whether SAM's minima
# are flatter, then whether flatness ranks the arms, or the seeds within an arm, by test error.

# %%
display(page.contrasts("flatter", "flatter-without-decay"))
page.show_sharpness("noise")

# %% [markdown]
# ## In combination
#
# A new method often solves the problem that another one already solves, and their gains do not add
# up. Two companions that cost no second pass: label smoothing, one argument of the loss, and
# augmentation, here every training image and its mirror image. For each, SAM on top of it, and the
# interaction: what the two give together beyond the sum of what each gives alone. For label
# smoothing there is an arm at SAM's cost too. Each leg was tuned by itself, so an unlucky search in
# one of them shows up as interaction. The last two tables give the main effects, averaged over
# without and with the other method, also as factors of the error: two methods that each remove a
# share of the errors add up there and not in points. In the paper's own Table 5 SAM's gain shrinks
# to less than half once cutout is added.

# %%
combination = (
    "noise-against-smoothing",
    *("smoothing-added-last", "smoothing-equal-cost", "smoothing-interaction"),
    *("mirror-added-last", "mirror-interaction"),
)
page.show_contrasts(*combination)
display(page.contrasts(*combination))
display(page.two_by_two("sgd", "sam", "smoothing", "sam_smoothing", "noise"))
display(page.two_by_two("sgd", "sam", "mirror", "sam_mirror", "noise"))
Markdown(
    f"Mirrored images alone change SGD by {page.difference('mirror', 'sgd', 'noise')}; SAM with "
    f"them differs from plain SGD by {page.difference('sam_mirror', 'sgd', 'noise')}. Where a "
    "companion costs accuracy, a positive interaction is a repair. The mirrored arms have no "
    "partner at SAM's cost."
)

# %% [markdown]
# ## Verdict
#
# Computed from the records by the rule of the protocol; the effect that "could have noticed" names
# is the smallest true gain for which this experiment would have said *supported* four times in
# five. Below it the controls: the same rule on effects whose truth we know. Four times the data
# must be found. SGD against SGD is no effect at all: whatever the rule says there is what the luck
# of tuning alone can do to a comparison, which no interval on this page covers. A gain that is
# smaller than that may be luck too.

# %%
display(page.verdict_table(), page.controls(), page.price(), page.checklist())
Markdown(
    f"At this scale, at equal cost: **{page.verdict('clean')}** with clean labels, "
    f"**{page.verdict('noise')}** with 40% wrong ones, **{page.verdict('cnn')}** with these and "
    f"the convolutional net; on the ascent direction **{page.verdict('direction')}**. Hold these "
    f"against the luck of tuning: SGD tuned a second time differs from itself by "
    f"{page.says('tuned-twice-clean')} with clean labels and {page.says('tuned-twice-noise')} with "
    f"wrong ones. Label smoothing differs from SGD by "
    f"{page.difference('smoothing', 'sgd', 'clean')} with clean labels, and by "
    f"{page.difference('smoothing', 'sgd', 'noise')} with wrong ones; SAM differs from it there by "
    f"{page.says('noise-against-smoothing')}, at twice its cost."
)

# %% [markdown]
# ### What the intervals cover
#
# The training subset, the fold of the test set, the label noise, the initialization and the batch
# order, all of which change with the seed. Not the data set, not the architecture, and not the luck
# of tuning: the verdicts are about the settings that this search found, chosen on validation labels
# that are as wrong as the training labels, not about the best that SAM can do; the control that was
# tuned twice shows one draw of that luck. Wrong validation labels blur the search: a point of true
# accuracy shows as little more than half a point there, and the best trials of several arms tie,
# exactly or nearly. It matters: an earlier execution of this very study on the same final seeds,
# whose arithmetic differed in the last digits, chose another of two nearly equal trials for SAM
# under wrong labels, and the verdict there was the neighboring one, that a gain of the margin is
# ruled out. The code was changed for speed only, so the seeds were kept. Equal trials are not
# equal coverage either: SAM spreads the same points over one more knob. Settings at the edge of
# their range are flagged; a wider range might have held better ones. Fashion-MNIST's test images
# have been looked at by the whole field, and by our own early prototypes; and seeds cannot be added
# without end, for each needs its own fold of them.
#
# ### When to use it
#
# The price: one more hyperparameter, two gradients a step, a copy of the weights, and a file of
# some 160 lines. Before paying it, search the learning rate and the weight decay of what you have
# over a wide range, and try label smoothing, which costs no pass; the lines above say what it was
# worth here. If after that you have training time to spare, give SAM a search as wide as you gave
# the baseline, its radius (the paper's own choices lie between 0.01 and 0.2) together with the
# learning rate, and compare at equal cost on your own validation data: the gain that this page
# looked for is of the size that a lucky search can make or hide.
#
# ### Differences from the paper
#
# 1. Data: Fashion-MNIST subsets at 14 × 14 pixels; the paper trains on all of it, on CIFAR,
#    SVHN and ImageNet.
# 2. Model: a network with one hidden layer, and a small convolutional net, which is trained for
#    half the steps; neither has BatchNorm. The paper's are residual networks.
# 3. Label noise: a wrong label is always a *different* class, and validation labels are as wrong as
#    training labels. The paper tunes its radius on clean validation images.
# 4. Schedule: the number of steps is small and fixed, batches are of 100 (the paper: 256), momentum
#    is plain (the official code: Nesterov); no gradient clipping; no augmentation, except for the
#    mirrored images of the combination. The paper crops and flips at random.
# 5. Weight decay acts in the base optimizer and does not enter the perturbation, as in the paper's
#    Algorithm 1; in the official code it is part of the loss.
# 6. One perturbation a batch of 100; the paper perturbs each device's part separately. The arms
#    with smaller parts are ablations here.
# 7. Search: every arm, the baseline included, gets the same number of trials from one sequence.
# 8. Our reading: the random direction of the placebo is drawn over all parameters together, with
#    the length that tuning chose for it.
# 9. Our reading: ASAM scales all parameters, biases too, by their absolute value.
# 10. Sharpness: power iteration on a few hundred training images, not the whole spectrum.
#
# ### What would change our mind
#
# A deeper net with BatchNorm or more data could turn each of these verdicts and has not been tried
# here yet, nor has averaging the weights, the cheap rival that later work names; another search
# could too, as the control shows. The verdicts speak of this scale only, and the authors are
# welcome to answer: a reply will be printed here.
#
# ### Exercises
#
# 1. *The norm.* Take the norm of $\epsilon$ layer by layer instead of over all parameters. Does the
#    radius that works change? (`SAM.ascent` is the place.)
# 2. *The first pass for free.* Use the gradient of the previous step to climb, so that a step costs
#    one pass. What is lost?
# 3. *The verdict's nerve.* How large would the gain at equal cost have to be for this experiment to
#    call it *supported*, if it had half as many seeds?
#
# <details><summary>Solution 1</summary>
#
# Subclass `SAM` and let `ascent` return every group with each gradient divided by its own norm:
# `(w, [g / (g.norm() + 1e-12) for g in gradients], rho)`. With $k$ tensors the total length grows
# to $\rho \sqrt{k}$, so expect a smaller radius to work, and measure it: a knob that means
# something else must be tuned again.
#
# </details>
#
# <details><summary>Solution 2</summary>
#
# Keep a clone of the last gradient (the closure clears `.grad`; the first step has none) and
# perturb along it before calling the closure once, as the placebo does along a random vector. The
# stale gradient belongs to another batch, so what is left is the part of the ascent direction that
# all batches share. That smaller parts of a batch do better, as the paper finds, suggests that this
# is not the part that helps; test it.
#
# </details>
#
# <details><summary>Solution 3</summary>
#
# With `out = page.verdicts["noise"].interval`, compare `stats.detectable_gain(out.sd, n, out.level,
# 0.01)` at `n = out.n` and at half of it. The interval widens by a little more than $\sqrt 2$, but
# the rule asks for two things, an interval above zero and a mean above the margin, and which of
# them binds depends on the number of seeds.
#
# </details>
