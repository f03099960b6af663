"""Augmentation of whole batches on the device, with a separate draw for every image.

Each augmentation is a small frozen dataclass, called with float images `(B, C, H, W)` in [0, 1] and an
explicit `torch.Generator`; `MixUp` and `CutMix` take soft targets as well. The same seed gives the same
images. A generator on the CPU is best even for images on a GPU: the draws are few, and nothing then waits
for the device.

>>> import torch
>>> augment = Compose((Flip(), Shift(max_pixels=4), Cutout(size=8)))
>>> augment(torch.rand(128, 3, 32, 32), torch.Generator().manual_seed(0)).shape
torch.Size([128, 3, 32, 32])

The same changes are also plain functions with one parameter for each image: `shift(images, dx, dy)`; those of
the colours are in the module `colour`.
"""

from vipriors.priors.augment.compose import Augmentation, Compose, Sometimes
from vipriors.priors.augment.crop import ResizedCrop, resized_crop
from vipriors.priors.augment.erase import Cutout, RandomErasing, cutout, erase_box
from vipriors.priors.augment.geometric import (
    Flip,
    Rotate,
    Shear,
    Shift,
    Translate,
    flip,
    rotate,
    shear,
    shift,
    translate,
    warp,
)
from vipriors.priors.augment.jitter import (
    Autocontrast,
    ColourJitter,
    Equalize,
    Grayscale,
    Invert,
    Posterize,
    Sharpness,
    Solarize,
    colour_jitter,
)
from vipriors.priors.augment.mix import CutMix, MixUp, cutmix, mixup, one_hot
from vipriors.priors.augment.policy import RandAugment, TrivialAugment

__all__ = [
    "Augmentation",
    "Autocontrast",
    "ColourJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "Equalize",
    "Flip",
    "Grayscale",
    "Invert",
    "MixUp",
    "Posterize",
    "RandAugment",
    "RandomErasing",
    "ResizedCrop",
    "Rotate",
    "Sharpness",
    "Shear",
    "Shift",
    "Solarize",
    "Sometimes",
    "Translate",
    "TrivialAugment",
    "colour_jitter",
    "cutmix",
    "cutout",
    "erase_box",
    "flip",
    "mixup",
    "one_hot",
    "resized_crop",
    "rotate",
    "shear",
    "shift",
    "translate",
    "warp",
]
