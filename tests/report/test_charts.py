import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vipriors.drawing import Axis, nice_ticks, spread
from vipriors.report import charts
from vipriors.report.charts import Interval, Series, heat_map, interval_chart, line_chart


def elements(svg, tag, kind):
    """Elements of a tag with a class, from a parser that insists on well-formed text."""
    return [e for e in ElementTree.fromstring(svg).iter(tag) if kind in e.get("class", "").split()]


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 1000, 3, (0, 500, 1000)),
        (0, 100, 5, (0, 20, 40, 60, 80, 100)),
        (89.2, 97.6, 6, (88, 90, 92, 94, 96, 98)),
        (0, 0.05, 5, (0, 0.01, 0.02, 0.03, 0.04, 0.05)),
        (-0.3, 0.3, 5, (-0.4, -0.2, 0, 0.2, 0.4)),
        (100, 100, 6, (0, 20, 40, 60, 80, 100)),
        (0, 0, 5, (0, 0.2, 0.4, 0.6, 0.8, 1)),
    ],
)
def test_ticks_by_hand(low, high, most, expected):
    assert nice_ticks(low, high, most) == expected


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1e-9), st.integers(3, 8))
def test_ticks_enclose_the_data_in_round_steps(low, spread, most):
    low, high = sorted((low, low + spread))
    if high - low < 1e-6 * max(abs(low), abs(high), 1e-6):
        return
    ticks = nice_ticks(low, high, most)
    steps = np.diff(ticks)
    slack = 1e-6 * steps[0]
    assert 2 <= len(ticks) <= most + 1
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-3
    # No tick too many: one fewer on either side would leave data outside.
    assert ticks[1] > low - slack
    assert ticks[-2] < high + slack


@pytest.mark.parametrize(
    ("ticks", "texts"),
    [
        ((0, 500, 1000), ["0", "500", "1\u202f000"]),
        ((0.0, 0.05, 0.1), ["0.00", "0.05", "0.10"]),
        ((0.0, 0.00002, 0.00004), ["0", "2e-5", "4e-5"]),
        ((-200000.0, 0.0, 200000.0), ["-2e5", "0", "2e5"]),
    ],
)
def test_tick_labels(ticks, texts):
    labels = Axis(ticks, 10, 30).labels
    assert [text for _, text in labels] == texts
    assert [pixel for pixel, _ in labels] == pytest.approx([10, 20, 30])


def test_lines_run_through_their_pixels():
    svg = line_chart("a", "Loss", "loss", [Series("one", [(0, 0), (50, 0.5), (100, 1)], style=2)])
    (line,) = elements(svg, "polyline", "s2")
    left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    bottom, top = charts.HEIGHT - charts.BOTTOM, charts.TOP
    expected = [left, bottom, (left + right) / 2, (bottom + top) / 2, right, top]
    assert [float(number) for number in re.split("[ ,]", line.get("points"))] == pytest.approx(expected)
    (end,) = elements(svg, "circle", "s2")
    assert (float(end.get("cx")), float(end.get("cy"))) == (right, top)


def test_a_line_of_one_point_is_a_dot():
    svg = line_chart("a", "t", "u", [Series("one", [(10, 0.0)])])
    assert len(elements(svg, "circle", "s0")) == 1


def test_end_labels_do_not_overlap():
    svg = line_chart("a", "t", "u", [Series(str(n), [(1, 1), (9, 2 + n / 1e6)], n) for n in range(3)])
    places = sorted(float(text.get("y")) for text in elements(svg, "text", "name"))
    assert min(np.diff(places)) >= 14


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_spread_keeps_order_gap_and_range(places):
    moved = spread(places, 14, 0, 100)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= 14 - 1e-9).all()
    assert min(moved) >= 0
    assert max(moved) <= 100
    if len(places) == 1 or np.diff(np.sort(places)).min() >= 14:
        assert moved == places


def test_intervals_stand_at_their_values():
    rows = [Interval("ours", 96, 95, 97, emphasis=True), Interval("<floor>", 91.5, 90, 93)]
    svg = interval_chart("c", "Scores", " %", rows)
    axis = Axis((90, 92, 94, 96, 98), charts.INSET, charts.INTERVAL_WIDTH - charts.INSET)
    (ours,) = elements(svg, "circle", "main")
    assert float(ours.get("cx")) == pytest.approx(axis(96), abs=0.05)
    (bar,) = elements(svg, "line", "other")
    assert (float(bar.get("x1")), float(bar.get("x2"))) == pytest.approx((axis(90), axis(93)), abs=0.05)
    texts = [text.text for text in elements(svg, "text", "name")]
    assert texts == ["ours", "96.0 %  (95.0 – 97.0)", "<floor>", "91.5 %  (90.0 – 93.0)"]


def test_a_point_interval_has_a_scale():
    svg = interval_chart("c", "t", " %", [Interval("perfect", 100, 100, 100)])
    (dot,) = elements(svg, "circle", "dot")
    assert float(dot.get("cx")) == charts.INTERVAL_WIDTH - charts.INSET


def test_words_are_escaped():
    hostile = '</title><script>alert("1")</script>'
    svg = line_chart("a", hostile, hostile, [Series(hostile, [(1, 1)])])
    assert "<script" not in svg
    assert ElementTree.fromstring(svg).find("title").text == hostile


def test_a_heat_map_has_a_square_for_every_cell_with_images():
    counts = np.random.default_rng(0).poisson(0.3, (100, 100))
    np.fill_diagonal(counts, 20)
    svg = heat_map("m", "t", counts)
    squares = {
        kind: sum(path.get("d").count("M") for path in elements(svg, "path", kind))
        for kind in ("right", "wrong")
    }
    assert squares == {"right": 100, "wrong": np.count_nonzero(counts) - 100}


def test_a_heat_map_shades_by_the_share_of_the_row():
    counts = np.array([[4, 0], [3, 1]])
    np.testing.assert_array_equal(charts.shade_levels(counts), [[8, 0], [7, 4]])
    svg = heat_map("m", "t", counts)
    (wrong,) = elements(svg, "path", "wrong")
    assert wrong.get("fill-opacity") == "0.88"
    assert wrong.get("d") == "M34,214h180v180h-180z"  # second row, first column


def test_a_row_without_images_has_no_shade():
    np.testing.assert_array_equal(charts.shade_levels(np.array([[0, 0], [0, 5]])), [[0, 0], [0, 8]])


def test_descriptions_say_the_numbers():
    svg = interval_chart("c", "Scores", " %", [Interval("ours", 96, 95, 97)])
    root = ElementTree.fromstring(svg)
    assert root.get("aria-labelledby").split() == [root.find("title").get("id"), root.find("desc").get("id")]
    assert root.find("desc").text == "ours 96.0 % (95.0 to 97.0)."
