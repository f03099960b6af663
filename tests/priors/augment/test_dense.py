"""Images and label maps changed together: labels stay on their pixels."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn import functional

from vipriors.priors.augment import Invert
from vipriors.priors.augment.dense import (
    IGNORED,
    ClassMix,
    DenseAugmentation,
    DenseCompose,
    DenseCrop,
    DenseCutMix,
    DenseMove,
    ImagesOnly,
    crop_both,
    paste,
    warp_both,
)
from vipriors.problems import BadInput

SIZE = (12, 20)

AUGMENTATIONS: dict[str, DenseAugmentation] = {
    "flip": DenseMove(flip=True),
    "shift": DenseMove(max_shift=3),
    "turn": DenseMove(max_degrees=40),
    "scale": DenseMove(max_scale=0.5),
    "bend": DenseMove(bend=2),
    "move": DenseMove(True, 2, 15, 0.3, 1),
    "crop": DenseCrop((7, 9)),
    "cutmix": DenseCutMix(0.8),
    "classmix": ClassMix(0.8),
    "images only": ImagesOnly(Invert(p=0.5)),
    "compose": DenseCompose([DenseMove(True, 2, 15, 0.3), DenseCrop((7, 9)), ClassMix()]),
}


@pytest.fixture(params=AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def augmentation(request: pytest.FixtureRequest) -> DenseAugmentation:
    return request.param


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pair(
    count: int = 6, size: tuple[int, int] = SIZE, classes: int = 5, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """Noise with labels that its first channel tells: `label / 10`."""
    maps = torch.randint(classes, (count, *size), generator=seeded(seed)).to(torch.uint8)
    images = torch.rand(count, 3, *size, generator=seeded(seed))
    images[:, 0] = maps / 10
    return images, maps


def coded(images: Tensor) -> Tensor:
    """The labels that the first channel of `pair`'s images tells."""
    return (images[:, 0] * 10).round().to(torch.uint8)


# What holds for all


