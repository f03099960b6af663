"""`vipriors export`: a trained network as one ONNX file that runs without this package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from vipriors.problems import BadInput
from vipriors.runs.run import load_model
from vipriors.train import Execution, NetworkClassifier

TOLERANCE = 1e-4
"""Largest difference of a probability between this package and onnxruntime."""


class _Probabilities(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        probabilities: torch.Tensor = self.network(images).softmax(1)
        return probabilities


def export_onnx(run: Path, file: Path) -> float:
    """Writes a run's network as ONNX and runs both on the same images.

    The file takes `images`, `(B, C, H, W)` float32 in [0, 1] at the challenge's input size, for any B, and
    gives `probabilities`, `(B, K)`. The names of the classes are in its metadata as JSON under `classes`.

    Args:
        run: A finished run folder.
        file: Where the ONNX file goes.

    Returns:
        The largest difference of a probability between the two on 64 random images.

    Raises:
        BadInput: The run's method has no network or one beyond ONNX, or the file answers differently.
    """
    recipe, classifier = load_model(run, Execution(device="cpu"))
    if recipe.challenge.task != "classification":
        raise BadInput.single(run, f"is about {recipe.challenge.task}; only classification can be exported")
    if not isinstance(classifier, NetworkClassifier):
        raise BadInput.single(run, f"{recipe.method} has no network to export")
    import onnx
    import onnxruntime

    shape = (recipe.challenge.input.channels, *recipe.challenge.input.size)
    try:
        program = torch.onnx.export(
            _Probabilities(classifier.network).eval(),
            (torch.zeros(2, *shape),),
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError:
        raise BadInput.single(run, f"{recipe.method} has layers that ONNX has no words for") from None
    assert program is not None
    model = program.model_proto
    for key, value in (("classes", json.dumps(list(recipe.classes))), ("challenge", recipe.challenge.name)):
        model.metadata_props.add(key=key, value=value)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".tmp")
    onnx.save(model, partial)

    height, width = recipe.challenge.input.size
    pixels = np.random.default_rng(0).integers(0, 256, (64, height, width, shape[0]), np.uint8)
    session = onnxruntime.InferenceSession(partial.read_bytes(), providers=["CPUExecutionProvider"])
    inputs = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    (answers,) = session.run(None, {"images": inputs})
    difference = float(np.abs(answers - classifier.probabilities(pixels)).max())
    if difference > TOLERANCE:
        partial.unlink()
        raise BadInput.single(
            file, f"differs from the run by {difference:.2g}; expected {TOLERANCE:g} at most"
        )
    partial.replace(file)
    return difference
