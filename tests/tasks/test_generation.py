"""Task generation: what a file may be, every problem it may have, and its scores by other means."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from generation_cases import CLASSES, SHAPE, images, labels_file, network, predictions
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from vipriors.board.parts import restrict
from vipriors.cli import main
from vipriors.problems import BadInput
from vipriors.tasks import generation
from vipriors.tasks.feature_distances import frechet_corrected, kernel_distance, kernel_distance_to_point
from vipriors.tasks.generation_labels import GENERATED, labels_of, part_of
from vipriors.tasks.protocol import Truth

LABELS = generation.read_labels(labels_file())
INDEX = LABELS.index
NAMES = [f"class {k}" for k in range(CLASSES)]


def arrays(**changes) -> dict[str, np.ndarray]:
    found = {
        "generated": images(GENERATED, 4),
        "ids": np.array(INDEX.ids),
        "reconstructed": LABELS.images,
    }
    return {key: value for key, value in (found | changes).items() if value is not None}


def npz(compress: bool = False, **changes) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(stream, **arrays(**changes))
    return stream.getvalue()


def problems(data: bytes, **options) -> list[str]:
    found, listed = generation.check(data, INDEX, "p.npz", **options)
    assert (found is None) == bool(listed)
    return [str(one) for one in listed]


def test_written_and_read_in_any_order(tmp_path) -> None:
    made = predictions()
    file = tmp_path / "deep" / "p.npz"
    generation.write(file, INDEX.ids, made)
    first = file.read_bytes()
    generation.write(file, INDEX.ids, made)
    assert file.read_bytes() == first
    found, listed = generation.check(first, INDEX)
    assert listed == [] and found.given.all()
    for name in ("generated", "reconstructed", "interpolated"):
        assert np.array_equal(getattr(found, name), getattr(made, name))
    with np.load(file) as stored:
        assert set(stored.files) == {"generated", "ids", "reconstructed", "interpolated"}
    order = [3, 0, 5, 1, 4, 2]
    for compress in (False, True):
        data = npz(compress, ids=np.array(INDEX.ids)[order], reconstructed=LABELS.images[order])
        again, _ = generation.check(data, INDEX)
        assert np.array_equal(again.reconstructed, LABELS.images) and again.interpolated is None


def test_arrays_by_columns_and_of_other_byte_orders_are_read() -> None:
    turned = np.asfortranarray(images(GENERATED, 4))
    found, _ = generation.check(npz(generated=turned, ids=np.array(INDEX.ids).astype(">U9")), INDEX)
    assert np.array_equal(found.generated, turned)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generated": None},
            "'generated': is missing; expected the arrays generated, ids, reconstructed and",
        ),
        ({"more": np.zeros(3)}, "'more': is unknown; expected the arrays generated, ids, reconstructed and"),
        ({"generated": images(9, 0)}, "'generated': is uint8 (9, 5, 4, 1); expected uint8 (2000, 5, 4, 1)"),
        ({"generated": images(2000, 0) / 255}, "is float64 (2000, 5, 4, 1); expected uint8 (2000, 5, 4, 1)"),
        (
            {"reconstructed": images(5, 0)},
            "'reconstructed': is uint8 (5, 5, 4, 1); expected uint8 (6, 5, 4, 1)",
        ),
        ({"reconstructed": images(6, 0)[..., 0]}, "is uint8 (6, 5, 4); expected uint8 (6, 5, 4, 1)"),
        (
            {"interpolated": images(6, 0)},
            "'interpolated': is uint8 (6, 5, 4, 1); expected uint8 (rows, steps, 5,",
        ),
        (
            {"interpolated": images(40, 0)[None]},
            "expected uint8 (rows, steps, 5, 4, 1) with at most 32 rows of",
        ),
        ({"ids": np.arange(6)}, "'ids': is int64 (6,); expected text (M,), the names of the test images"),
        ({"ids": np.array(["img_0.png"] * 6)}, "p.npz, ids, 2: 'img_0.png' is given twice; expected once"),
        (
            {"ids": np.array(["nobody", *INDEX.ids[1:]])},
            "p.npz, ids, 1: 'nobody' is not an id of the test set",
        ),
        (
            {"ids": np.array(INDEX.ids[:5]), "reconstructed": images(5, 0)},
            "no reconstruction of 'img_5.png'; expected one per test image",
        ),
        ({"ids": np.array(["x", None] * 3)}, "expected numbers or text"),
    ],
)
def test_what_is_refused(changes, message) -> None:
    assert any(message in one for one in problems(npz(**changes)))


def entry(content: bytes, name: str = "generated.npy") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def npy(array: np.ndarray, version=(1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty; expected a zip archive"),
        (b"nothing", "not a zip archive: starts with b'nothing'"),
        (npz()[:-40], "a damaged zip archive"),
        (entry(b"x", "notes.txt"), "'notes.txt': is no .npy file; expected only arrays"),
        (entry(b"x"), "'generated.npy': damaged: "),
        (entry(npy(images(9, 0))[:-1]), "179 bytes for uint8 (9, 5, 4, 1); expected 180"),
        (entry(npy(images(9, 0)) + b"x"), "181 bytes for uint8 (9, 5, 4, 1); expected 180"),
        (entry(npy(images(9, 0), (2, 0))), "npy version 2.0; expected 1.0"),
        (entry(npy(np.zeros(3, "M8[s]"))), "holds 'datetime64[s]'; expected numbers or text"),
        (entry(npy(np.zeros(2, [("a", "u1")]))), "expected numbers or text"),
        (entry(npy(np.array([], "U1")).replace(b"<U1", b"<U0")), "'generated.npy'"),
        (entry(npy(np.zeros(3, "u1")).replace(b"(3,)", b"(-3,)")), "'generated.npy'"),
        (
            entry(npy(np.full(2, 0x110000, "<u4").view("<U1"))),
            "has characters that there are not; expected text",
        ),
        (entry(np.zeros(300_000_000 // 1000, np.uint8).tobytes() * 1000), "bytes; expected at most"),
    ],
    ids=range(14),
)
def test_files_that_are_none(data, message) -> None:
    assert any(message in one for one in problems(data)), problems(data)


@given(st.binary(max_size=200), st.integers(0, 1 << 20), st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_nothing_that_is_handed_in_raises(noise: bytes, place: int, change: int) -> None:
    problems(noise)
    problems(entry(noise))
    header = bytearray(npy(images(9, 0)))
    header[place % 128] ^= change
    problems(entry(bytes(header)))


def test_missing_reconstructions_where_that_is_allowed() -> None:
    data = npz(ids=np.array(INDEX.ids[:4]), reconstructed=LABELS.images[:4])
    found, listed = generation.check(data, INDEX, allow_missing=True)
    assert listed == [] and found.given.tolist() == [True] * 4 + [False] * 2
    assert (found.reconstructed[4:] == 0).all()
    scored = generation.score(found, LABELS, INDEX, NAMES)
    assert scored.details["n_predicted"] == 4
    whole, _ = generation.check(npz(), INDEX)
    more = generation.score(whole, LABELS, INDEX, NAMES)
    assert scored.estimates["class_agreement"].value <= 4 / 6
    assert scored.estimates["pixel_error"].value > more.estimates["pixel_error"].value == 0
    assert scored.estimates["kfd"] == more.estimates["kfd"]


def test_nothing_is_written_that_would_be_refused(tmp_path) -> None:
    made = dataclasses.replace(predictions(), generated=images(7, 0))
    with pytest.raises(BadInput, match=r"is uint8 \(7, 5, 4, 1\); expected uint8 \(2000, 5, 4, 1\)"):
        generation.write(tmp_path / "p.npz", INDEX.ids, made)
    assert not list(tmp_path.iterdir())


def test_scores_by_other_means() -> None:
    made = predictions(seed=9)
    rng = np.random.default_rng(3)
    made = dataclasses.replace(made, reconstructed=rng.permutation(LABELS.images))
    found = generation.score(made, LABELS, INDEX, NAMES)
    assert found.task == "generation" and found.headline == "closeness"
    values = {name: one.value for name, one in found.estimates.items()}
    assert all(one.low <= one.value <= one.high for one in found.estimates.values())
    nets = [network(), network("supervised-1", 1)]
    pairs = [(one.features(made.generated), one.features(LABELS.reference)) for one in nets]
    assert values["kfd"] == pytest.approx(np.mean([kernel_distance(*pair).value for pair in pairs]))
    assert values["ffd"] == pytest.approx(np.mean([frechet_corrected(*pair) for pair in pairs]))
    mean = LABELS.learned_from.mean(0).round().astype(np.uint8)
    zero = np.mean(
        [
            kernel_distance_to_point(one.features(mean[None])[0], real)
            for one, (_, real) in zip(nets, pairs, strict=True)
        ]
    )
    assert values["closeness"] == pytest.approx(1 - values["kfd"] / zero)
    logits = torch.stack([torch.from_numpy(one.logits(made.reconstructed)) for one in nets])
    named = functional.softmax(logits, dim=2).mean(0).argmax(1).numpy()
    assert values["class_agreement"] == pytest.approx((named == LABELS.classes).mean())
    apart = [(one.features(made.reconstructed) - one.features(LABELS.images)) ** 2 for one in nets]
    assert values["feature_error"] == pytest.approx(np.mean(apart))
    pixels = (made.reconstructed.astype(float) - LABELS.images) / 255
    assert values["pixel_error"] == pytest.approx((pixels**2).mean())
    json.dumps(found.to_json(), allow_nan=False)
    assert generation.score(made, LABELS, INDEX, NAMES) == found
    assert "kfd_self_supervised" not in values and "kfd_random" in values
    assert [one["sha256"] for one in found.details["networks"][1:]] == [one.sha256 for one in nets]


def test_copies_are_told() -> None:
    rng = np.random.default_rng(0)
    copied = LABELS.learned_from[rng.integers(len(LABELS.learned_from), size=GENERATED)]
    found = generation.score(dataclasses.replace(predictions(), generated=copied), LABELS, INDEX, NAMES)
    assert found.details["copies"] == GENERATED and found.estimates["novelty"].value == pytest.approx(
        0, abs=1e-6
    )
    fresh = generation.score(predictions(), LABELS, INDEX, NAMES)
    assert fresh.details["copies"] == 0 and 0.7 < fresh.estimates["novelty"].value < 1.4


def test_a_part_of_a_test() -> None:
    made = predictions()
    which = np.array([1, 4])
    truth, part = restrict(Truth(INDEX, LABELS, tuple(NAMES)), made, which)
    assert truth.index.ids == ("img_1.png", "img_4.png")
    assert np.array_equal(part.reconstructed, made.reconstructed[which])
    assert np.array_equal(truth.labels.images, LABELS.images[which])
    rest = part_of(LABELS, np.array([0, 2, 3, 5]))
    together = {image.tobytes() for image in truth.labels.reference} | {r.tobytes() for r in rest.reference}
    assert len(truth.labels.reference) + len(rest.reference) == len(LABELS.reference) == len(together)
    assert len(part_of(LABELS, np.array([0])).reference) == len(LABELS.reference)  # too few for a part
    assert generation.score(part, truth.labels, truth.index, NAMES).details["n_test"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ["a"] * 6}, "'ids': has 'a' more than once; expected each once"),
        ({"ids": ["a", "b"]}, "'ids': is <U1 (2,); expected text (6,)"),
        ({"classes": np.arange(6) - 1}, "expected whole numbers from 0, (6,)"),
        ({"classes": np.arange(6)}, "has class 5; expected less than 3, as the networks tell apart"),
        (
            {"reference": images(11, 0)},
            "'reference': is uint8 (11, 5, 4, 1); expected uint8 (N, H, W, C) of one",
        ),
        ({"learned_from": images(9, 0)[:, 1:]}, "'learned_from': is uint8 (9, 4, 4, 1); expected uint8"),
        ({"networks": {}}, "has no supervised network; expected at least one"),
        ({"networks": {"supervised-0/scale": np.ones(())}}, "'supervised-0': embed.bias is missing"),
    ],
)
def test_labels_that_are_none(changes, message) -> None:
    with pytest.raises(BadInput) as caught:
        generation.read_labels(labels_file(**changes), "l.npz")
    assert message in str(caught.value)


def test_labels_without_an_array() -> None:
    with zipfile.ZipFile(io.BytesIO(labels_file())) as archive:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as fewer:
            for name in archive.namelist():
                if name != "reference.npy":
                    fewer.writestr(name, archive.read(name))
    with pytest.raises(BadInput, match="'reference': is missing; expected ids, classes, images, reference, "):
        generation.read_labels(stream.getvalue())
    with pytest.raises(BadInput, match="not a zip archive"):
        generation.read_labels(b"x")


def test_what_does_not_fit_together() -> None:
    with pytest.raises(BadInput, match="none for 'x'; expected one per image"):
        labels_of(LABELS, ["x"])
    other = labels_of(LABELS, INDEX.ids[::-1])
    with pytest.raises(BadInput) as caught:
        generation.score(predictions(5), other, INDEX, NAMES[:2])
    text = str(caught.value)
    assert "labels: are of other images than the index has, or in another order" in text
    assert "predictions, reconstructed: shape (5, 5, 4, 1); expected (6, 5, 4, 1)" in text
    assert "class names: 2 names; expected 3" in text
    assert INDEX.shape == SHAPE


def test_a_persons_own_files(tmp_path, capsys) -> None:
    (tmp_path / "labels.npz").write_bytes(labels_file())
    (tmp_path / "found.npz").write_bytes(npz())
    given_files = ["generation", str(tmp_path / "found.npz"), "--labels", str(tmp_path / "labels.npz")]
    assert main(["check", *given_files]) == 0
    capsys.readouterr()
    assert main(["score", *given_files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["pixel_error"] == 0
    (tmp_path / "found.npz").write_bytes(b"junk")
    assert main(["score", *given_files]) == 1
