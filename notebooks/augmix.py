# %% [markdown]
# # AugMix: does mixing augmentations make a net robust?
#
# *AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty*, Hendrycks, Mu,
# Cubuk, Zoph, Gilmer and Lakshminarayanan, ICLR 2020 {cite}`hendrycks2020`.

# %% tags=["parameters", "remove-input"]
import os

preset = os.environ.get("REVIEWLIB_PRESET", "quick")  # quick, laptop or gpu
device = "auto"  # auto, cpu or cuda
seeds = None  # number of final seeds; None for the preset's own
data = None  # name of a data set; None for the preset's own

# %% tags=["remove-input"]
from functools import partial

import pandas as pd
import torch
from IPython.display import Markdown, display

from reviewlib.page import chapter
from reviewlib.papers.augmix import arms, figures, losses, method
from reviewlib.papers.augmix.figures import pictures

page = chapter.open_chapter("augmix", preset=preset, device=device, seeds=seeds, data=data)
page.answer()

# %% [markdown]
# A net that was trained on clean photographs meets fog, noise and bad compression when it is used.
# It then makes many more errors, and it is too sure of itself. AugMix changes only the training.
# Every image is sent through a few random chains of mild operations, and the results are mixed with
# the image. A second term of the loss asks the net to predict the same for the image and for two
# such mixtures. None of the operations is one of the corruptions that it is tested on.
#
# A step with three views takes three forward and backward passes. That is the *cost* on this page;
# making the views takes time on top, and the table of costs has the seconds. So this page gives the
# plain net three times the steps, fits a temperature for everybody, and asks what two lines in
# front of the net would have done. The default `quick` preset runs in about a minute; the evidence
# (`laptop`) takes about an hour on two cores.
#
# ## What the paper claims
#
# The comparisons are at equal epochs; the released code has one seed. Its README says that the
# method needs no tuning.

# %% tags=["hide-input"]
page.claims()

# %% [markdown]
# ## What others found
#
# - **The authors, asked.** With the released code, a user saw the divergence hardly change the mean
#   error on CIFAR-100-C, where the paper's table has it gain about four points. The answer was that
#   this may be noise, and that the paper did not use exactly this code (google-research/augmix
#   issue 6).
# - **Users.** In the discussion of a popular library's implementation, one random augmentation with
#   the divergence beat AugMix's mixing with it, and with more epochs the augmentation without the
#   divergence came near: at equal cost, three views of an image leave room for a third as many
#   different images (huggingface/pytorch-image-models discussion 162). The card of another library
#   says that it saw limited benefits, and training slowed down by processors that augment
#   (mosaicml/composer).
# - **Later work.** Augmentations help with corruptions that look like them. On corruptions chosen
#   to look like nothing seen in training, the gains of AugMix and others shrink a lot
#   {cite}`mintun2021`. So we split the corruptions by what they resemble.
# - **Later work on the simplest form.** One random operation of random strength is a strong
#   augmentation, with nothing to tune {cite}`muller2021`. Our placebo is close to it: one of
#   AugMix's operations, with a severity that is tuned.
# - **Earlier reviews.** One of the reviews that this book grew out of repeats the paper's claim:
#   mixing and the divergence improve robustness and uncertainty, by making the net's response
#   smooth. It asks for no control. Its readers would want two: as many passes for the plain net,
#   and a temperature, the one number that usually mends a net's confidence {cite}`guo2017`.
#
# ## The idea, by hand
#
# Let $x$ be an image. Draw $k$ chains of one to three operations, weights $w \sim
# \text{Dirichlet}(1, \dots, 1)$ and a share $m \sim \text{Beta}(1, 1)$. The augmented image is
#
# $$x' = (1 - m)\, x + m \sum_{i=1}^{k} w_i \,\text{chain}_i(x).$$
#
# The loss takes the label for the image itself only. With predictions $p, p', p''$ for the image
# and two mixtures, and their mean $\bar p$, it adds $\lambda = 12$ times the Jensen-Shannon
# divergence
#
# $$\tfrac13\left(\text{KL}(p \,\|\, \bar p) + \text{KL}(p' \,\|\, \bar p) +
# \text{KL}(p'' \,\|\, \bar p)\right).$$
#
# Here it is for four pixels, two chains of one operation each, and three classes.

# %%
x = torch.tensor([0.0, 60, 120, 250])
posterized = (x / 16).floor() * 16  # four of eight bits stay
solarized = torch.where(x < 200, x, 255 - x)  # what is bright is inverted
by_hand = 0.5 * x + 0.5 * (0.7 * posterized + 0.3 * solarized)

p = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.6, 0.1, 0.3]])  # clean, and two mixtures
divergence = sum((each * (each / p.mean(0)).log()).sum() for each in p) / 3

