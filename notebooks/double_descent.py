# %% [markdown]
# # Double descent: does a bigger model get worse before it gets better?
#
# *Deep Double Descent: Where Bigger Models and More Data Hurt*, Nakkiran, Kaplun, Bansal, Yang,
# Barak and Sutskever, ICLR 2020 {cite}`nakkiran2020`, and the paper that gave the effect its name,
# Belkin, Hsu, Ma and Mandal, PNAS 2019 {cite}`belkin2019`.

# %% tags=["parameters", "remove-input"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% tags=["remove-input"]
import pandas as pd
import torch
from IPython.display import Markdown, display

from reviewlib.page import chapter, curves
from reviewlib.papers.double_descent import arms, figures, method

page = chapter.open_chapter("double_descent", preset=preset, device=device, seeds=seeds, data=data)
page.answer()

# %% [markdown]
# A textbook draws test error against the size of a model as a U: too small underfits, too large
# overfits. These papers draw a U, then a peak at the size that can just fit the training labels,
# and then a second descent. Near the peak a bigger model, or *more data*, can hurt. Should that
# change how you choose a size?
#
# This page rebuilds the curve with small nets up to a width of 1,024, and with random features,
# where it is exact linear algebra. It asks what matters in practice: is the peak still there when
# you tune the weight decay, or stop the training, on validation data? And does more data ever hurt
# a net? The default `quick` preset runs in about a minute; the evidence (`laptop`) takes under an
# hour on two cores.
#
# ## What the paper claims
#
# Test error peaks where a model can just fit its training labels, whether width, training time or
# the number of samples leads there. Label noise makes the peak higher; with clean labels CIFAR-10
# shows a plateau and no peak. The paper itself says that optimal early stopping removes most of it.
# Its vision curves are single runs without intervals, and the numbers below are the authors'
# published results as a third party converted them.
#
# We read the sizes that claims compare, the minimum and the peak, off the validation accuracy of
# ten pilot seeds: seeds that locate a peak and then test it always find one. The registration has
# them.
#
# *More data hurts* needs a word of care. For a fixed number of random features without a penalty,
# theory predicts it: error peaks at as many samples as features. The paper reports it for some
# trained nets, too. Whether it holds for ours is the open question, so the primary claim asks that.

# %% tags=["hide-input"]
page.claims()

# %% [markdown]
# ## What others found
#
# - **Later work on the penalty.** For linear regression on isotropic data a tuned L2 penalty
#   provably removes the peak, and experiments with random features and nets agree
#   {cite}`nakkiran2021`.
# - **Later work on the axis.** In linear models, trees and boosting the second descent appears
#   because one axis shows two kinds of complexity. Over their effective number of parameters, these
#   models follow the U again {cite}`curth2023`. That work does not study deep nets.
# - **Later work on pruning.** Pruning a trained net walks the curve in the other direction: error
#   first rises to the peak, then falls again {cite}`he2022`.
# - **Users.** Public reproductions of the fully connected net report a weak peak, unless each net
#   starts from the solution of the next smaller one (josch14/double-descent,
#   Dave69178/double_descent_reproduction). One found no peak at all, with clean labels and few
#   epochs (99991/double-descent).
# - **Earlier reviews.** The reviews that this book grew out of ask whether deep nets obey the
#   trade-off of bias and variance at all, and whether the effect survives other optimizers and
#   schedules.
#
# ## The idea, by hand
#
# Fit labels by a linear read-out of features. With fewer features than examples, least squares has
# one solution, which misses some labels. With more features, infinitely many solutions hit every
# label, and we take the one of *minimum norm*. With exactly as many there is a single solution, and
# it hits every label, wrong ones too, at any price. Two numbers show the solution of minimum norm:


# %%
phi, y = torch.tensor([[3.0, 4.0]]).double(), torch.tensor([[5.0]]).double()
by_hand = phi.T * y / phi.norm() ** 2  # of all w with 3 w1 + 4 w2 = 5 the one nearest to 0
assert torch.allclose(by_hand, method.minimum_norm(phi, y)), by_hand
penalty = 0.1  # the ridge solution of one example: the same direction, shorter
shorter = phi.T * y / (phi.norm() ** 2 + penalty)
assert torch.allclose(shorter, method.ridge(phi, y, penalty)), shorter

# %% [markdown]
# And the peak on a toy: thirty examples with a hundred possible features, labels that are a linear
# function of these plus noise, and a fit that sees only the first few features. When it sees as
# many features as examples, it has to fit the noise and has no choice left. A small penalty gives
# it the choice back.


