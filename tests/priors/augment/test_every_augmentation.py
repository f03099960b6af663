"""What holds for every augmentation, swept over all of them."""

import pytest
import torch
from torch import Generator, Tensor

from vipriors.priors.augment import (
    Augmentation,
    Autocontrast,
    ColourJitter,
    Compose,
    CutMix,
    Cutout,
    Equalize,
    Flip,
    Grayscale,
    Invert,
    MixUp,
    Posterize,
    RandAugment,
    RandomErasing,
    ResizedCrop,
    Rotate,
    Sharpness,
    Shear,
    Shift,
    Solarize,
    Sometimes,
    Translate,
    TrivialAugment,
)


def without_targets(mix: MixUp | CutMix) -> Augmentation:
    return lambda images, generator: mix(images, torch.eye(len(images)), generator)[0]


AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": Flip(),
    "vertical flip": Flip(vertical=True),
    "shift": Shift(3),
    "reflected shift": Shift(3, padding="reflect"),
    "resized crop": ResizedCrop((12, 20)),
    "aliased crop": ResizedCrop((12, 20), antialias=False),
    "rotate": Rotate(30),
    "nearest rotate": Rotate(30, sampling="nearest", fill=0.5),
    "shear": Shear(20),
    "translate": Translate(0.2, fill=0.5),
    "jitter": ColourJitter(),
    "sharpness": Sharpness(),
    "posterize": Posterize(),
    "solarize": Solarize((0.2, 0.6)),
    "autocontrast": Autocontrast(),
    "equalize": Equalize(),
    "invert": Invert(),
    "grayscale": Grayscale(),
    "cutout": Cutout(6),
    "erasing": RandomErasing(),
    "noise erasing": RandomErasing(fill="noise"),
    "trivial": TrivialAugment(),
    "rand": RandAugment(),
    "mixup": without_targets(MixUp()),
    "mixup per image": without_targets(MixUp(per_image=True)),
    "cutmix": without_targets(CutMix()),
    "cutmix per image": without_targets(CutMix(per_image=True)),
    "sometimes": Sometimes(ColourJitter(), p=0.8),
    "compose": Compose((Flip(), Shift(2), TrivialAugment(), Cutout(4))),
}


@pytest.fixture(params=AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def augmentation(request: pytest.FixtureRequest) -> Augmentation:
    return request.param


def run(augmentation: Augmentation, images: Tensor, seed: int = 0) -> Tensor:
    return augmentation(images, Generator().manual_seed(seed))


@pytest.mark.parametrize("channels", [1, 3, 13])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_shape_dtype_and_range_stay(augmentation: Augmentation, channels: int, dtype: torch.dtype) -> None:
    images = torch.rand(9, channels, 12, 20, generator=Generator().manual_seed(1)).to(dtype)
    before = images.clone()
    result = run(augmentation, images)
    assert result.shape == images.shape
    assert result.dtype == dtype
    assert result.isfinite().all()
    assert result.min() >= -1e-6
    assert result.max() <= 1 + 1e-6
    assert torch.equal(images, before)


@pytest.mark.parametrize("batch", [1, 7])
def test_channels_last_stays_with_the_same_numbers(augmentation: Augmentation, batch: int) -> None:
    images = torch.rand(batch, 3, 12, 20, generator=Generator().manual_seed(1))
    result = run(augmentation, images.to(memory_format=torch.channels_last), seed=2)
    assert result.is_contiguous(memory_format=torch.channels_last)
    plain = run(augmentation, images, seed=2)
    assert plain.is_contiguous()
    torch.testing.assert_close(result, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(6, 3, 40, 44), (1, 3, 224, 224)])
def test_the_seed_decides_whatever_the_number_of_threads(
    augmentation: Augmentation, shape: tuple[int, ...]
) -> None:
    images = torch.rand(shape, generator=Generator().manual_seed(1))
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(run(augmentation, images, seed=3))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_images_of_a_batch_draw_apart_and_so_do_later_calls(augmentation: Augmentation) -> None:
    image = torch.rand(1, 3, 12, 20, generator=Generator().manual_seed(5)) * 0.7
    generator = Generator().manual_seed(0)
    if augmentation in (
        AUGMENTATIONS[name] for name in ("mixup", "mixup per image", "cutmix", "cutmix per image")
    ):
        images = torch.rand(16, 3, 12, 20, generator=generator)
    else:
        images = image.expand(16, 3, 12, 20).contiguous()
        assert len(augmentation(images, generator).unique(dim=0)) > 1
    assert not torch.equal(augmentation(images, generator), augmentation(images, generator))


def test_compose_runs_in_order_from_one_generator() -> None:
    images = torch.rand(8, 3, 12, 12)
    generator = Generator().manual_seed(4)
    expected = Cutout(4)(Shift(2)(images, generator), generator)
    assert torch.equal(run(Compose((Shift(2), Cutout(4))), images, seed=4), expected)
    assert torch.equal(run(Compose(()), images), images)


def test_sometimes_leaves_the_others_alone() -> None:
    images = torch.rand(2000, 3, 4, 4) * 0.5
    changed = (run(Sometimes(Invert(p=1.0), p=0.2), images) != images).flatten(1).any(1)
    assert abs(changed.sum().item() - 400) < 4 * (2000 * 0.2 * 0.8) ** 0.5
