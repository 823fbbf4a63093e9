# %% [markdown]
# # SAM: does a flat minimum pay for its second gradient?
#
# *Sharpness-Aware Minimization for Efficiently Improving Generalization*, Foret, Kleiner, Mobahi
# and Neyshabur, ICLR 2021 {cite}`foret2021`.

# %% tags=["parameters", "remove-input"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% tags=["remove-input"]
import torch
from IPython.display import Markdown, display

from reviewlib.page import chapter
from reviewlib.papers.sam import figures, m_sharpness, method

page = chapter.open_chapter("sam", preset=preset, device=device, seeds=seeds, data=data)
page.answer()

# %% [markdown]
# SAM computes two gradients in every step: one to climb to the worst point within a small radius of
# the weights, and a second one there, for the update. A step costs twice the passes. The paper
# reports lower test error nearly everywhere, and large gains when labels are wrong. Should you pay?
#
# This page searches the settings of SAM and of its rivals equally, and does so anew on every seed.
# The default `quick` preset runs in about a minute; the evidence (`laptop`) takes a good hour of
# one core.
#
# ## What the paper claims
#
# The paper's baseline already accounts for SAM's cost: it is the better of the standard and the
# *doubled* number of epochs. SAM's radius is tuned over six values. We could not check how widely
# the paper searches the learning rate and the weight decay of each side.

# %% tags=["hide-input"]
page.claims()

# %% [markdown]
# ## What others found
#
# - **Later work on the cause.** Flat minima should generalize, but measured sharpness does not rank
#   networks by how well they do: adaptive sharpness correlates weakly, and out of distribution
#   sometimes with the wrong sign {cite}`andriushchenko2023`.
# - **Later work on the recipe.** SAM helps when each small part of the batch gets a perturbation of
#   its own (m-sharpness). With label noise SAM also fits the wrong labels in the end, so early
#   stopping is part of the gain {cite}`andriushchenko2022`.
# - **Later work on the rivals.** Averaging weights along training costs a fraction of SAM. SAM
#   beats it on some tasks and loses to it on others {cite}`kaddour2022`.
# - **Cheaper forms.** MosaicML's Composer takes the second gradient only every tenth step, with a
#   radius ten times as large. It reports that a ResNet keeps its gain at a small part of the cost,
#   and no gain where training sees every example only once (mosaicml/composer, SAM's README).
# - **Users.** Issue trackers of public implementations report no gain, and a baseline that the
#   official code does not reproduce (google-research/sam issue 6, sayakpaul/SAM-TF issue 3).
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
# with $g = \nabla L(w)$. So one step needs two gradients: climb to $w + \epsilon(w)$, take the
# gradient *there*, go back, and apply it at $w$.
#
# The smallest loss with sharp and flat minima is $L(w) = (w_1 w_2 - 1)^2$. Every point with
# $w_1 w_2 = 1$ is a minimum, and the valley is widest where $w_1 = w_2$. The cell takes one step in
# plain PyTorch and one with the library, and stops if they differ.


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
# Now each takes sixty steps from the same start. Gradient descent walks to the nearest minimum and
# stays. SAM cannot rest in a narrow place: the gradient a radius away pushes it back and forth
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
page.show(figures.contours(loss, paths, around=(-0.05, 1.45, 0.9, 2.4)))

# %% [markdown]
# ## The idea, as code
#
# This is the code that the experiment runs. `reviewlib/papers/sam/method.py` needs only torch, so
# you can copy it into any project. SAM is an optimizer around an optimizer:

# %%
display(chapter.source(method.SAM.step), chapter.source(method.restored))

