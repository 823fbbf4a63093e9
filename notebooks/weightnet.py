# %% [markdown]
# # WeightNet: does a kernel that depends on the input pay?
#
# *WeightNet: Revisiting the Design Space of Weight Networks*, Ma, Zhang, Huang and Sun, ECCV 2020
# {cite}`ma2020`.

# %% tags=["parameters", "remove-input"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% tags=["remove-input"]
import torch
from IPython.display import Markdown, display
from torch.nn import functional as F

from reviewlib.page import chapter
from reviewlib.papers.weightnet import figures, method, nets, variants

page = chapter.open_chapter("weightnet", preset=preset, device=device, seeds=seeds, data=data)
page.answer()
display(figures.in_short(page))

# %% [markdown]
# A convolution has one kernel for all images. WeightNet makes a kernel for each: it averages the
# input over its pixels, and a small net turns the averages into weights. The paper finds this more
# accurate at equal operations, in nets for phones.
#
# But operations are not seconds, and a net can spend them otherwise. So this page gives the static
# net three chances: as many operations, as many parameters, and as much time. And it asks whether
# the *input* matters, by giving every image the kernels of another one. The default `quick` preset
# runs in half a minute; the evidence (`laptop`) takes an hour on two cores.
#
# ## What the paper claims
#
# We could read the abstract, the tables of the authors' repository, and their code, not the full
# text. Each of their numbers is one run, without an interval.

# %% tags=["hide-input"]
page.claims()

# %% [markdown]
# ## What others found
#
# - **A reproduction** in PyTorch finds two thirds of the paper's gain for ShuffleNetV2 1x on
#   ImageNet, which is still more than our margin, over a better plain net; one run each
#   ([DequanWang/weightnet.pytorch](https://github.com/DequanWang/weightnet.pytorch)).
# - **Ports** copy the initialization rule by its formula. PyTorch keeps grouped weights in another
#   shape, so the formula gives kernels with a standard deviation of one there
#   ([khy0809/WeightNet](https://github.com/khy0809/WeightNet)). BatchNorm hides it.
# - **Users of PyTorch** find convolutions with many groups slow on a GPU, and a kernel for every
#   sample needs a group for every sample
#   ([pytorch/pytorch issue 70954](https://github.com/pytorch/pytorch/issues/70954)).
# - **Later work** scales a *single* kernel along four of its dimensions by the input. On ImageNet
#   it reports gains over static kernels, as large as those of mixtures {cite}`li2022`.
# - **Earlier reviews.** One of the reviews that this book grew out of doubts whether attention over
#   channels means anything for vision in general. The experiment with another image's gates asks
#   this.
#
# ## The idea, by hand
#
# Let the input $x$ have $C$ channels and the output $O$. Two linear maps, with no ReLU between, and
# a sigmoid make $M \cdot O$ activations from the means of the channels,
#
# $$\alpha(x) = \sigma(F_1(F_0(\text{mean}(x)))), \qquad \text{vec}(W'(x)) = F_2(\alpha(x)),
# \qquad y = W'(x) * x,$$
#
# and $F_2$ is a linear map in $G \cdot O$ groups, so it has $M / G$ times the weights of a static
# kernel. One group in all, with $m$ inputs, is a mixture of $m$ kernels: CondConv
# {cite}`yang2019`. One group and one input for each output is a gate on every output channel:
# squeeze-and-excite {cite}`hu2018`, but before BatchNorm, and from the means of the convolution's
# input. The released "1x" has $M = G = 2$, so
# every group still has **one** input, and nothing is mixed. Its kernel is a *static* one, each half
# of each filter multiplied by a number between 0 and 1. The cell builds it so, and stops if the
# library differs.

# %%
torch.manual_seed(0)
layer = method.WeightNetConv2d(8, 4, 3, padding=1)
x = torch.randn(5, 8, 6, 6)
gates = torch.sigmoid(layer.fc1(layer.reduce(x.mean((2, 3))))).view(5, 4, 2)
static = layer.bank.view(4, 2, 4, 3, 3)  # filter, half, channel of the half, k, k
by_hand = []
for image, gate in zip(x, gates, strict=True):
    kernel = (gate[:, :, None, None, None] * static).reshape(4, 8, 3, 3)
    by_hand.append(F.conv2d(image[None], kernel, padding=1))
assert torch.allclose(layer(x), torch.cat(by_hand), atol=1e-6)

# %% [markdown]
# ## The idea, as code
#
# This is the code that the experiment runs. `reviewlib/papers/weightnet/method.py` needs only
# torch. A batch becomes one convolution with a group for every sample. Where nothing is mixed,
# there is an exact form without a kernel for every sample: convolve each half of the input with its
# part of the static kernel, and add the results, gated. The layer takes the form that a count of
# numbers predicts to be the faster one on a CPU.

