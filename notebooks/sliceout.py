# %% [markdown]
# # SliceOut: does a slice of a net train as well in less time?
#
# *Improving compute efficacy frontiers with SliceOut*, Notin, Gomez, Yoo and Gal, 2020
# {cite}`notin2020`.

# %% tags=["parameters", "remove-input"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% tags=["remove-input"]
import torch
from IPython.display import Markdown, display
from torch import nn

from reviewlib.page import chapter
from reviewlib.papers.sliceout import figures, method, sliced

page = chapter.open_chapter("sliceout", preset=preset, device=device, seeds=seeds, data=data)
page.answer()
display(figures.in_short(page))

# %% [markdown]
# Dropout computes a whole layer and then throws half of it away. SliceOut does not compute it in
# the first place. Each step trains a *contiguous* range of each hidden layer's units, so that the
# small matrices are views of the large ones, and the test uses them all. The paper promises a tenth
# to four tenths less time and memory, at the accuracy of dropout.
#
# Two questions decide. How much of the saving is left in PyTorch? And does a net that is simply
# narrower not do as well in the same time? This page times whole steps, several processes in turn,
# and gives the narrow net the time that SliceOut takes. The default `quick` preset runs in half a
# minute; the evidence (`laptop`) takes under an hour on two cores.
#
# ## What the paper claims
#
# We could read the abstracts of the two versions, and a paragraph on the algorithm, not the full
# text. So seeds, intervals, hardware and most tables are unknown to us, and the authors published
# no code. What follows from that stands in the list of differences, as *our reading*.

# %% tags=["hide-input"]
page.claims()

# %% [markdown]
# ## What others found
#
# - **A newsletter's summary** has two results of the full text, which stand in the table above: a
#   convolutional net that saves about a third of its time, and a transformer that saves a tenth
#   ([The Batch](https://read.deeplearning.ai/the-batch/dropout-with-a-difference/)).
# - **Users.** A request for SliceOut in a library of TensorFlow layers found no implementation in
#   any framework; it was closed without one (tensorflow/addons issue 2145).
# - **Later work.** Dropping whole blocks regularizes more than dropping single units at one rate,
#   and its best rate is lower: so every method here has its own search. In the same work, blocks
#   saved time for one net, and cost time for another {cite}`lo2024`.
# - **Earlier reviews.** One of the reviews that this book grew out of likes the saving, *if tuning
#   it does not eat it up*, and asks how efficient slicing is in PyTorch. Every search here has as
#   many trials, so tuning costs all the same; the second question has a picture below.
#
# ## The idea, by hand
#
# A hidden layer of $n$ units keeps $w$ of them, $S = \{o, \dots, o + w - 1\}$, where the start $o$
# is uniform over the eligible ones. With $S'$ for the slice of the layer before,
#
# $$h_S = c \cdot \phi(W_{S, S'}\, h_{S'} + b_S).$$
#
# The next layer then sees a part of its inputs, so a gain $c$ makes up for the rest. *Flow* takes
# $c = n / w$ for all units. But a unit at the edge lies in fewer slices than one in the middle.
# *Probabilistic* takes one over a unit's own probability to be kept, which leaves the mean right
# for every unit. The cell cuts a net of two hidden layers by hand, and stops if the library
# differs.

# %%
torch.manual_seed(0)
one, two, three = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
net = method.SliceOut(one, nn.ReLU(), two, nn.ReLU(), three, keep=0.5)
x = torch.randn(3, 4)
torch.manual_seed(1)
o, p = (int(torch.randint(8 - 4 + 1, ())) for _ in range(2))  # where each slice starts
h = 2 * torch.relu(x @ one.weight[o : o + 4].T + one.bias[o : o + 4])
h = 2 * torch.relu(h @ two.weight[p : p + 4, o : o + 4].T + two.bias[p : p + 4])
by_hand = h @ three.weight[:, p : p + 4].T + three.bias
torch.manual_seed(1)
assert torch.allclose(net(x), by_hand, atol=1e-6)

# %% [markdown]
# Where a slice may start decides how even the chances are. If it may start anywhere, a unit at the
# edge of a layer of 512 lies in one slice out of 257, and its probabilistic gain is 257: one such
# unit can drown a layer. Fewer starts make the chances more even, down to two slices that do not
# overlap. Then both gains agree, and a layer has only two halves to train.

# %% tags=["hide-input"]
starts = {"anywhere": 1, "multiples of 64": 64, "two slices": 256}
page.show(
    figures.chances({key: method.keep_probabilities(512, 256, of) for key, of in starts.items()})
)

# %% [markdown]
# ## The idea, as code
#
# This is the code that the experiment runs. `reviewlib/papers/sliceout/method.py` needs only torch.
# A `SliceOut` is a chain of layers, like `nn.Sequential`: two hidden layers, a convolutional block
# with BatchNorm, or the feed-forward block of a transformer.

# %%
display(chapter.source(method.SliceOut.draw), chapter.source(method.SliceOut.forward))