# %% [markdown]
# `restored` puts the saved bits back; adding and subtracting $\epsilon$ would drift. Two details
# decide whether an implementation is right. The norm runs over *all* parameters together, not layer
# by layer. And the second pass must not change BatchNorm's running statistics, or they describe a
# network that is never used. `adaptive=True` measures the radius relative to the size of each
# weight (ASAM {cite}`kwon2021`), which makes it invariant to rescaling. The experiment trains many
# runs as one batched model; `norm_axis=1` leaves the axis of runs out of the norm, and a test
# compares each run with the same run alone. In `m_sharpness.py` each of $k$ parts of the batch
# (`chunks=k`, $m$ examples each) gets its own perturbation; the step takes the mean gradient.

# %%
display(chapter.source(method.SAM.ascent), chapter.source(m_sharpness.MSharpSAM.parts))

# %% [markdown]
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017`, averaged down to 14 × 14 pixels, in three conditions: a network
# with one hidden layer of 128 units on clean labels; the same with 40% of the labels replaced by a
# different class, in training and validation; and a small convolutional net with BatchNorm on
# clean labels and mirrored images. We did not run this net with wrong labels.
#
# Equal trials are not equal coverage: SAM spreads the same number of points over one more
# hyperparameter. The figure shows where each seed's search ended.

# %% tags=["hide-input"]
page.experiment()

# %% [markdown]
# ## Results
#
# In the second figure, the first three lines compare at equal cost, the last three at equal steps,
# where SGD costs half as much as SAM.

# %% tags=["hide-input"]
page.show_finals()
equal_cost = ("clean", "noise", "cnn")
page.compare(*equal_cost, *(f"{name}-equal-steps" for name in equal_cost))
Markdown(
    f"At equal cost SAM changes accuracy by {page.says('clean')} with clean labels, by "
    f"{page.says('noise')} with 40% wrong ones, and by {page.says('cnn')} with the convolutional "
    f"net. With clean labels a true gain of {page.notices('clean')} would have been called "
    "supported four times in five; the margin there is about what the paper reports on this data "
    "set."
    f"\n\nTwice the steps change SGD by {page.difference('sgd_2x', 'sgd', 'clean')}, "
    f"{page.difference('sgd_2x', 'sgd', 'noise')} and {page.difference('sgd_2x', 'sgd', 'cnn')}. "
    "Where that is negative, equal steps is the harder comparison."
)

# %% [markdown]
# ### How long you search, and what costs less
#
# Whoever tries few settings gets another answer than whoever tries many. The next figure gives the
# same contrasts for searches of every length, from the trials above: the expected score of the best
# of $k$ tries in each arm, by validation. The verdicts are those at 8 tries. A method with one more
# hyperparameter needs more tries to find good settings; the figure shows how many.
#
# Below it, SAM meets two rivals that need no second gradient: label smoothing, and a moving average
# of the weights, which later work names {cite}`kaddour2022`. Both are compared at equal steps, so
# at half of SAM's cost.

# %% tags=["hide-input"]
page.show_search(*equal_cost, "direction")
clean = ("clean-against-smoothing", "clean-against-average")
page.compare(*clean, "noise-against-smoothing", "noise-against-average")

# %% [markdown]
# ## Ablations
#
# - *Direction.* The placebo perturbs along a random direction. Its own search chooses its length
#   and learning rate, so the contrast compares two tuned recipes, at equal steps. The placebo costs
#   half: it needs no first pass.
# - *Weight decay.* Two arms hold it at zero, to see how much of SAM's gain is weight decay that an
#   untuned SGD did not get.
# - *Last step.* A method that memorizes wrong labels more slowly looks better at the last step, so
#   one contrast stops both arms at their best validation step.
# - *Other forms.* The paper finds that smaller parts of the batch generalize better: one arm takes
#   $m$ = 25 instead of all 100, with a search of its own, since a smaller part acts like a larger
#   radius. ASAM's radius has other units, and a range of its own.

# %% tags=["hide-input"]
decay = ("noise-both-without-decay", "noise-untuned-baseline", "noise-decay-alone")
page.compare("direction", *decay, "noise-early-stopped", "m-25", "adaptive")
page.show_curves("noise", "sgd", "sgd_2x", "sam", "sgd_wd0", "sam_wd0")
stops = {arm: page.record.of(arm, "noise") for arm in ("sgd_2x", "sam")}
gains = {a: 100 * (r["early_accuracy"] - r["accuracy"]).mean() for a, r in stops.items()}
Markdown(
    "Against an SGD without weight decay, a tuned SAM changes accuracy by "
    f"{page.says('noise-untuned-baseline')}; tuning the weight decay of SGD changes it by "
    f"{page.says('noise-decay-alone')}.\n\nStopping early changes SGD with twice the steps by "
    f"{gains['sgd_2x']:+.2f} points and SAM by {gains['sam']:+.2f}, on average. The first ends at "
    f"{100 * stops['sgd_2x']['train_accuracy'].mean():.0f}% accuracy on its training labels; a net "
    "that memorizes the wrong ones would be near 100%."
)

# %% [markdown]
# ### Is it the flatness?
#
# Are SAM's minima flatter? And does flatness rank the arms, or the seeds within an arm, by test
# error? Two measures, on training images with the labels that the net was given: the Hessian's top
# eigenvalue, and the largest rise of the loss that ascent finds within the paper's default radius.
# The table divides SGD's eigenvalue by SAM's: above 1, SAM's minimum is the flatter one.

# %% tags=["hide-input"]
display(page.contrasts("flatter", "flatter-without-decay"))
figures.show_sharpness(page, "noise")

# %% [markdown]
# ## In combination
#
# Two methods often solve the same problem, and then their gains do not add up: in the paper's Table
# 5 SAM gains less than half as much next to cutout as alone (WRN-28-10). Here SAM meets label
# smoothing, one argument of the loss. The interaction is what both give together beyond the sum of
# what each gives alone. The last table gives the main effects, averaged over without and with the
# other method, also as factors of the error: where each method removes a fixed share of the errors,
# the factors show no interaction and the points do.

# %% tags=["hide-input"]
page.compare("smoothing-added-last", "smoothing-equal-cost", "smoothing-interaction")
page.two_by_two("sgd", "sam", "smoothing", "sam_smoothing", "noise")

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
page.closing()
differ = page.difference
Markdown(
    f"At this scale, at equal cost: **{page.verdict('clean')}** with clean labels, "
    f"**{page.verdict('noise')}** with 40% wrong ones, **{page.verdict('cnn')}** with the "
    f"convolutional net. On the ascent direction: **{page.verdict('direction')}**.\n\n"
    "The baseline, searched again on the same images, differs from itself by "
    f"{page.says('a_a-clean')} with clean labels, by {page.says('a_a-noise')} with wrong ones, and "
    f"by {page.says('a_a-cnn')} with the convolutional net.\n\nLabel smoothing changes SGD by "
    f"{differ('smoothing', 'sgd', 'clean')} with clean labels, and its test loss by "
    f"{differ('smoothing', 'sgd', 'clean', 'nll')}; averaged weights change its accuracy by "
    f"{differ('average', 'sgd', 'clean')}. SAM takes twice the passes, and changes the loss "
    f"of SGD by {differ('sam', 'sgd', 'clean', 'nll')}."
)

# %% [markdown]
# ### Limits
#
# Wrong validation labels blur the search: a difference in true accuracy shrinks to little more than
# half its size on them, and the best trials tie, exactly or nearly. Under our first protocol one
# such tie changed a verdict; now every seed searches for itself, and the result averages over all
# searches of 8 tries.
#
# The convolutional net trains for ten epochs of its mirrored images and does not fit all of its
# training labels; a method that regularizes has little to mend there. SAM's radius is searched from
# 0.02 up; the smallest that the paper ends up with is 0.01. This net runs on fewer seeds than the
# dense one, because a search of it costs about three times as much; each of its seeds has more test
# images. Label smoothing and averaged weights were not tried with it.
#
# Equal cost counts passes. The table of steps above has the time, in which a step of SAM costs a
# little more than its two passes; counted in seconds, SGD would get more than twice the steps.
#
# Our schedule ends at a rate near zero, where an average of the weights changes little. This says
# nothing about averaging at a constant rate.
#
# The registration misprints the upper end of an old interval, that with clean labels under our
# first protocol; the protocol page has the right one.
#
# ### When to use it
#
# SAM costs one more hyperparameter, two gradients a step, a copy of the weights, and a file of some
# 130 lines. Before you pay, search the learning rate and the weight decay of what you have over a
# wide range, and try label smoothing, which costs no extra pass; where you need good probabilities,
# compare the test loss, too. If you still have training time to spare, search SAM's radius (the
# values that the paper ends up with lie between 0.01 and 0.2) with more than a handful of tries,
# and compare at equal cost on your own validation data.
#
# ### Differences from the paper
#
# 1. Data: Fashion-MNIST subsets at 14 × 14 pixels; the paper trains on all of it, on CIFAR, SVHN
#    and ImageNet.
# 2. Model: a network with one hidden layer, and one of three convolutions with BatchNorm. The
#    paper's are residual networks.
# 3. Label noise: a wrong label is always a *different* class, in validation too. The paper tunes
#    its radius on clean validation images.
# 4. Schedule: few steps along half a cosine, batches of 100 (the paper: 256), plain momentum (the
#    official code: Nesterov), no gradient clipping, and no augmentation, except that the
#    convolutional net also sees every image mirrored (the paper crops and flips at random).
# 5. Weight decay acts in the base optimizer and does not enter the perturbation, as in the paper's
#    Algorithm 1; in the official code it is part of the loss.
# 6. One perturbation for a batch of 100; the paper perturbs each device's part separately.
# 7. Our reading: the placebo draws its random direction over all parameters together.
# 8. Our reading: ASAM scales all parameters, biases too, by their absolute value.
# 9. Our reading: the average of the weights runs along the whole schedule; the work that names this
#    rival averages over the last part, at a constant rate.
# 10. Sharpness: power iteration on a few hundred training images, not the whole spectrum.
#
# ### What would change our mind
#
# A registered run in which SAM gains the margin at equal cost, with an interval above zero. Likely
# places: a net that memorizes its wrong labels; a residual net that trains for longer; 10,000
# training images (the `gpu` preset, which has not run yet); radii below 0.02.
#
# ### Exercises
#
# 1. *The norm.* Take the norm of $\epsilon$ layer by layer instead of over all parameters. Does the
#    radius that works change? (Override `SAM.ascent`.)
# 2. *The first pass for free.* Climb along the gradient of the previous step, so that a step costs
#    one pass. What is lost?
# 3. *The size of a verdict.* How large must the gain at equal cost be for this experiment to call
#    it *supported* with half as many seeds?
#
# <details><summary>Solutions</summary>
#
# 1. Subclass `SAM` and let `ascent` return `w`, the list of parameters with a gradient, and
#    `[rho * p.grad / (p.grad.norm() + 1e-12) for p in w]`. With $k$ tensors the total length grows
#    to $\rho \sqrt{k}$, so expect a smaller radius to work, and measure it: a hyperparameter that
#    changes its meaning must be tuned again.
# 2. Keep a clone of every last gradient (the closure clears `.grad`; the first step has none). Call
#    `self.ascent` with a function that returns a copy of it, climb, and call the closure once, as
#    the placebo does with random vectors. The old gradient belongs to another batch, so only the
#    direction that all batches share is left. The paper finds that smaller parts of a batch do
#    better, so the shared direction is probably not what helps. Test it.
# 3. With `out = page.verdicts["noise"].interval` and `stats` from `reviewlib.evidence`, compare
#    `stats.detectable_gain(out.sd, n, out.level, 0.01)` at `n = out.n` and at half of it. The
#    interval widens by a little more than $\sqrt 2$. But the rule asks for an interval above zero
#    and for a mean that reaches the margin; the number of seeds decides which is harder.
#
# </details>