# %% [markdown]
# Now the library does the same, with choices that we write down instead of drawing them. The cell
# stops if the two differ.

# %%
u = (2.2 - 0.1) / (3.0 - 0.1)  # the level 2.2, between 0.1 and the severity
plan = method.Plan(
    operation=torch.tensor([[[0], [1]]]),
    u=torch.full((1, 2, 1), u),
    sign=torch.ones(1, 2, 1),
    w=torch.tensor([[0.7, 0.3]]),
    m=torch.tensor([0.5]),
)
augment = method.AugMix(3.0, width=2, depth=1, operations=("posterize", "solarize"))
mixed = 255 * augment.apply(x.view(1, 1, 1, 4) / 255, plan).flatten()
assert torch.allclose(mixed, by_hand), (mixed, by_hand)
assert torch.allclose(method.jensen_shannon(*p.log().unsqueeze(1)), divergence)
rows = {"image": x, "posterized": posterized, "solarized": solarized, "mixed": mixed}
display(pd.DataFrame(rows).T.round(1))

# %% [markdown]
# ## The idea, as code
#
# This is the code that the experiment runs. `reviewlib/papers/augmix/method.py` needs only torch,
# so you can copy it into any project. It works on a whole batch at once, and still every image
# draws its own chains: each step of the chains sorts the images by their operation. The random
# numbers come from the CPU, so a GPU is never asked to wait.

# %%
display(chapter.source(method.AugMix.draw), chapter.source(method.AugMix._mixed_chains))
display(chapter.source(method.jensen_shannon), chapter.source(method.AugMixLoss.__call__))

# %% [markdown]
# One garment on its way: three chains, the mix of their ends, and the part of it that is shown to
# the net. The severity here is higher than the paper's 3, so that you can see it.

# %%
sample = page.sample()
augment = method.AugMix(severity=8.0, generator=torch.Generator().manual_seed(12))
steps = pictures.chains(augment, augment.draw(1), sample.validation.images[7:8])
page.show_images(steps, "gray level", caption="Three chains of operations, and their mix.")

# %% [markdown]
# ## The experiment
#
# Fashion-MNIST {cite}`xiao2017` at 28 × 28 pixels, and a net of three convolutions with BatchNorm.
# All arms see images that are mirrored at random and cropped after a border of one pixel is added.
# The arms of the main comparison search their learning rate and weight decay, and those with
# AugMix's operations also AugMix's severity. The ablations and the combination take AugMix's
# settings and try three learning rates. Only clean validation images choose, as it must be if the
# corruptions are unknown.
#
# Each seed's test images are then corrupted, by the 15 corruptions of CIFAR-10-C
# {cite}`hendrycks2019` in our own code for small gray images, and by four of MNIST-C
# {cite}`mu2019`. Every test image is seen once with each corruption, at severities that take turns.
# No two seeds share a test image.

# %% tags=["hide-input"]
page.show(pictures.gallery(sample.validation.images[7:8]))
page.experiment()

# %% [markdown]
# We split the corruptions by what AugMix's operations resemble. *Overlapping*: brightness and
# contrast, which autocontrast, equalize and solarize change too, and the elastic transform, which
# rotates and shears. *Disjoint*: the other twelve, by their names. Snow, frost and fog are among
# them, and they also change brightness and contrast; so look at their rows before you read the mean
# of the group. *Far*: stripes, dotted lines, zigzags and inverted bands, which no camera makes.
#
# Calibration is the root mean square of confidence minus accuracy over 15 bins, within each
# corruption, and then the mean over them. The *scaled* error divides the logits by a temperature,
# fitted for each trained net on its clean validation images.
#
# The *simple* rival standardizes each image by its own mean and deviation, in place of one mean for
# all. The *placebo* is one random operation, neither chained nor mixed, at a third of AugMix's
# cost. *AugMix without JSD* shows one mixture a step, with its label; with three times the steps it
# costs as much as AugMix.
#
# ## Results
#
# The first figure compares what an arm gets on clean images with what it costs; then come the
# corrupted ones. The last one shows the primary claims for searches of every length: the severity
# is chosen on clean images, so a longer search may choose less robust nets.

# %% tags=["hide-input"]
page.show_costs("main", "crop_3x", "augmix", "standardized", "one_operation", "mixed_3x", "mixed")
equal_steps = ("corrupted-equal-steps", "clean-equal-steps")
page.compare("corrupted", "jsd", "clean", *equal_steps, "placebo", "placebo-alone")
page.show_search()
Markdown(
    f"On corrupted images, AugMix differs from flip + crop at equal cost by "
    f"{page.says('corrupted')}, and on clean ones by {page.says('clean')}. Against its own "
    f"augmentation without the divergence, at equal cost, it differs by {page.says('jsd')}."
)

