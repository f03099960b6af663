"""What holds for every method that finds objects; the tests of detection and of instances bring the names."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import torch
from object_cases import data_set, labelled
from torch import nn

from vipriors.challenges.schema import Invariance
from vipriors.methods import configure
from vipriors.methods.protocol import Context, Labelled, Objects, TrainingSet
from vipriors.train import Execution, Interrupted

SHAPES = {"grey": (1, 32, 40), "colour": (3, 40, 36), "13 channels": (13, 33, 47)}
STEPS = 6
CPU = Execution("cpu")
LIGHT = {
    "steps": STEPS,
    "batch_size": 4,
    "widths": (8, 12),
    "blocks": 1,
    "pooled": False,
    "extra": 1,
    "channels": 16,
    "colour": 0.0,
    "mosaic": 0.0,
    "before": 40,
    "after": 16,
    "anchors_drawn": 32,
    "regions_drawn": 12,
    "hidden": 32,
    "mask_channels": 12,
    "mask_depth": 1,
}


def small(name, **changes):
    """The method at its tiny preset, lighter and for a few steps."""
    method = configure(name, "tiny", {})
    light = {key: value for key, value in LIGHT.items() if hasattr(method, key)}
    return dataclasses.replace(method, **light | changes)


def fitted(name, data, folder=None, seed=0, **changes):
    return small(name, **changes).fit(data, Context(seed=seed, folder=folder, execution=CPU))


def assert_same(found, expected, atol=0.0):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.classes, other.classes)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=atol, rtol=0)
        np.testing.assert_allclose(one.scores, other.scores, atol=atol, rtol=0)
        assert (one.masks is None) == (other.masks is None)
        if one.masks is not None:
            assert np.array_equal(one.masks, other.masks)


def assert_sound(found: list[Objects], shape, classes, with_masks):
    _, height, width = shape
    for one in found:
        n = len(one.classes)
        assert n <= 100
        assert one.classes.dtype == np.int64
        assert one.boxes.shape == (n, 4)
        assert one.boxes.dtype == one.scores.dtype == np.float32
        assert one.scores.shape == (n,)
        assert np.isfinite(one.boxes).all()
        assert ((one.classes >= 0) & (one.classes < classes)).all()
        assert ((one.scores >= 0.0099) & (one.scores <= 1)).all()
        assert (np.diff(one.scores) <= 0).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= np.array([width, height, width, height])).all()
        assert (one.boxes[:, 2:] >= one.boxes[:, :2]).all()
        if with_masks:
            assert one.masks.shape == (n, height, width)
            assert one.masks.dtype == np.bool_
        else:
            assert one.masks is None


class ObjectBattery:
    """Subclasses set `with_masks` and have a fixture `name`, the method's."""

    with_masks = False
    image_shapes = SHAPES

    def data(self, shape=(3, 32, 40), **options) -> TrainingSet:
        return data_set(shape, with_masks=self.with_masks, **options)

    @pytest.mark.parametrize("preset", ["tiny", "small", "full"])
    def test_networks_of_every_preset(self, name, preset):
        method = configure(name, preset, {})
        for image_shape in ((3, 96, 96), (1, 160, 224)):
            with torch.device("meta"):
                network = method.network(image_shape, 7)
                outputs = network.eval()(torch.empty(2, *image_shape))
            assert outputs is not None
            count = sum(p.numel() for p in network.parameters())
            assert 1000 < count < {"tiny": 2e6, "small": 3e7, "full": 2e8}[preset]
        assert all(p.requires_grad for p in network.parameters())

    @pytest.mark.parametrize("preset", ["tiny", "full"])
    def test_no_strided_1x1_convolutions(self, name, preset):
        """On a CPU their gradient overruns memory where channels are few (oneDNN issue 6035)."""
        with torch.device("meta"):
            network = configure(name, preset, {}).network((3, 224, 224), 10)
        for where, module in network.named_modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                assert module.stride == (1, 1), where

    def test_weights_are_drawn_and_never_read(self, name, monkeypatch):
        def refuse(*arguments, **options):
            raise AssertionError("weights were read")

        monkeypatch.setattr(torch, "load", refuse)
        monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
        for preset in ("tiny", "full"):
            with torch.device("meta"):
                configure(name, preset, {}).network((3, 64, 64), 3)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_fitted_saved_and_loaded(self, name, shape, tmp_path):
        data = self.data(SHAPES[shape])
        detector = fitted(name, data).model
        images = data.held_out.images
        found = list(detector.detect(images))
        assert len(found) == len(images)
        assert sum(len(one.classes) for one in found) > 0
        assert_sound(found, SHAPES[shape], 2, self.with_masks)
        detector.save(tmp_path)
        loaded = small(name).load(tmp_path, data.image_shape, 2, CPU)
        assert_same(list(loaded.detect(images)), found)
        # Found alone or among others: the same but for rounding.
        (alone,) = detector.detect(images[:1])
        count = min(3, len(alone.classes), len(found[0].classes))
        np.testing.assert_allclose(alone.scores[:count], found[0].scores[:count], atol=1e-4)

    def test_the_loss_falls_and_the_log_has_the_held_out_images(self, name, tmp_path):
        data = self.data()
        fitted(name, data, tmp_path, steps=12, lr=1e-2)
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert len(lines) == 12
        losses = [line["loss"] for line in lines]
        assert np.mean(losses[-3:]) < 0.95 * np.mean(losses[:3])
        assert lines[-1]["val_loss"] < lines[0]["val_loss"]
        assert all(0 <= line["val_AP"] <= 1 for line in lines)

    def test_the_same_seed_gives_the_same_detector(self, name):
        data = self.data()
        first, second, other = (fitted(name, data, seed=seed, steps=3) for seed in (3, 3, 4))
        images = data.held_out.images
        assert_same(list(first.model.detect(images)), list(second.model.detect(images)))
        for key in ("initial_weights_sha256", "final_weights_sha256"):
            assert first.facts[key] == second.facts[key] != other.facts[key]
        assert first.facts["initial_weights_sha256"] != first.facts["final_weights_sha256"]

    def test_the_held_out_images_are_not_learned_from(self, name):
        data = self.data()
        alone = fitted(name, dataclasses.replace(data, held_out=None), steps=3)
        facts = fitted(name, data, steps=3).facts
        assert facts["final_weights_sha256"] == alone.facts["final_weights_sha256"]

    @pytest.mark.parametrize("changes", [{}, {"colour": 0.4, "mosaic": 0.5}], ids=["plain", "varied"])
    def test_resumes_to_the_bit(self, name, changes, tmp_path):
        data = dataclasses.replace(
            self.data(), invariance=Invariance(flip=True, shift=2, rotate=9, scale=0.2)
        )
        method = small(name, **changes)

        def stop(step: int, steps: int, text: str) -> None:
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)

        expected = method.fit(data, Context(seed=1, folder=tmp_path / "whole", execution=CPU))
        with pytest.raises(Interrupted):
            method.fit(data, Context(seed=1, folder=tmp_path / "parts", execution=CPU, progress=stop))
        found = method.fit(data, Context(seed=1, folder=tmp_path / "parts", resume=True, execution=CPU))
        for key in ("initial_weights_sha256", "final_weights_sha256", "parameters", "flops_per_image"):
            assert found.facts[key] == expected.facts[key]

    @pytest.mark.parametrize("changes", [{"colour": 0.4}, {"mosaic": 1.0}], ids=["colour", "mosaic"])
    def test_what_varies_images_changes_the_outcome(self, name, changes):
        data = self.data()
        plain = fitted(name, data, steps=2).facts["final_weights_sha256"]
        assert fitted(name, data, steps=2, **changes).facts["final_weights_sha256"] != plain

    def test_invariances_vary_the_images(self, name):
        data = self.data()
        found = {
            fitted(name, dataclasses.replace(data, invariance=one), steps=2).facts["final_weights_sha256"]
            for one in (
                Invariance(),
                Invariance(flip=True),
                Invariance(shift=1),
                Invariance(rotate=10),
                Invariance(scale=0.1),
            )
        }
        assert len(found) == 5

    def test_images_without_objects_and_crowds(self, name):
        """Most images have none, some nothing but a crowd; then none has any."""
        data = self.data(least=0)
        objects = list(data.train.labels)
        empty = slice(0, 0)
        for place in range(0, 8):
            one = objects[place]
            masks = None if one.masks is None else one.masks[empty]
            objects[place] = Objects(one.classes[empty], one.boxes[empty], masks)
        crowd = objects[9]
        objects[9] = dataclasses.replace(crowd, crowds=np.ones(len(crowd.classes), bool))
        some = Labelled(data.train.images, objects)
        none = Labelled(data.train.images[:4], objects[:4])
        for part in (some, none):
            found = fitted(name, TrainingSet(part, data.classes, data.invariance, part), steps=3).model
            assert_sound(list(found.detect(data.held_out.images)), data.image_shape, 2, self.with_masks)

    def test_a_validation_without_objects_has_no_precision(self, name, tmp_path):
        data = self.data()
        none = [Objects(one.classes[:0], one.boxes[:0]) for one in data.held_out.labels]
        held_out = Labelled(data.held_out.images, none)
        fitted(name, dataclasses.replace(data, held_out=held_out), tmp_path, steps=2)
        line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
        assert "val_AP" not in line
        assert line["val_loss"] > 0

    def test_extreme_images(self, name):
        shape = (3, 32, 40)
        data = self.data(shape)
        detector = fitted(name, data, steps=2).model
        images = np.zeros((4, 32, 40, 3), np.uint8)
        images[1] = 255
        images[2, ::2] = 255
        images[3] = np.random.default_rng(0).integers(0, 2, images[3].shape) * 255
        assert_sound(list(detector.detect(images)), shape, 2, self.with_masks)
        same = np.full_like(data.train.images, 7)
        flat = TrainingSet(Labelled(same, data.train.labels), data.classes)
        detector = fitted(name, flat, steps=2).model
        assert_sound(list(detector.detect(images)), shape, 2, self.with_masks)

    def test_facts(self, name):
        facts = fitted(name, self.data(), steps=1).facts
        network = small(name).network((3, 32, 40), 2)
        assert facts["parameters"] == sum(p.numel() for p in network.parameters())
        assert facts["steps"] == 1
        assert facts["flops_per_image"] > 2 * sum(p.numel() for p in network.backbone.parameters())
        assert facts["seconds"] >= 0

    def test_fewer_images_than_a_batch_and_one_class(self, name):
        labels = labelled(2, (3, 32, 40), 0, self.with_masks)
        one = [dataclasses.replace(objects, classes=objects.classes * 0) for objects in labels.labels]
        data = TrainingSet(Labelled(labels.images, one), ("thing",))
        found = list(fitted(name, data, steps=2, batch_size=5).model.detect(labels.images))
        assert_sound(found, (3, 32, 40), 1, self.with_masks)

    def test_bfloat16(self, name):
        data = self.data()
        execution = Execution("cpu", precision="bfloat16")
        model = small(name, steps=2).fit(data, Context(execution=execution)).model
        assert_sound(list(model.detect(data.held_out.images)), data.image_shape, 2, self.with_masks)
