"""Batches: what is drawn when, and what a network is fed."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vipriors.train import Batches, step_seed

CPU = torch.device("cpu")


def batches(
    count: int, size: int, seed: int = 0, height: int = 2, width: int = 3, channels: int = 1
) -> Batches:
    images = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return Batches(images, np.arange(count), batch_size=size, seed=seed, device=CPU)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 2**40))
def test_each_pass_shows_every_image_once_and_every_batch_is_full(count, size, seed):
    drawn = batches(count, size, seed)
    steps = 2 + 3 * count // size
    parts = [drawn.indices(step) for step in range(steps)]
    assert all(len(part) == size for part in parts)
    stream = torch.cat(parts).tolist()
    for start in range(0, len(stream) - count + 1, count):
        assert sorted(stream[start : start + count]) == list(range(count))


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 40), size=st.integers(1, 50), steps=st.lists(st.integers(0, 30), min_size=1))
def test_a_batch_depends_on_seed_and_step_only(count, size, steps):
    in_order, jumping = batches(count, size, seed=3), batches(count, size, seed=3)
    expected = [in_order.indices(step) for step in range(31)]
    assert all(torch.equal(jumping.indices(step), expected[step]) for step in steps)


def test_passes_and_seeds_have_different_orders():
    orders = [batches(50, 10, seed).order(epoch).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 6


def test_random_numbers_drawn_elsewhere_do_not_matter():
    expected = batches(50, 10).indices(7)
    drawn = batches(50, 10)
    torch.rand(3)
    assert torch.equal(drawn.indices(7), expected)


@pytest.mark.parametrize(("height", "width", "channels"), [(4, 4, 1), (4, 6, 3), (5, 3, 13)])
def test_pixels_and_targets(height, width, channels):
    drawn = batches(9, 4, height=height, width=width, channels=channels)
    for step in range(4):
        images, targets = drawn(step)
        assert images.shape == (4, channels, height, width)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        # The label of an image is its number, so the two must belong together.
        expected = drawn.images.numpy()[targets.numpy()].astype(np.float32) / np.float32(255)
        assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)


def test_all_256_values_scale_exactly():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    found, _ = Batches(images, np.zeros(1, int), batch_size=1, seed=0, device=CPU)(0)
    assert np.array_equal(found.numpy().ravel(), np.arange(256, dtype=np.float32) / np.float32(255))
    assert (found.min(), found.max()) == (0, 1)


def test_one_image_fills_a_batch():
    images, targets = batches(1, 5)(3)
    assert targets.tolist() == [0] * 5
    assert torch.equal(images, images[:1].expand_as(images))


def test_a_read_only_memory_map_is_drawn_from_and_left_as_it_is(tmp_path, recwarn):
    stored = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", stored)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    from_map = Batches(mapped, np.arange(7), batch_size=4, seed=2, device=CPU)
    in_memory = Batches(stored.copy(), np.arange(7), batch_size=4, seed=2, device=CPU)
    for step in range(5):
        images, _ = from_map(step)
        assert torch.equal(images, in_memory(step)[0])
        images.zero_()
    assert np.array_equal(np.load(tmp_path / "images.npy"), stored)
    assert not recwarn.list


def test_targets_may_be_any_tensor_with_a_row_for_each_image():
    targets = torch.rand(5, 2, 3)
    drawn = Batches(np.zeros((5, 2, 2, 1), np.uint8), targets, batch_size=3, seed=0, device=CPU)
    assert torch.equal(drawn(1)[1], targets[drawn.indices(1)])


def test_no_images():
    with pytest.raises(ValueError, match="no images to draw batches from"):
        batches(0, 1)


def test_step_seeds_do_not_collide_and_fit_in_63_bits():
    seeds = [step_seed(seed, step) for seed in range(-1, 100) for step in range(-1, 2000)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 0
    assert max(seeds) < 2**63
    # Close inputs, unrelated outputs: half of the bits differ from one step to the next.
    differing = [(one ^ other).bit_count() for one, other in itertools.pairwise(seeds)]
    assert abs(np.mean(differing) - 31.5) < 0.1


@given(st.integers(-(2**63), 2**64), st.integers(-1, 2**40))
def test_any_seed_gives_a_seed_that_torch_takes(seed, step):
    assert 0 <= step_seed(seed, step) < 2**63
    torch.Generator().manual_seed(step_seed(seed, step))