# %% [markdown]
# ### By corruption
#
# Which corruptions does it help with? If only with those that look like its operations, it trains
# on the test. The simple rival is in the picture too. The *relative error* is the error over the
# baseline's at equal cost, corruption by corruption, and then the mean, so that hard corruptions do
# not weigh more than easy ones.

# %% tags=["hide-input"]
figures.show_corruptions(page)
page.compare("disjoint", "overlapping", "far", "standardized", "standardized-far")
Markdown(
    "By group, AugMix against flip + crop at equal cost: disjoint "
    f"{page.says('disjoint')}, overlapping {page.says('overlapping')}, far {page.says('far')}. "
    f"AugMix against standardized images, which cost a third: {page.says('standardized')}. Without "
    f"snow, frost and fog, disjoint: {figures.after_the_fact(page, figures.QUIET)}. Standardized "
    "images against flip + crop, far: "
    f"{page.difference('standardized', 'crop', 'main', 'far_accuracy')}. Relative error: AugMix "
    f"{figures.relative_error(page, arms.augmix)}, standardized images "
    f"{figures.relative_error(page, arms.standardized)}."
)

# %% [markdown]
# ### Calibration
#
# Is AugMix better calibrated than a net with one fitted number? The primary claim gives both a
# temperature. The text below also compares AugMix *without* one to the baseline *with* one. The
# picture shows two nets that this notebook trains at fixed settings with equal steps, so AugMix
# costs three times as much, on corrupted validation images. Its bins are equally full, those of the
# error equally wide. The table has the expected error (ECE, the mean gap), the adaptive one (with
# equally full bins) and the root mean square, in percent.

# %% tags=["hide-input"]
nets = {"flip + crop": losses.on_crops, "AugMix": partial(losses.on_agreement, severity=3.0)}
page.show(pictures.trained_reliability(sample, nets))
unscaled = ("calibrated-unscaled", "calibrated-clean")
page.compare("calibrated", "calibrated-equal-steps", *unscaled, "standardized-calibrated")
display(figures.calibration_table(page))
Markdown(
    "Positive is in favor of AugMix. On corrupted images it lowers the calibration error by "
    f"{page.says('calibrated')} if both have a temperature, and by "
    f"{page.says('calibrated-unscaled')} if neither has. AugMix without a temperature, against the "
    f"baseline with one, lowers it by {figures.against_temperature(page)}."
)

# %% [markdown]
# ## Ablations
#
# - *What is the divergence worth?* At equal steps, against one mixture with its label; with the
#   same three views, each with its label; and of three plain crops, without AugMix.
# - *What is the augmentation worth?* AugMix without the divergence against flip + crop, both at the
#   cost of AugMix. No arm separates mixing from chaining.
# - *Does it train on the test?* The heat map leaves out one operation at a time and looks at each
#   corruption. An operation that prepares for a corruption shows as a dark blue cell; red is a
#   loss.

# %% tags=["hide-input"]
parts = ("jsd-equal-steps", "jsd-same-views", "agreement-alone", "mixed-alone", "jsd-calibrated")
page.compare(*parts)
figures.show_left_out(page)
operations = (name.replace("_", "-") for name in method.OPERATIONS)
display(page.contrasts(*(f"with-{name}" for name in operations)))
Markdown(
    "On clean images, AugMix against its augmentation without the divergence, at equal cost: "
    f"{page.difference('augmix', 'mixed_3x', 'main')}."
)

# %% [markdown]
# ## In combination
#
# Does AugMix still help when images are standardized? The table compares flip + crop, AugMix and
# standardized images alone, and both together. The net with both takes AugMix's settings and tries
# half, once and twice the learning rate; it costs three times as much as standardized images alone.
# The interaction is what AugMix adds to standardized images minus what it adds alone; below zero,
# the two overlap.

# %% tags=["hide-input"]
page.compare("standardized-alone", "standardized-clean", "added-last", "interaction")
page.compare("added-last-calibrated")
Markdown(
    "Standardizing alone is worth "
    f"{page.says('standardized-alone')} on corrupted images. On top of it, AugMix adds "
    f"{page.says('added-last')} for three times the passes, and lowers the scaled calibration "
    f"error by {page.says('added-last-calibrated')}."
)

# %% [markdown]
# ## Verdict

# %% tags=["hide-input"]
page.closing()
Markdown(
    f"Whether AugMix helps on corrupted images at equal cost: **{page.verdict('corrupted')}**; "
    f"whether it is better calibrated there, with a temperature for both: "
    f"**{page.verdict('calibrated')}**; whether the divergence pays for its views: "
    f"**{page.verdict('jsd')}**; whether clean accuracy is kept: **{page.verdict('clean')}**.\n\n"
    "Luck alone: the baseline searched again differs from itself by "
    f"{page.says('a_a-main-corrupted_accuracy')} on corrupted images."
)