# %%
of = method.WeightNetConv2d
display(*(chapter.source(each) for each in (of.alpha, of.forward, of.kernels, of.folded, of.gated)))

# %% [markdown]
# The placebo and the learned constant change one line each, and the second task, in which a kernel
# that depends on the input helps, is a wrapper around the same net.

# %% tags=["hide-input"]
display(*(chapter.source(each) for each in (variants.Shuffled, variants.Constant)))
chapter.source(nets.OneOfTwo.forward)

# %% [markdown]
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017`, averaged down to 14 × 14 pixels, and a net of three convolutions
# with BatchNorm. As in the paper, the first convolution and the classifier are static in every arm;
# the other two are what the arm is. The static nets are wider by as much as takes WeightNet's
# parameters, or its time of a step, which was measured before the final seeds and is tested again
# below. At the same learning rate, a gate of one half moves a kernel a quarter as far, so every arm
# has its own search.
#
# **A control that must gain.** If the gates gain nothing, is the experiment blind to them? In the
# second task, a net sees two images side by side in its channels, and a mark in a corner says
# which of them it must name. Few pixels of a feature map can see the mark, but its mean, from which
# gates are made, carries it to all of them. The distractor is one of 256 training images. Each arm
# takes its settings from the first task, with three learning rates, and three times the steps. The
# dashed line in its picture is logistic regression on single images.

# %% tags=["hide-input"]
page.experiment()

# %% [markdown]
# ## Results

# %% tags=["hide-input", "card"]
figures.show_costs(page)
page.compare("equal-flops", "equal-parameters", "equal-time", "se", "wider", "longer")
page.show_finals()
display(figures.equal_time(page))
Markdown(
    "Against the same static net, WeightNet 1x differs by "
    f"{page.says('equal-flops')}; with as many parameters, by {page.says('equal-parameters')}; in "
    f"equal time, by {page.says('equal-time')}; against squeeze-and-excite, by {page.says('se')}."
)

# %% [markdown]
# ### What a step takes
#
# Operations are not time, and both depend on the size of the net. In a small net, calls and memory
# count more than multiplications; so gates and means may cost what a large convolution would hide,
# and width may be cheaper than its operations. Layers that mix kernels write a kernel for every
# sample, of as many numbers as the layer has weights. The table has the time of a step in the net
# that is trained here and in a larger one: forward, backward and update on 64 images.

# %% tags=["hide-input"]
display(figures.larger(page))
Markdown(
    "The time of another net's step, divided by WeightNet's: the static net "
    f"{page.says('step-time')}; the wider static net {page.says('step-time-equal')}; "
    f"squeeze-and-excite {page.says('step-time-se')}; the static net four times as wide "
    f"{page.says('step-time-large')}. Below 1, WeightNet is the slower one."
)

# %% [markdown]
# ### Does the input matter?
#
# Three tests. In training and in tests, every image gets the gates of another image. The gates are
# a learned constant. And in the finished net, each gate is held at its mean. The last asks what a
# finished net makes of its gates, the others what it would be without them. Then the control that
# must gain.

# %% tags=["hide-input"]
page.compare("placebo", "constant", "pair", "pair-placebo", "pair-se")
display(figures.gates(page))
Markdown(
    f"Where the input must matter, WeightNet differs from the static net by {page.says('pair')}, "
    f"from itself with another image's gates by {page.says('pair-placebo')}, and from "
    f"squeeze-and-excite by {page.says('pair-se')}. On the plain task, the second is "
    f"{page.says('placebo')}."
)

# %% [markdown]
# ### How long you search
#
# The same contrasts for searches of every length: the expected score of the best of $k$ tries in
# each arm, by validation. The verdicts are those at 4 tries.

# %% tags=["hide-input"]
page.show_search("equal-flops", "equal-parameters", "equal-time", "se")

# %% [markdown]
# ## Ablations
#
# CondConv and WeightNet 4x have a search of their own; the others take their settings from the arm
# that they vary, with three learning rates. The untuned pair shares one learning rate below the
# range of the searches, as in a comparison that tunes nothing; at rates within the range, a pilot
# saw no such loss.

# %% tags=["hide-input"]
page.compare("one-gate", "condconv", "two-times", "four-times", "four-times-wide")
page.compare("se-static", "se-linear", "condconv-static", "untuned")
figures.show_rates(page)
Markdown(
    "At the shared learning rate that nobody tuned, WeightNet differs from the static net by "
    f"{page.says('untuned')}; tuned, by {page.says('equal-flops')}. One gate for every filter, "
    f"which costs less, differs from WeightNet's two by {page.says('one-gate')}, in favor of two."
)

# %% [markdown]
# ## In combination
#
# We ran no combination. The gates are ordinary parameters, so every loss and optimizer goes with
# them. Whether a gain adds to that of SAM or AugMix is asked once there is a gain to add.
#
# ## Verdict

# %% tags=["hide-input"]
page.closing()
Markdown(
    f"At this scale: **{page.verdict('equal-flops')}** against the same net with static kernels, "
    f"**{page.verdict('equal-parameters')}** at equal parameters, "
    f"**{page.verdict('equal-time')}** in equal time, and **{page.verdict('se')}** against "
    "squeeze-and-excite.\n\n"
    "The static net, searched again on the same images, differs from itself by "
    f"{page.says('a_a-main')}."
)

# %% [markdown]
# ### Limits
#
# One data set of small gray images, one net of 7,000 weights, two generated layers of 3 × 3, five
# epochs; the table of gates says how far they come to vary in that time. The paper's nets have
# millions of weights and see a million images some 240 times; what gates do there we cannot say.
# With so few channels, the inner width of the gates, 16, squeezes nothing.
#
# *Equal time* holds for this processor, on one thread, and for a net this small; the picture above
# has the operations that the wider net gets in that time. In a larger net another width takes
# WeightNet's time, as the table of steps shows. No net was trained there, so its accuracy is open.
# We have not timed a GPU, nor the test of single images, where a phone spends its time.
#
# The static net with WeightNet's parameters does more operations than WeightNet.
#
# The control that must gain has one distractor and one mark, was chosen among several in pilots for
# the sake of a gain, and trains three times as long at settings of the plain task. It shows that
# the layer can use its input and that the experiment would notice. It says nothing on how often
# real images need this.
#
# ### When to use it
#
# Train the plain net longer first, which costs nothing at test time, or widen it. If operations or
# parameters are what you may not spend, as on a phone, time the net *on that phone* with and
# without gates before you train anything. If you add gates, begin with one for every filter, which
# is half as many. A kernel that depends on the input is for tasks in which a property of the whole
# image says what to look for, like the second task here.
#
# ### Differences from the paper
#
# 1. Data and nets: 6,000 images of Fashion-MNIST at 14 × 14 pixels and three convolutions of 3 × 3;
#    the paper has ImageNet and ShuffleNetV2, whose convolutions are 1 × 1 and depthwise.
# 2. Schedule: 500 steps of 64 images along half a cosine, SGD with momentum; the paper's falls
#    linearly over 300,000 steps, with label smoothing and color jitter.
# 3. Initialization: the generated kernel starts with the variance of PyTorch's static one.
# 4. Weight decay acts on all parameters, also those of BatchNorm and biases; in the authors' code
#    on weights only.
# 5. The width is the same with and without gates; the paper's falls at 1.0x from 116 to 112.
# 6. Each layer makes its own means; in the authors' code, the layers of a block share the first
#    linear map.
# 7. Our reading: squeeze-and-excite stands after BatchNorm, with a ReLU, and its inner width is
#    that of WeightNet, at least 16.
# 8. CondConv has the gates of WeightNet, from two linear maps; the original has one.
#
# ### What would change our mind
#
# A registered run, with a net and data of the paper's kind, in which WeightNet beats a static net
# that takes as long on the same device. Or a task of real images in which another image's gates
# lose more than the margin.
#
# ### Exercises
#
# 1. *A finer gate.* With $M = G = 4$, every quarter of a filter has a gate. Which form does the
#    layer take at 14 × 14 pixels and 32 channels, and why?
# 2. *Twice the sigmoid.* A gate of $2\sigma$ starts at one instead of one half. What happens to the
#    best learning rate?
# 3. *Softmax.* In CondConv with four experts, replace the sigmoid by a softmax over the experts. Is
#    it then still a special case of WeightNet?
#
# <details><summary>Solutions</summary>
#
# 1. Gates pass over 4 · 196 = 784 numbers for an output, and a kernel has 32 · 9 = 288, so it folds
#    the batch (`layer.is_gated(x)` is false).
# 2. With a bank half as large, the kernel starts as before. It moves twice as far for the same
#    change of its bank, and the bank's gradient is twice as large. So we expect the best learning
#    rate to fall, by up to four; we have not run it.
# 3. No: a softmax makes the gates of one sample depend on each other, and WeightNet's sigmoid acts
#    on each activation by itself. The grouped map is the same.
#
# </details>