# %%
def toy_error(count, penalty, seed, n=30, noise=0.5):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n + 500, 100, generator=g, dtype=torch.float64)
    truth = torch.randn(100, 1, generator=g, dtype=torch.float64) / 10
    y = x @ truth + noise * torch.randn(len(x), 1, generator=g, dtype=torch.float64)
    w = method.ridge(x[:n, :count], y[:n], penalty)
    return (x[n:, :count] @ w - y[n:]).square().mean().item()


counts = (1, 3, 5, 10, 15, 20, 24, 27, 30, 33, 36, 45, 60, 100)
where = [count for count in counts for _ in range(20)]
toy = {
    f"penalty {penalty:g}": pd.Series(
        [toy_error(at, penalty, seed) for seed, at in enumerate(where)], index=where
    )
    for penalty in (0.0, 0.3)
}

# %% tags=["hide-input"]
text = (
    "Toy: error on new examples against the number of features, mean over 20 draws. The line marks "
    "as many features as examples; there a few draws decide the mean."
)
marks, axes = {"examples": 30}, ("features", "mean squared error")
drawn = curves.over(toy, *axes, marks, text, y_scale="log")
alt = "Line chart: the error without a penalty peaks at 30 features, with one it does not."
page.show(drawn._replace(alt=alt))

# %% [markdown]
# ## The idea, as code
#
# This is the code that the experiment runs. `reviewlib/papers/double_descent/method.py` needs only
# torch, so you can copy it into any project. One singular value decomposition gives both solutions.
# The rule for which singular values count as zero is part of the method: a generous cut, or
# float32, is a penalty that nobody mentions.
#
# The paper's axis is not the number of parameters but the *effective model complexity* of a whole
# training procedure: the largest number of examples on which it still reaches a small training
# error. It grows with width and with training time, and shrinks when labels are noisy. The paper
# conjectures that where this number is about $n$, more complexity can hurt. The cell first measures
# it for random features on labels that are pure noise, where only exact hits count, and stops
# unless it is the number of features.


# %%
def misses(n, count=24):
    g = torch.Generator().manual_seed(n)
    x, y = torch.randn(n, 10, generator=g), torch.randint(3, (n,), generator=g)
    net = method.RandomFeatures(10, count, g).fit(x, y, 3)
    gap = (net(x) - torch.nn.functional.one_hot(y, 3)).abs().amax(1)
    return (gap > 1e-6).double().mean().item()


assert method.effective_model_complexity(misses, most=100, epsilon=0.0) == 24
display(chapter.source(method.ridge), chapter.source(method.RandomFeatures.fit))
chapter.source(method.effective_model_complexity)