@pytest.mark.parametrize("label_dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shapes_dtypes_and_inputs_stay(augmentation, dtype, label_dtype):
    images, maps = pair()
    images, maps = images.to(dtype), maps.to(label_dtype)
    before = images.clone(), maps.clone()
    found, labels = augmentation(images, maps, seeded())
    assert found.shape[:2] == (6, 3)
    assert found.shape[2:] == labels.shape[1:]
    assert (found.dtype, labels.dtype) == (dtype, label_dtype)
    assert found.isfinite().all()
    assert set(labels.unique().tolist()) <= {0, 1, 2, 3, 4, IGNORED}
    assert torch.equal(images, before[0])
    assert torch.equal(maps, before[1])


def test_channels_last_stays_with_the_same_numbers(augmentation):
    images, maps = pair()
    found, labels = augmentation(images.to(memory_format=torch.channels_last), maps, seeded(2))
    plain, plain_labels = augmentation(images, maps, seeded(2))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous()
    torch.testing.assert_close(found, plain, atol=1e-6, rtol=0)
    assert torch.equal(labels, plain_labels)


def test_the_seed_decides(augmentation):
    images, maps = pair()
    first, again, other = (augmentation(images, maps, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_labels_of_nothing_stay_nothing(augmentation):
    images, maps = pair()
    _, labels = augmentation(images, torch.full_like(maps, IGNORED), seeded())
    assert (labels == IGNORED).all()


@pytest.mark.parametrize(
    ("maps", "found"),
    [
        (torch.zeros(6, 12, 19, dtype=torch.uint8), "torch.uint8 (6, 12, 19)"),
        (torch.zeros(6, 12, 20), "torch.float32 (6, 12, 20)"),
    ],
)
def test_maps_that_do_not_fit(augmentation, maps, found):
    if isinstance(augmentation, ImagesOnly):
        return
    with pytest.raises(BadInput) as caught:
        augmentation(pair()[0], maps, seeded())
    assert [str(problem) for problem in caught.value.problems] == [
        f"maps: found {found}; expected whole numbers (6, 12, 20), or a multiple in both sides"
    ]


# Moving


def by_hand(image: Tensor, map_: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel by pixel: four neighbours weighed for the image, the nearest for the map."""
    _, height, width = image.shape
    found, labels = torch.zeros_like(image), torch.full_like(map_, IGNORED)
    for row in range(height):
        for column in range(width):
            x, y = column - (width - 1) / 2, row - (height - 1) / 2
            (a, b, c), (d, e, f) = matrix.tolist()
            sx, sy = a * x + b * y + c + (width - 1) / 2, d * x + e * y + f + (height - 1) / 2
            for r in (math.floor(sy), math.floor(sy) + 1):
                for s in (math.floor(sx), math.floor(sx) + 1):
                    if 0 <= r < height and 0 <= s < width:
                        weight = (1 - abs(sy - r)) * (1 - abs(sx - s))
                        found[:, row, column] += weight * image[:, r, s]
            r, s = round(sy), round(sx)
            if 0 <= r < height and 0 <= s < width:
                labels[row, column] = map_[r, s]
    return found, labels


@pytest.mark.parametrize("seed", range(3))
def test_warps_are_those_by_hand(seed):
    images, maps = pair(2)
    matrix = DenseMove(True, 2, 30, 0.4).matrix(2, seeded(seed))
    found, labels = warp_both(images, maps, matrix)
    for index in range(2):
        expected, expected_labels = by_hand(images[index], maps[index], matrix[index])
        torch.testing.assert_close(found[index], expected, atol=1e-4, rtol=0)
        assert torch.equal(labels[index], expected_labels)


# Maps finer than the images


@pytest.mark.parametrize("scale", [2, 3])
def test_finer_maps_are_warped_as_images_of_their_size(scale):
    images, maps = pair(4, (scale * 12, scale * 20))
    small = images[:, :, ::scale, ::scale]
    matrix = DenseMove(True, 2, 30, 0.4).matrix(4, seeded(scale))
    larger = matrix * torch.tensor([1.0, 1.0, scale])
    found, labels = warp_both(small, maps, matrix)
    assert torch.equal(found, warp_both(small, maps[:, ::scale, ::scale], matrix)[0])
    _, expected = warp_both(images, maps, larger)
    # Only a place in the middle between two pixels may fall to either.
    assert (labels == expected).float().mean() > 0.999
    still = torch.eye(2, 3).expand(4, -1, -1)
    shift = torch.tensor([1.4, -0.7])
    bends = shift[None, :, None, None].expand(4, -1, 6, 6)
    shifted = torch.cat([still[:, :, :2], shift[None, :, None].expand(4, -1, -1)], 2)
    bent, moved = warp_both(small, maps, still, bends)[1], warp_both(small, maps, shifted)[1]
    assert (bent == moved).float().mean() > 0.999


@pytest.mark.parametrize("step", [DenseCrop((7, 9)), DenseCutMix(0.8)], ids=["crop", "cutmix"])
def test_finer_maps_are_cut_where_the_images_are(step):
    images, maps = pair()
    finer = maps.repeat_interleave(3, 1).repeat_interleave(3, 2)
    (found, labels), (plain, expected) = step(images, finer, seeded()), step(images, maps, seeded())
    assert torch.equal(found, plain)
    assert torch.equal(labels, expected.repeat_interleave(3, 1).repeat_interleave(3, 2))


@pytest.mark.parametrize("scale", [2, 3])
def test_classes_of_finer_maps_are_pasted_where_the_middle_of_a_pixel_is(scale):
    images, maps = pair()
    finer = torch.randint(5, (6, scale * 12, scale * 20), generator=seeded(9)).to(torch.uint8)
    finer[:, scale // 2 :: scale, scale // 2 :: scale] = maps
    (found, labels), (plain, expected) = (
        ClassMix(0.8)(images, finer, seeded()),
        ClassMix(0.8)(images, maps, seeded()),
    )
    assert torch.equal(found, plain)
    assert torch.equal(labels[:, scale // 2 :: scale, scale // 2 :: scale], expected)


@pytest.mark.parametrize("shape", [(6, 24, 60), (6, 24, 41), (6, 18, 30), (5, 24, 40), (6, 6, 10)])
def test_finer_maps_that_do_not_fit(shape):
    with pytest.raises(BadInput, match="or a multiple in both sides"):
        DenseMove(flip=True)(pair()[0], torch.zeros(shape, dtype=torch.uint8), seeded())


def test_mirroring_really_happens_to_half_of_them():
    """In the published baseline of 2020 it never did."""
    images, maps = pair(400)
    found, labels = DenseMove(flip=True)(images, maps, seeded())
    flipped = (labels == maps.flip(2)).flatten(1).all(1)
    assert torch.equal(labels[~flipped], maps[~flipped])
    torch.testing.assert_close(found[flipped], images.flip(3)[flipped], atol=1e-4, rtol=0)
    torch.testing.assert_close(found[~flipped], images[~flipped], atol=1e-4, rtol=0)
    assert abs(int(flipped.sum()) - 200) < 4 * 10


@given(
    flip=st.booleans(),
    shift=st.floats(0, 9),
    degrees=st.floats(0, 180),
    scale=st.floats(0, 0.9),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_moves_stay_within_their_bounds(flip, shift, degrees, scale, seed):
    matrix = DenseMove(flip, shift, degrees, scale).matrix(50, seeded(seed)).double()
    linear, offset = matrix[:, :, :2], matrix[:, :, 2]
    assert (offset.abs() <= shift + 1e-5).all()
    mirrored = torch.linalg.det(linear) < 0
    assert flip or not mirrored.any()
    grown = linear[:, :, 1].norm(dim=1)
    assert (grown <= 1 + scale + 1e-5).all()
    assert (grown >= 1 / (1 + scale) - 1e-5).all()
    angle = torch.atan2(-linear[:, 0, 1], linear[:, 1, 1]).rad2deg()
    assert (angle.abs() <= degrees + 1e-3).all()
    # No shear, and both sides grow alike.
    product = linear.transpose(1, 2) @ linear
    torch.testing.assert_close(product, torch.eye(2).double() * grown[:, None, None] ** 2, atol=1e-5, rtol=0)


def test_the_whole_range_is_drawn_from():
    matrix = DenseMove(False, 5, 30, 0.5).matrix(2000, seeded())
    angle = torch.atan2(-matrix[:, 0, 1], matrix[:, 1, 1]).rad2deg()
    grown = matrix[:, :, 1].norm(dim=1).log() / math.log(1.5)
    for values, reach in ((angle, 30), (grown, 1), (matrix[:, 0, 2], 5), (matrix[:, 1, 2], 5)):
        assert values.min() < -0.98 * reach
        assert values.max() > 0.98 * reach
        assert abs(values.mean()) < 0.1 * reach


@given(degrees=st.floats(0, 90), scale=st.floats(0, 0.5), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_labels_stay_on_their_pixels(degrees, scale, seed):
    """In the middle of patches of one colour, where the image is blended from one colour alone."""
    maps = torch.randint(5, (3, 4, 4), generator=seeded(seed)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    images = (maps / 10)[:, None].repeat(1, 3, 1, 1)
    found, labels = DenseMove(True, 4, degrees, scale)(images, maps, seeded(seed))
    pure = (coded(found) * 100 - found[:, 0] * 1000).abs() < 1e-2
    inside = labels != IGNORED
    # A blend may by chance have the colour of a third class, but not in a whole neighbourhood.
    blocks = functional.unfold((pure & inside)[:, None].float(), 5).prod(1).view(3, 28, 28) > 0
    middle = slice(2, -2)
    assert blocks.any()
    assert torch.equal(
        coded(found)[:, middle, middle][blocks], labels[:, middle, middle][blocks].to(torch.uint8)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_shift": -1}, "max_shift is -1; expected 0 or more"),
        ({"max_degrees": -2}, "max_degrees is -2; expected 0 or more"),
        ({"max_scale": 1}, "max_scale is 1; expected 0 to less than 1"),
    ],
)
def test_moves_that_make_no_sense(changes, message):
    with pytest.raises(BadInput) as caught:
        DenseMove(**changes)
    assert [str(problem) for problem in caught.value.problems] == [f"DenseMove: {message}"]


# Cropping


def test_windows_are_cut_anywhere_and_labels_with_them():
    place = torch.arange(12 * 20).view(1, 12, 20).expand(3000, -1, -1)
    images = (place / 240)[:, None]
    found, labels = DenseCrop((9, 15))(images, place, seeded())
    assert torch.equal((found[:, 0] * 240).round().long(), labels)
    top, left = labels[:, 0, 0] // 20, labels[:, 0, 0] % 20
    rows, columns = torch.arange(9)[:, None], torch.arange(15)
    assert torch.equal(labels, (top[:, None, None] + rows) * 20 + left[:, None, None] + columns)
    counts = torch.bincount(top * 6 + left, minlength=24)
    assert len(counts) == 4 * 6
    assert counts.min() > 3000 / 24 - 5 * (3000 / 24) ** 0.5


def test_one_window_of_each_image():
    images, maps = pair(2)
    found, labels = crop_both(images, maps, torch.tensor([0, 3]), torch.tensor([4, 1]), (5, 6))
    assert torch.equal(found[0], images[0, :, :5, 4:10])
    assert torch.equal(labels[1], maps[1, 3:8, 1:7])
    whole = DenseCrop(SIZE)(images, maps, seeded())
    assert torch.equal(whole[0], images)
    assert torch.equal(whole[1], maps)


def test_windows_that_do_not_fit():
    with pytest.raises(BadInput) as caught:
        DenseCrop((13, 4))(*pair(), seeded())
    assert [str(problem) for problem in caught.value.problems] == [
        "DenseCrop: size is (13, 4) for images (12, 20); expected a window within them"
    ]


# Mixing


def test_what_is_pasted_comes_from_the_partner():
    images, maps = pair(3)
    mask = torch.rand(3, *SIZE, generator=seeded()) < 0.4
    found, labels = paste(images, maps, torch.tensor([2, 0, 0]), mask)
    for index, partner in enumerate([2, 0, 0]):
        for row in range(SIZE[0]):
            for column in range(SIZE[1]):
                source = partner if mask[index, row, column] else index
                assert torch.equal(found[index, :, row, column], images[source, :, row, column])
                assert labels[index, row, column] == maps[source, row, column]


def pasted(mix: DenseAugmentation, count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, labels and where something else was pasted; each image is its number, everywhere."""
    maps = torch.randint(4, (count, *SIZE), generator=seeded(seed + 50)).to(torch.uint8)
    maps[:, 0] = IGNORED
    number = torch.arange(count)[:, None, None, None].expand(-1, 1, *SIZE) / count
    images = torch.cat([number, maps[:, None] / 255], 1)
    found, labels = mix(images, maps, seeded(seed))
    assert torch.equal((found[:, 1] * 255).round().to(torch.uint8), labels)
    return maps, labels, found[:, 0] != images[:, 0]


def test_cutmix_pastes_a_box_into_some():
    _, _, other = pasted(DenseCutMix(0.3), 1000)
    boxes = other[other.flatten(1).any(1)]
    rows, columns = boxes.any(2), boxes.any(1)
    assert torch.equal(boxes, rows[:, :, None] & columns[:, None, :])
    for sides in (rows, columns):
        assert ((sides[:, 1:] != sides[:, :-1]).sum(1) <= 2).all()
    assert abs(len(boxes) - 300) < 4 * 210**0.5
    assert boxes.float().mean((1, 2)).max() > 0.7
    assert not pasted(DenseCutMix(0.0), 50)[2].any()


def test_cutmix_covers_the_whole_image_alike():
    share = pasted(DenseCutMix(1.0), 2000)[2].float().mean(0)
    assert share[5:7, 9:11].mean() > 0.3
    assert share.min() > 0.1
    assert abs(share[:6].mean() - share[6:].mean()) < 0.03
    assert abs(share[:, :10].mean() - share[:, 10:].mean()) < 0.03


def test_classmix_pastes_whole_classes():
    count = 1000
    maps, labels, other = pasted(ClassMix(0.5), count)
    assert not (labels[other] == IGNORED).any()
    changed = other.flatten(1).any(1)
    assert abs(int(changed.sum()) - 0.5 * count * (1 - 1 / 16)) < 4 * (count / 4) ** 0.5
    # Where a class is pasted at all, every pixel of it in some one other image is.
    for index in changed.nonzero().flatten()[:20].tolist():
        taken = labels[index][other[index]].unique()
        fits = [
            torch.equal(other[index], torch.isin(maps[partner], taken))
            and torch.equal(labels[index][other[index]], maps[partner][other[index]])
            for partner in range(count)
        ]
        assert sum(fits) == 1
    taken = [(labels[other] == class_).sum() / (maps == class_).sum() for class_ in range(4)]
    assert all(0.2 < share < 0.3 for share in taken)


@pytest.mark.parametrize("kind", [DenseCutMix, ClassMix])
def test_shares_that_are_none(kind):
    with pytest.raises(BadInput, match=f"{kind.__name__}: p is 1.5; expected 0 to 1"):
        kind(1.5)


def test_steps_come_one_after_the_other():
    images, maps = pair()
    generator = seeded(5)
    expected = ClassMix()(*DenseMove(True, 2)(images, maps, generator), generator)
    found = DenseCompose([DenseMove(True, 2), ClassMix()])(images, maps, seeded(5))
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


def test_images_alone_change():
    images, maps = pair()
    found, labels = ImagesOnly(Invert(p=1.0))(images, maps, seeded())
    torch.testing.assert_close(found, 1 - images)
    assert torch.equal(labels, maps)


# Bending


def test_bends_move_each_point_of_the_grid_by_what_they_say():
    """Where the input tells its own place, the output shows where it was taken from."""
    rows, columns = torch.arange(21.0)[:, None].expand(21, 31), torch.arange(31.0).expand(21, 31)
    images = torch.stack([columns, rows])[None] / 100
    bends = torch.zeros(1, 2, 3, 3)
    bends[0, 0, 1, 1], bends[0, 1, 1, 1] = 2, -3
    identity = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    maps = (rows * 11 % 251).long()[None]
    found, labels = warp_both(images, maps, identity, bends)
    # The middle of the output is the middle of the grid; corners stay where they were.
    torch.testing.assert_close(found[0, :, 10, 15] * 100, torch.tensor([17.0, 7.0]), atol=1e-3, rtol=0)
    assert labels[0, 10, 15] == maps[0, 7, 15]
    torch.testing.assert_close(found[0, :, 0, 0] * 100, torch.zeros(2), atol=1e-3, rtol=0)
    # In between the moves are those of a cubic interpolation.
    moved = found[0, 0, 10] * 100 - columns[10]
    expected = functional.interpolate(bends[:, :1], (21, 31), mode="bicubic", align_corners=True)[0, 0, 10]
    torch.testing.assert_close(moved[1:-1], expected[1:-1], atol=1e-3, rtol=0)


def test_bends_are_of_their_strength_and_differ_from_image_to_image():
    columns = torch.arange(60.0).expand(400, 1, 60, 60) / 100
    maps = torch.zeros(400, 60, 60, dtype=torch.uint8)
    found, _ = DenseMove(bend=2)(columns, maps, seeded())
    moves = (found - columns)[:, 0, 20:40, 20:40] * 100
    # At the grid's points the deviation is 2; between them less.
    assert 1.2 < moves.std() < 2
    assert abs(moves.mean()) < 0.1
    assert moves.mean((1, 2)).std() > 0.3
    with pytest.raises(BadInput, match="DenseMove: bend is -1; expected 0 or more"):
        DenseMove(bend=-1)
