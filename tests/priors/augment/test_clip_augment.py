"""Augmentation of clips: against frame by frame, and against the frames picked in a loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as reference

from vipriors.priors.augment import ColourJitter, Compose, Cutout, Flip, ResizedCrop, Shift
from vipriors.priors.augment.affine import TurnAndScale
from vipriors.priors.augment.clips import (
    Colours,
    Geometry,
    SubClip,
    even_starts,
    fitting_stride,
    sub_clip,
)
from vipriors.priors.augment.colour import brightness, contrast, hue, saturation
from vipriors.problems import BadInput

MOVES = {
    "flip": Flip(),
    "shift": Shift(3),
    "turn and scale": TurnAndScale(30, 0.3),
    "crop": ResizedCrop((10, 7), (0.3, 1.0)),
    "cutout": Cutout(5),
}


def clips_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=Generator().manual_seed(seed))


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", MOVES)
def test_all_frames_move_as_each_would_alone(name: str, channels: int) -> None:
    clips, step = clips_of(4, channels, 6, 12, 9), MOVES[name]
    found = Geometry(step)(clips, seeded())
    alone = [step(clips[:, :, frame].contiguous(), seeded()) for frame in range(6)]
    torch.testing.assert_close(found, torch.stack(alone, dim=2))
    assert not torch.equal(found[:, :, :, :7, :7], clips[:, :, :, :7, :7])


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_still_clip_stays_still(channels: int) -> None:
    clips = clips_of(8, channels, 1, 12, 9).expand(-1, -1, 5, -1, -1).contiguous()
    step = Compose((*(Geometry(move) for move in MOVES.values()), Colours(ColourJitter())))
    found = step(clips, seeded())
    torch.testing.assert_close(found, found[:, :, :1].expand_as(found))
    assert len(found.unique(dim=0)) == 8


def test_clips_of_a_batch_draw_apart() -> None:
    clips = clips_of(1, 3, 4, 12, 9).expand(16, -1, -1, -1, -1).contiguous()
    for step in (Geometry(Shift(3)), Colours(ColourJitter()), SubClip(2)):
        assert len(step(clips, seeded()).unique(dim=0)) > 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (brightness, reference.adjust_brightness, (0.5, 1.0, 1.7)),
        (saturation, reference.adjust_saturation, (0.0, 1.0, 1.7)),
        (hue, reference.adjust_hue, (-0.4, 0.0, 0.3)),
    ],
)
def test_colours_change_in_each_frame_as_in_the_library(ours, theirs, factors, channels: int) -> None:
    clips = clips_of(3, channels, 4, 6, 5)
    found = Colours(lambda images, _: ours(images, torch.tensor(factors)))(clips, seeded())
    alone = [theirs(clip.movedim(1, 0), factor) for clip, factor in zip(clips, factors, strict=True)]
    torch.testing.assert_close(found, torch.stack(alone).movedim(1, 2), atol=1e-5, rtol=0)


def test_contrast_is_about_the_mean_of_the_clip() -> None:
    """A clip that fades in keeps fading: about the mean of each frame, all frames would come out alike."""
    clips = torch.linspace(0.2, 0.6, 5).view(1, 1, 5, 1, 1).expand(2, 1, 5, 4, 4).contiguous()
    found = Colours(lambda images, _: contrast(images, torch.tensor([0.5, 1.5])))(clips, seeded())
    expected = 0.4 + torch.tensor([0.5, 1.5])[:, None] * (torch.linspace(0.2, 0.6, 5) - 0.4)
    torch.testing.assert_close(found[:, 0, :, 2, 3], expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sub_clips_are_the_frames_picked_one_by_one(data: st.DataObject) -> None:
    count, total = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    frames = data.draw(st.integers(1, total))
    stride = torch.tensor(
        [data.draw(st.integers(1, max(1, (total - 1) // max(1, frames - 1)))) for _ in range(count)]
    )
    room = total - 1 - (frames - 1) * stride
    start = torch.tensor([data.draw(st.integers(0, most)) for most in room.tolist()])
    clips = clips_of(count, 2, total, 3, 2)
    found = sub_clip(clips, start, stride, frames)
    assert found.shape == (count, 2, frames, 3, 2)
    for clip in range(count):
        for frame in range(frames):
            source = start[clip] + frame * stride[clip]
            assert torch.equal(found[clip, :, frame], clips[clip, :, source])


@pytest.mark.parametrize(
    ("start", "stride", "asked"),
    [((0, -1), (1, 1), "-1 to 3"), ((0, 2), (1, 2), "0 to 8"), ((0, 3), (0, 1), "0 to 6")],
)
def test_frames_that_are_not_there_are_refused(start, stride, asked) -> None:
    with pytest.raises(BadInput) as caught:
        sub_clip(clips_of(2, 1, 6, 2, 2), torch.tensor(start), torch.tensor(stride), 4)
    (problem,) = caught.value.problems
    assert problem.place == "sub_clip"
    assert problem.message == f"frames {asked} are asked for; expected 0 to 5, in steps of 1 or more"


def frames_seen(step: SubClip, total: int, count: int = 400, seed: int = 0) -> list[tuple[int, ...]]:
    """Which frames of each clip are shown, told by their values."""
    clips = torch.arange(float(total)).view(1, 1, total, 1, 1).expand(count, 1, total, 1, 1)
    shown = step(clips.contiguous(), seeded(seed))[:, 0, :, 0, 0]
    return [tuple(int(value) for value in row) for row in shown.tolist()]


def test_all_strides_and_starts_are_drawn_as_often() -> None:
    seen = frames_seen(SubClip(3, (1, 3)), 8, count=4000)
    expected = {tuple(range(s, s + 3 * k, k)): 2000 / n for k, n in ((1, 6), (3, 2)) for s in range(n)}
    assert set(seen) == set(expected)
    for part, times in expected.items():
        assert abs(seen.count(part) - times) < 5 * times**0.5


def test_a_stride_is_cut_down_to_what_fits() -> None:
    assert set(frames_seen(SubClip(4, (5,)), 8)) == {(0, 2, 4, 6), (1, 3, 5, 7)}
    assert set(frames_seen(SubClip(8, (5,)), 8)) == {tuple(range(8))}
    assert set(frames_seen(SubClip(1, (2,)), 3)) == {(0,), (1,), (2,)}


@pytest.mark.parametrize(
    ("total", "frames", "stride", "fits"),
    [(16, 8, 2, 2), (16, 8, 3, 2), (15, 8, 2, 2), (14, 8, 2, 1), (8, 8, 4, 1), (1, 1, 1, 1), (5, 1, 3, 3)],
)
def test_the_largest_stride_that_fits(total: int, frames: int, stride: int, fits: int) -> None:
    assert fitting_stride(total, frames, stride) == fits
    assert fits >= 1
    assert (frames - 1) * fits < total


@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        ((16, 8, 2, 2), [0, 1]),
        ((16, 8, 2, 5), [0, 1]),
        ((16, 8, 1, 3), [0, 4, 8]),
        ((16, 8, 1, 1), [4]),
        ((16, 16, 1, 3), [0]),
        ((32, 16, 1, 4), [0, 5, 11, 16]),
    ],
)
def test_even_starts(arguments: tuple[int, int, int, int], starts: list[int]) -> None:
    assert even_starts(*arguments) == starts


def test_the_seed_decides() -> None:
    clips = clips_of(6, 3, 9, 12, 10)
    step = Compose((SubClip(4, (1, 2)), Geometry(TurnAndScale(20, 0.2)), Colours(ColourJitter())))
    assert torch.equal(step(clips, seeded(1)), step(clips, seeded(1)))
    assert not torch.equal(step(clips, seeded(1)), step(clips, seeded(2)))
    before = clips.clone()
    step(clips, seeded(1))
    assert torch.equal(clips, before)


def test_channels_last_gives_the_same() -> None:
    clips = clips_of(3, 3, 6, 8, 8)
    step = Compose((SubClip(4), Geometry(Shift(2)), Colours(ColourJitter())))
    last = clips.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(step(last, seeded()), step(clips, seeded()))


@pytest.mark.parametrize("step", [SubClip(2), Geometry(Flip()), Colours(ColourJitter())])
@pytest.mark.parametrize(
    ("clips", "found"),
    [
        (torch.zeros(2, 3, 4, 4), "float32 (2, 3, 4, 4)"),
        (torch.zeros(1, 1, 3, 4, 4, dtype=torch.uint8), "uint8 (1, 1, 3, 4, 4)"),
    ],
)
def test_what_is_no_clip_is_refused(step, clips: Tensor, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        step(clips, seeded())
    assert str(caught.value.problems[0].message) == f"found torch.{found}; expected float (B, C, T, H, W)"


def test_too_short_a_clip_is_refused() -> None:
    with pytest.raises(BadInput, match="a clip has 3 frames; expected 4 or more"):
        SubClip(4)(clips_of(1, 1, 3, 2, 2), seeded())


@pytest.mark.parametrize(
    ("frames", "strides", "message"),
    [
        (0, (1,), "frames is 0; expected 1 or more"),
        (2, (), r"strides is \(\); expected numbers from 1 up"),
        (2, (1, 0), r"strides is \(1, 0\); expected numbers from 1 up"),
    ],
)
def test_no_frames_or_strides_are_refused(frames: int, strides: tuple[int, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SubClip(frames, strides)