# %% [markdown]
# Slicing is free in the forward pass, because a range of a tensor is a view. It is not free in the
# backward pass. The gradient of a view is as large as the whole parameter and mostly zeros, and the
# optimizer then walks over all of it. With `leaves=True`, each slice becomes a leaf of the graph,
# with a gradient of its own size, and an optimizer of slices updates the weights through the view:
# units outside the slice keep their values, and their momentum, bit by bit.

# %%
display(chapter.source(method.SliceOut.part), chapter.source(sliced.Sliced.step))

# %% [markdown]
# One trap on the way: the fused optimizers of torch write past the view if they are given one, into
# other units, without an error. `Sliced` refuses them.
#
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017`, averaged down to 14 × 14 pixels, and a net of two hidden layers of
# 512 units, on few images and for many epochs: this is where dropout lowered the loss in our
# pilots. The keep rate is tuned with the learning rate and the weight decay, in as many trials for
# every arm; of the narrow net, it is the width. *In SliceOut's time* means a number of steps that
# was fixed by a timing before the final seeds, and that the timings below test again. The narrow
# net gets the time of a slice of its own width. The dense net gets the time that SliceOut's *whole
# search* takes, so less than SliceOut's choice if that keeps more units than the average trial.
#
# Single steps are timed apart from the training, on one thread, in processes that are started one
# after another. Within a process the arms take turns, and the shortest of several rounds counts. A
# step is forward, backward and update; drawing the batch is the same for all, and left out.

# %% tags=["hide-input"]
page.experiment()

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
page.show_finals()
page.compare("accuracy", "narrow-equal-time", "dense-equal-time", "dense", "narrow", "dropout")
display(page.contrasts("step-time-dense", "step-time-narrow", "memory-dense", "memory-narrow"))
display(figures.chosen_keeps(page))
Markdown(
    "The time of a step, divided by that of SliceOut's with half of the units: torch's dropout "
    f"{page.says('step-time')}; the dense net {page.says('step-time-dense')}; a narrow net of half "
    f"the width {page.says('step-time-narrow')}. Below 1, SliceOut is the slower one.\n\n"
    f"In accuracy, SliceOut differs from dropout by {page.says('accuracy')}, and from a narrow net "
    f"that trains for as long by {page.says('narrow-equal-time')}."
)

# %% [markdown]
# ### How efficient is slicing in PyTorch?
#
# Here is every form of a step, for three perceptrons, a convolutional block and a feed-forward
# block, as a multiple of the dense net's step. The narrow net is the bound: it computes as much,
# and has nothing to cut. The first table asks what contiguity is worth: random units are as many,
# but their weights must be copied. The second tests "equal time".

# %% tags=["hide-input"]
figures.show_steps(page)
display(figures.contiguity(page), figures.equal_time(page))

# %% [markdown]
# ### How long you search
#
# The same contrasts for searches of every length: the expected score of the best of $k$ tries in
# each arm, by validation. The verdicts are those at 8 tries. All arms share a range of learning
# rates whose upper part makes SliceOut diverge more often than the others, because a whole batch
# shares one slice. So a part of its loss is the price of searching; with more tries it shrinks.

# %% tags=["hide-input"]
page.show_search("accuracy", "narrow-equal-time", "dense-equal-time")

# %% [markdown]
# ## Ablations
#
# Each form of SliceOut keeps half of the units here and has a search of its own over the learning
# rate and the weight decay. A form that gains from another keep rate is not helped by this.

# %% tags=["hide-input"]
page.compare("half-dropout", "half-dense", "half-narrow", "half-plain", "half-random")
gains = ("half-probabilistic", "half-partition", "half-none")
page.compare(*gains, "half-unaligned", "half-coarse", "placebo")

# %% [markdown]
# ### Does it regularize like dropout?
#
# A regularizer should lower the loss on test images even where accuracy stays. The second table
# asks what the later version of the paper calls an implicit ensemble: how good is a single slice,
# how good are eight together, and does the whole net do as well in one pass? If it does, its
# difference from the eight is near zero. For dropout, a pass has a random mask for every image.

# %% tags=["hide-input"]
loss = ("dropout-nll", "nll", "nll-dense", "narrow-nll", "half-dropout-nll", "calibration")
display(page.contrasts(*loss), figures.losses(page), figures.parts(page))

# %% [markdown]
# ## In combination
#
# We ran no combination. Ordinary slices are views of ordinary parameters, so any loss and any
# optimizer go with them. SAM needs its two gradients at one slice: in this book's training loop
# both passes of a step draw the same random numbers, so they meet the same slice. Leaves take one
# pass a step and an optimizer that updates each entry by itself.
#
# ## Verdict

# %% tags=["hide-input"]
page.closing()
Markdown(
    f"At this scale: **{page.verdict('step-time')}** on the time of a step and "
    f"**{page.verdict('memory')}** on activation memory, against dropout at half of the units; "
    f"**{page.verdict('accuracy')}** on accuracy against dropout, and "
    f"**{page.verdict('narrow-equal-time')}** on accuracy against a narrow net in equal time.\n\n"
    "The dense net, searched again on the same images, differs from itself by "
    f"{page.says('a_a-main')}; its step, timed twice, by {page.says('a_a-own_50-step_seconds')}."
)

# %% [markdown]
# ### Limits
#
# Times are of one processor, on one thread, with nets of hundreds to thousands of units. A GPU
# bounds small nets by the launching of kernels, and large ones by other things than a CPU does; we
# have not timed one. The dense nets here train with torch's fused SGD, which SliceOut's leaves
# cannot use.
#
# A part of the saving against dropout is torch's: on a CPU its dropout draws slowly and keeps a
# mask of floats, on a GPU one of bytes. And dropout before a ReLU is the same function as after it,
# and saves one tensor less; we time it where people put it. The comparisons with the dense net and
# the narrow net have no such part.
#
# After the final seeds had started, we found that torch's plain kernels update slices faster than
# its `foreach` kernels, to the same bit. The timings have the faster form; the steps in equal time
# were fixed with the slower one, and the table above tests them with the faster one.
#
# Accuracy is measured for one net and one size of data. The convolutional and the feed-forward
# block are timed, not trained to the end. *Equal time* holds on this processor: elsewhere a step
# may cost another multiple of the narrow net's.
#
# The whole net was tested as it is. Whether another scale in the test, or more epochs, would bring
# it up to the ensemble of its slices is open.
#
# A timing's interval covers what differs between launches of a process on this machine. It does
# not cover other machines or other versions of torch.
#
# ### When to use it
#
# First ask whether a narrower net, or fewer steps, will do. They need no code, a narrow net saves
# more than SliceOut at the same width, and its saving lasts: the test, too, runs the narrow net. If
# the test loss counts more than accuracy, compare it too: there SliceOut does well. SliceOut is for
# those who need the wide net in the end and have little time to train it. Then time one step of
# your own net before you search anything. In wide perceptrons, leaves and their optimizer pay; in
# the convolutional and the feed-forward block, plain slices are as fast. Search the learning rate
# anew, as one mask for a whole batch narrows the range that works.
#
# ### Differences from the paper
#
# 1. Data and nets: 1,000 images of Fashion-MNIST at 14 × 14 pixels and a perceptron; the paper's
#    are Wide ResNets, EfficientNets and transformers on CIFAR, ImageNet and LM1B.
# 2. Hardware: one thread of a CPU; the paper's is unknown to us, a GPU we think.
# 3. Our reading: every hidden layer is sliced, and each draws its own start, once a step.
# 4. Our reading: widths and starts are multiples of 8 units; the paper restricts the starts to
#    "eligible positions" that we do not know.
# 5. Our reading: "flow" is the constant $n / w$, and "probabilistic" is one over a unit's own
#    probability. "Partition" is ours.
# 6. Our reading: the gain comes before a ReLU, where it saves memory and changes nothing, and after
#    any other activation.
# 7. Our reading: units outside the slice keep their momentum and are not decayed. The paper updates
#    "the corresponding slice" of the weights; plain slicing is the other reading, and an ablation.
# 8. Our reading: in a convolutional block, channels are cut, not patches of the image; BatchNorm
#    keeps the statistics that it saw in slices.
# 9. Schedule: 300 steps of 100 images along half a cosine, SGD with momentum.
# 10. Memory is counted as the bytes that a forward pass saves for its backward pass, with the
#     normalized images. Weights, gradients and momentum are not in it; leaves make the gradients
#     smaller, too.
#
# ### What would change our mind
#
# A registered run, on a GPU or with a net that dropout helps more, in which SliceOut beats the
# narrow net by the margin in equal time. Likely places: a net so large that its training is stopped
# early, and one whose width cannot be cut for other reasons.
#
# ### Exercises
#
# 1. *The edge.* Train `half_probabilistic` with slices that start anywhere. Which units get the
#    largest gain, and what happens to the loss?
# 2. *Around the corner.* Let a slice wrap around the end of a layer, so that every unit is kept
#    equally often. What does it cost? (Override `SliceOut.draw`.)
# 3. *Where is the time?* At which keep rate does a step of SliceOut take as long as a dense one, in
#    a net of 512 units and in one of 2,048?
#
# <details><summary>Solutions</summary>
#
# 1. With `align=1` and half of 512 units, the first and the last unit are kept once in 257 draws,
#    so their gain is 257. When such a unit is drawn, it dominates its layer. We expect most runs to
#    diverge unless the learning rate is far smaller; we have not run it.
# 2. Return the unit numbers `(start + torch.arange(width)) % units` as a tensor. Each unit is kept
#    with probability $w / n$, so "flow" is exact. But a tensor of numbers is no range: weights are
#    copied, as for random units. Two ranges, one at each end, would be views, at the cost of two
#    products a layer.
# 3. Declare a `Timing` for more keep rates, or call `reviewlib.train.timing.seconds` with one step
#    for each. Expect it below one: cutting costs a little, and dense nets have a fused optimizer.
#
# </details>