# %% [markdown]
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017`, averaged down to 14 × 14 pixels. There are two families. **Nets**
# have one hidden layer of different widths and train by Adam for two hundred epochs of all images.
# All widths of all seeds train as one batched model, and a test compares each with the same net
# alone. **Random features** are ReLUs of random directions under a least-squares read-out. We count
# them in multiples of the number of samples $n$, a quarter of a run's training images, because the
# cost of a closed form is cubic in it. In most conditions a fifth of the labels is replaced by a
# different class, in training and validation. Test labels are clean, and a seed has the same wrong
# labels at every size.
#
# The learning rate falls to zero along half a cosine. The deep paper keeps it constant. In a pilot
# a constant rate cost the small nets several points and the widest hardly any, because the last
# step lands wherever the noise of the batches takes it; an ablation shows what that does to the
# curve.
#
# The papers propose no method. They study a model *without* a penalty, the arm `No penalty`, which
# may be as bad as it likes. Its first rival is the same net with a weight decay searched at every
# size, anew on every seed (a ridge penalty for the features). The second costs looks at validation
# only: every net is also scored at the step with its lowest error on (noisy) validation labels.

# %% tags=["hide-input"]
page.experiment()

# %% [markdown]
# ## Results
#
# The first figure shows the nets over their width. The dashed line marks the effective model
# complexity: the smallest width that misses at most a tenth of its own (noisy) training labels, the
# deep paper's heuristic. From there on, the complexity is at least the number of images. The second
# figure takes the net of the peak's width and varies the number of its images.

# %% tags=["hide-input"]
figures.show_nets(page)
figures.show_images(page)
nets = ("peak", "second-descent", "penalty", "more-data", "early-peak")
page.compare(*nets, "more-data-with-penalty", "early-more-data")
early = {w: page.record.of("plain", f"width-{w}-noisy") for w in (arms.BEST, arms.PEAK)}
rows = page.record.of("decay", f"width-{arms.PEAK}-noisy")
Markdown(
    f"From the best width before it to the peak the nets lose {page.says('peak')}; the widest net "
    f"differs from the best small one by {page.says('second-descent')}. At the peak's width, "
    f"weight decay is worth {page.says('penalty-at-peak')} and early stopping "
    f"{100 * (early[arms.PEAK]['early_accuracy'] - early[arms.PEAK]['accuracy']).mean():+.2f}; "
    f"they end at {100 * rows['accuracy'].mean():.1f}% and "
    f"{100 * early[arms.PEAK]['early_accuracy'].mean():.1f}%."
)

# %% [markdown]
# ### Random features
#
# The third figure's line marks where random features fit (nearly) any labels: their rank reaches
# the number of samples, except for a unit or two that is dead on all of them. The fourth fixes the
# number of features and lets the number of samples grow through it, which is what theory is about.

# %% tags=["hide-input"]
figures.show_features(page)
figures.show_samples(page)
descents = ("features-peak", "features-clean-peak", "features-second-descent")
penalties = ("features-penalty", "features-penalty-widest")
more = ("features-more-data", "features-more-data-penalty")
display(page.contrasts(*descents, "features-clean-second-descent", *penalties, *more))
Markdown(
    "From few samples to as many as features, random features without a penalty lose "
    f"{page.says('features-more-data')}; still more samples win that back. With a penalty they "
    f"gain {page.says('features-more-data-penalty')}. Many random features differ "
    f"from the best few by {page.says('features-second-descent')} with wrong labels, and by "
    f"{page.says('features-clean-second-descent')} with clean ones."
)

# %% [markdown]
# ## Ablations
#
# Do the wrong labels make the peak? Does Adam, or its falling rate? And does longer training walk
# the same curve? The first figure repeats a few widths with clean labels, with SGD, and with the
# deep paper's constant rate. The second follows three nets along training, on validation labels
# that are as wrong as the training labels; a curve that falls, rises and falls again is epoch-wise
# descent. The third shows the widest net on test images, in runs that end early. The claim compares
# the end with three tenths of the steps, so it misses a small fall after a later maximum. The last
# figure shows what the length of the search changes in the claim about weight decay.

# %% tags=["hide-input"]
figures.show_other_conditions(page)
figures.show_training(page)
figures.show_shortened(page)
names = ("descent", "penalty-widest", "widest-with-penalty", "clean-peak", "amplified")
others = ("sgd-peak", "sgd-second-descent", "constant-peak", "constant-second-descent", "epochs")
display(page.contrasts(*names, *others))
page.show_search()
Markdown(
    "Whether the widest net beats the small one depends on the training. It differs by "
    f"{page.says('second-descent')} with Adam at a falling rate, by "
    f"{page.says('constant-second-descent')} at a constant one, and by "
    f"{page.says('sgd-second-descent')} with SGD (added when we saw the figure). At the width of "
    f"the peak, nets lose {page.says('sgd-peak')} with SGD and {page.says('constant-peak')} at a "
    f"constant rate; clean labels have no peak: {page.says('clean-peak')}."
)

# %% [markdown]
# ## In combination
#
# [Pruning](lottery_tickets.ipynb) walks along this page's axis too. A net wider than the peak's
# trains for a while; then its largest weights go back to where they began, and only these train to
# the end. Fewer and fewer weights lead back through the threshold. If sparsity is just another way
# to be small, the error rises on the way to the threshold and falls beyond it. Four levels are too
# few to locate the highest error exactly. We did not try a random mask: this is about sparsity, not
# about which weights are kept. The first line of the table asks whether the way leads through a
# peak, the second whether it leads out again.

# %% tags=["hide-input"]
figures.show_pruned(page)
page.contrasts("pruning-peak", "pruning-descent")

# %% [markdown]
# ## Verdict
#
# A penalty costs no pass, so equal steps are equal cost. Its price is the search.

# %% tags=["hide-input"]
page.closing()
Markdown(
    f"Whether there is a peak at the threshold: **{page.verdict('peak')}**; a second descent below "
    f"the first minimum: **{page.verdict('second-descent')}**; whether more data hurts a net: "
    f"**{page.verdict('more-data')}**; no loss at the peak with a tuned weight decay: "
    f"**{page.verdict('penalty')}**.\n\nIn practice, a tuned weight decay is worth "
    f"{page.says('penalty-at-peak')} at the peak's width, and {page.says('penalty-widest')} in the "
    "widest net, which has no peak to avoid. Stopped early, the small net differs from the one "
    f"of the peak's size by {page.says('early-peak')}. The price of weight decay is one "
    "hyperparameter and its search; that of early stopping, looks at validation."
)

# %% [markdown]
# ### Limits
#
# The verdict on the second descent is about Adam at a falling rate. The paper's own schedule and
# SGD turn its sign, because the small net does worse under both; the ablations have them. The small
# size and the peak were chosen at the falling rate; with SGD the worst width is a smaller one.
#
# More data was varied at one width, up to the threshold and not beyond, with as many steps at every
# number of images.
#
# Pilot seeds chose the sizes that claims compare. The peak and the first minimum of the final seeds
# could lie at neighbors; the first figure shows where they lie.
#
# Intervals should reach at most half a margin to each side. Those of the three claims without a
# penalty reach further. More seeds would narrow them, and not to half a margin: two nets that fit
# wrong labels disagree on many images, and the test pool has no more of these.
#
# The checklist's *healthy arms* lists nets without a penalty. They do worse than a logistic
# regression on the same wrong labels, at every width; the papers' claims are about such nets, so we
# declared it beforehand. Compare with that floor, too.
#
# ### When it matters
#
# The peak matters when you train to the end without a penalty and without early stopping, on labels
# that are partly wrong (random features: even on clean ones). Then a model that just fits is worse
# than a smaller one. The cheap remedy is to keep the checkpoint that is best on validation, noisy
# labels and all, which costs looks at validation only. The other is to search the weight decay over
# several powers of ten, which costs a training a trial. The first figure shows how little the size
# matters then, except for the smallest nets.
#
# The effect remains useful as a diagnosis. If test error gets worse while you make a model larger,
# look at the gap to the training error before you look for a better size: perhaps the model lacks a
# penalty, not parameters.
#
# ### Differences from the papers
#
# 1. Data: Fashion-MNIST subsets at 14 × 14 pixels; the papers use CIFAR, MNIST and translation.
# 2. Models: nets with one hidden layer; the deep paper's are residual and convolutional nets and
#    Transformers. A small convolutional net over its width is part of the GPU preset.
# 3. Training: two hundred epochs of Adam at a falling rate; the deep paper trains for thousands at
#    a smaller, constant rate, and its SGD rate falls with the square root of time.
# 4. Loss: cross-entropy for nets, as in the deep paper; the earlier paper's nets have squared loss,
#    where the threshold lies at as many parameters as examples times classes.
# 5. Random features are ReLUs of random directions without a bias in the read-out; the earlier
#    paper's are cosines. For the peak only the rank of the features matters.
# 6. Smaller nets do not hand their solution to larger ones, as the earlier paper's do.
# 7. Weight decay is L2 in Adam's gradient, biases included; the penalty of ridge is on a mean over
#    examples.
# 8. Pruning is one-shot, by layer, after three tenths of the steps.
#
# ### What would change our mind
#
# A deeper net whose peak survives a tuned weight decay, or has a peak with clean labels, as the
# paper reports for CIFAR-100. Or wider nets without any penalty that end below everything that
# tuning reaches.
#
# ### Exercises
#
# 1. *Where the peak goes.* Fit the toy with twice the examples. Where is the peak now, and which
#    number of features became worse by having more data?
# 2. *A hidden penalty.* Raise the cut of `method.ridge` step by step at as many features as
#    examples. When does the peak vanish, and what have you reinvented?
# 3. *Ensembles.* The paper reports that averaging several nets helps most near the threshold. Try
#    it on random features: average the outputs of ten draws of directions.
#
# <details><summary>Solutions</summary>
#
# 1. Call `toy_error` with `n=60`. The peak moves to 60 features. The fit with 60 features was past
#    its peak and now stands on it: sample-wise double descent is the same picture along the other
#    axis.
# 2. The peak vanishes as the cut passes the smallest singular values. To cut small singular values
#    is principal component regression, a relative of ridge, with the cut as its penalty. A
#    library's default cut for float32 can be enough, which is how a reproduction loses the peak.
# 3. The average approaches the kernel of infinitely many features, which has a penalty of its own,
#    and removes the variance over directions, most of the peak. Ten draws of N ≥ n features cost
#    about as much as one draw of ten N.
#
# </details>
