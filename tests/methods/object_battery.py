"""What is asked of every method that finds objects, besides what is asked of every method."""

import dataclasses
import json

import numpy as np
from method_cases import fitted, small
from method_cases._objects import data_set, labelled, sound

from vipriors.methods.protocol import Context, Labelled, Objects, TrainingSet
from vipriors.train import Execution


class ObjectBattery:
    """Subclasses set `with_masks` and have a fixture `name`, the method's."""

    with_masks = False

    def data(self, **options) -> TrainingSet:
        return data_set(with_masks=self.with_masks, **options)

    def assert_sound(self, model, images: np.ndarray, data: TrainingSet) -> None:
        sound(model, images, data, with_masks=self.with_masks)

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
            model = fitted(name, TrainingSet(part, data.classes, data.invariance, part), steps=3).model
            self.assert_sound(model, data.held_out.images, data)

    def test_a_validation_without_objects_has_no_precision(self, name, tmp_path):
        data = self.data()
        none = [Objects(one.classes[:0], one.boxes[:0]) for one in data.held_out.labels]
        held_out = Labelled(data.held_out.images, none)
        fitted(name, dataclasses.replace(data, held_out=held_out), tmp_path, steps=2)
        line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
        assert "val_AP" not in line
        assert line["val_loss"] > 0

    def test_one_class(self, name):
        labels = labelled(2, (3, 32, 40), 0, self.with_masks)
        one = [dataclasses.replace(objects, classes=objects.classes * 0) for objects in labels.labels]
        data = TrainingSet(Labelled(labels.images, one), ("thing",))
        self.assert_sound(fitted(name, data, steps=2).model, labels.images, data)

    def test_bfloat16(self, name):
        data = self.data()
        execution = Execution("cpu", precision="bfloat16")
        model = small(name, steps=2).fit(data, Context(execution=execution)).model
        self.assert_sound(model, data.held_out.images, data)