# %% [markdown]
# ### Limits
#
# One data set of small gray images with black backgrounds, and one small net, trained for a short
# time. On a black background, brightness, contrast, fog, frost and snow change what the net sees
# most, and these are what autocontrast, equalize and standardized images undo. On photographs their
# share should be smaller, and so should the lead of the simple rival.
#
# The corruptions are our own code, and their five levels are weighed equally. A benchmark shows
# every image at all five levels; here each is shown at one, which adds some noise, and the interval
# covers it.
#
# AugMix's severity is chosen on clean images, and most seeds choose a low one. There translation
# does nothing, and rotation and shear little, while autocontrast and equalize have no level: they
# act fully at any severity. A user who knows the corruptions could choose a higher one. The weight
# of the divergence stays at the paper's 12. Some seeds chose the highest weight decay for flip +
# crop at equal cost, so a higher one could make it better.
#
# All arms whose row says *at the settings of AugMix* tried only three learning rates. A search of
# their own might raise or lower them on corrupted images, because clean images choose. The heat map
# comes from ten seeds of half the images, where a small cell alone says little. No arm standardizes
# images *and* trains three times as long, so what AugMix adds on top is not tested at equal cost.
#
# On corrupted images, the difference between two searches of the same baseline varies much more
# from seed to seed than on clean ones. All intervals of the page hold that luck. The control on it
# is so wide that it cannot tell whether something else is wrong.
#
# ### When to use it
#
# If the corruptions that you expect change brightness or contrast, first standardize each image by
# its own mean and deviation. It takes no further pass, and the figures show what AugMix adds on
# top. It can hurt where large parts of an image are overwritten or inverted; AugMix, too, need not
# help where a corruption is unlike all of its operations. Look at the far group.
#
# Compare AugMix and its augmentation without the divergence three times: on corrupted images, in
# calibration, and on clean images. The first also depends on how long you search. Then see in the
# heat map which operations the gain rests on. Fit a temperature and check it on images like those
# that you expect: for a net that is already calibrated it can change little, or overshoot.
#
# ### Differences from the paper
#
# 1. Data: 2,000 images of Fashion-MNIST a seed; the paper has CIFAR and ImageNet.
# 2. Model: three convolutions with BatchNorm, the smaller of two widths that we tried.
# 3. Schedule: 40 batches of 50 an epoch, 20 epochs, half a cosine, momentum without Nesterov; the
#    paper trains for 100 epochs and more.
# 4. Images are padded by one pixel before they are cropped, where the paper has four of 32. In
#    pilots four cost all arms several points: the clothes fill the frame.
# 5. The severity is searched from 0.3 to 10; the paper has 3, and 1 on ImageNet.
# 6. Our reading: the three views share one crop, as in the released code, and the label goes to the
#    clean view only.
# 7. Corrupted images: our batched forms of the 15 corruptions, with CIFAR-10-C's constants. They
#    depart in frost (a random map, no photographs), glass blur, motion blur, elastic transform and
#    JPEG; `reviewlib/data/corruptions` lists all of it. Severities take turns over the images.
# 8. Calibration is averaged over corruptions; the temperature, standardized images, the placebo and
#    the arms at equal cost are our additions.
#
# ### What would change our mind
#
# Color photographs, where the background is not black and the corruptions are more alike in size. A
# long training, in which three times the steps gain nothing on clean images. A severity chosen for
# robustness, on corruptions that are not those of the test.
#
# ### Exercises
#
# 1. *Train on the test.* Add Gaussian noise to AugMix's operations. Which rows of the picture by
#    corruption move, and is the mean still a measure of robustness to the unseen?
# 2. *The shared draw.* Give all images of a batch the same chains, as a batched call of a popular
#    library does. How much faster is it, and what happens to the net?
# 3. *Confidence.* Raise the weight of the divergence from 12 to 50. Which way does the reliability
#    of the net on clean images move?
#
# <details><summary>Solutions</summary>
#
# 1. Add an operation to a copy of `method.operate` and to `OPERATIONS`. The rows of noise rise, and
#    with them the mean, though nothing else has changed. So a mean over a benchmark says little if
#    the training may look at it.
# 2. Draw a plan for one image and repeat its rows: `plan = augment.draw(1)`, then
#    `method.Plan(*(each.expand(len(x), *each.shape[1:]) for each in plan))`. One group of images an
#    operation instead of many makes it faster. Every step then sees one augmentation, and the steps
#    differ more from one another.
# 3. The divergence is zero when the views agree, and a net that says nearly the same of every image
#    achieves that most easily. A large weight pulls the predictions toward the mean, so the net
#    becomes less confident than it is right, and the fitted temperature falls below 1.
#
# </details>
