"""Test maps with the walk on them: where it went, where it was turned back, and the shortest way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vipriors.data.files import read_bytes
from vipriors.data.loader import load_split
from vipriors.data.manifest import read_manifest
from vipriors.data.maps import Maps
from vipriors.data.prepared import read_prepared
from vipriors.pictures import Picture, png
from vipriors.problems import BadInput
from vipriors.report.finished import FinishedRun
from vipriors.report.pictures import spread
from vipriors.tasks import planning
from vipriors.tasks.planning_labels import MapIndex
from vipriors.tasks.walks import Episode, Walk, follow, success_by_length

COUNT = 8
"""Maps that are shown."""
SIDE, EDGE = 360, 24
"""Of a picture, and what is left free around it, in pixels."""
TWICE = 2
"""Drawn so much larger, then made smaller: lines come out smooth."""
TRUE, FALSE, MISSING, WAY, WALK, BACK, NODE = (
    (214, 214, 214),
    (214, 150, 150),
    (120, 150, 214),
    (40, 150, 70),
    (20, 20, 20),
    (205, 40, 40),
    (90, 90, 90),
)
"""Colours: links that map and truth have, those that only the map has, those that it misses; and the walk."""
LIKELY = 0.5
"""A link that the map gives at least this probability is one that it has."""


def pictures(run: FinishedRun, data: Path) -> list[Picture]:
    """Maps of the test with the run's walks, the worst to the best by success weighted by length.

    Args:
        run: The run.
        data: The prepared folder whose maps the run used.

    Returns:
        The pictures; none where the folder has no true links of the test.

    Raises:
        BadInput: The predictions, the labels or the maps are damaged or not those of this run.
    """
    labels = read_prepared(data).labels_of("test")
    if labels is None:
        return []
    known = planning.read_labels(read_bytes(labels), str(labels))
    rows = [row for row in read_manifest(run.folder / "manifest.csv") if row.split == "test"]
    index = MapIndex(tuple(row.id for row in rows), (run.recipe.challenge.form.size[0],) * len(rows))
    file = run.folder / run.outcome.predictions
    predictions, problems = planning.check(read_bytes(file), index, str(file))
    if predictions is None:
        raise BadInput(problems)
    if not known.keys() >= set(index.ids):
        raise BadInput.single(labels, "lacks maps of this run")
    episodes = [known[id_] for id_ in index.ids]
    walks = [follow(one, tries) for one, tries in zip(episodes, predictions.tries, strict=True)]
    weighted = np.array([success_by_length(*both) for both in zip(episodes, walks, strict=True)])
    scored = run.score.estimates[planning.HEADLINE].value if run.score else weighted.mean()
    if abs(scored - weighted.mean()) > 1e-9:
        message = f"give spl {weighted.mean():.6f}; expected {scored:.6f}, as in scores.json"
        raise BadInput.single(labels, f"{message}: these are not the labels of this run")
    shown = spread(weighted, COUNT)
    maps = Maps.of(load_split(data, [rows[number] for number in shown], run.recipe.challenge.form).images)
    found = []
    for number, probabilities in zip(shown, maps.probabilities, strict=True):
        episode, walk = episodes[number], walks[number]
        pixels = drawing(episode, walk, probabilities >= LIKELY)
        found.append(Picture(png(pixels), _caption(index.ids[number], episode, walk)))
    return found


def drawing(episode: Episode, walk: Walk, likely: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A map `(SIDE, SIDE, 3)`, its links, the shortest way and the walk.

    Args:
        episode: The truth.
        walk: What became of the tries.
        likely: `(N, N)`, links that the map has.
    """
    low, high = episode.places.min(0), episode.places.max(0)
    scale = (SIDE - 2 * EDGE) / max(float((high - low).max()), 1e-9)
    pixels = ((episode.places - (low + high) / 2) * scale + SIDE / 2) * TWICE
    at = [(float(x), float(y)) for x, y in pixels]
    page = Image.new("RGB", (SIDE * TWICE, SIDE * TWICE), "white")
    pen = ImageDraw.Draw(page)
    for i, j in np.argwhere(np.triu(episode.links | likely, 1)).tolist():
        colour = TRUE if episode.links[i, j] and likely[i, j] else MISSING if episode.links[i, j] else FALSE
        pen.line([at[i], at[j]], colour, TWICE)
    best = way(episode)
    pen.line([at[node] for node in best], WAY, 7 * TWICE)
    pen.line([at[node] for node in walk.nodes], WALK, 2 * TWICE)
    for here, tried in walk.turned_back:
        (x, y), (u, v) = at[here], at[tried]
        far = max(float(np.hypot(u - x, v - y)), 1e-9)
        part = min(1.0, scale * TWICE / far)  # a metre, as far as one goes before one turns back
        end = (x + part * (u - x), y + part * (v - y))
        pen.line([at[here], end], BACK, 2 * TWICE)
        pen.ellipse(_round(end, 3), BACK)
    for node, place in enumerate(at):
        ends = {episode.start: "S", episode.goal: "G"}
        size = 9 if node in ends else 4
        pen.ellipse(_round(place, size), "white" if node in ends else NODE, WALK, TWICE)
        if node in ends:
            pen.text(place, ends[node], WALK, anchor="mm", font_size=12 * TWICE)
    return np.asarray(page.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def way(episode: Episode) -> list[int]:
    """The nodes of a shortest way over true links."""
    nodes = [episode.start]
    while nodes[-1] != episode.goal:
        here = nodes[-1]
        over = np.where(episode.links[here], episode.distances[here] + episode.ways, np.inf)
        nodes.append(int(over.argmin()))
    return nodes


def _round(place: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    x, y = place
    return (x - radius * TWICE, y - radius * TWICE, x + radius * TWICE, y + radius * TWICE)


def _caption(id_: str, episode: Episode, walk: Walk) -> str:
    shortest = float(episode.ways[episode.start])
    outcome = "arrives" if walk.arrived else "does not arrive"
    score = 100 * success_by_length(episode, walk)
    return (
        f"{id_}: {outcome} after {walk.length:.1f} m, turned back {len(walk.turned_back)} times (red); the "
        f"shortest way (green) has {shortest:.1f} m: SPL {score:.0f} %. Black: the walk from S to G. Links: "
        "grey in map and truth, pink in the map alone, blue missing in it."
    )
