import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from vipriors.problems import BadInput
from vipriors.tasks.reid import Predictions, QueryIndex, check, index_of, read_labels, score, write
from vipriors.tasks.reid_labels import Image, Labels, queries_without_match

INDEX = QueryIndex(("101", "102"), ("17", "23", "4"))
GOOD = b"0,17,4,23\n101,0.82,1.97,1.31\n102,1.2,-0.07,1e3\n"
READ = [[0.82, 1.31, 1.97], [1.2, 1000, -0.07]]
LABELS = Labels({"101": Image("1"), "102": Image("2")}, {"17": Image("1"), "23": Image("1"), "4": Image("2")})


def problems_in(data, index=INDEX):
    predictions, problems = check(data, index, "file.csv")
    assert predictions is None
    return [str(problem) for problem in problems]


def values(distances, labels, index):
    found = score(Predictions(index.gallery, np.array(distances, dtype=float)), labels, index, ())
    return {name: estimate.value for name, estimate in found.estimates.items()}


# Good files


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.rstrip(b"\n"),
        b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"0,17", b",17"),
        GOOD.replace(b"0,17", b"query,17"),
        b"0,17,4,23\n102,1.2,-0.07,1e3\n101,0.82,1.97,1.31\n",
        b"0,4,23,17\n101,1.97,1.31,0.82\n102,-.07,1000.,12E-1\n",
        b"0, 17, 4, 23\n101,    0.82000,    1.97000,    1.31000\n102,1.2 ,-0.07 ,+1000 \n",
    ],
)
def test_published_form(data):
    predictions, problems = check(data, INDEX)
    assert problems == []
    assert predictions.gallery == INDEX.gallery
    assert predictions.distances.tolist() == READ


# Bad files


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "file.csv: the file is empty; expected a matrix of distances"),
        (b"\xef\xbb\xbf", "file.csv: the file is empty; expected a matrix of distances"),
        (
            GOOD.decode().encode("utf-16"),
            "file.csv: the file is UTF-16 (its byte order mark is at byte 0); expected UTF-8",
        ),
        (GOOD[:30] + b"\0" + GOOD[30:], "file.csv: NUL at byte 30; expected UTF-8 text"),
        (
            GOOD.replace(b"0,17", b"\xe4,17"),
            "file.csv: byte 0 is 0xe4, which is not UTF-8; expected UTF-8 text",
        ),
        (GOOD.replace(b"\n", b"\r"), "file.csv: lines end in CR alone; expected LF or CRLF"),
        (b"0" * 10_000, "file.csv: the file has 10,000 bytes; expected at most 2,934"),
        (b"0," + b"1" * 300, "file.csv, row 1: the row has 302 bytes; expected at most 163"),
        (b"\n" * 1005, "file.csv: the file has 1,005 lines; expected at most 1,004"),
    ],
)
@pytest.mark.parametrize("allow_missing", [False, True])
def test_files_that_cannot_be_read(data, expected, allow_missing):
    predictions, problems = check(data, INDEX, "file.csv", allow_missing=allow_missing)
    assert predictions is None
    assert [str(problem) for problem in problems] == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "inf",
        "-Infinity",
        "1e999",
        "",
        " ",
        "cat",
        "1_0",
        "0x1",
        "1 2",
        "1e",
        "--1",
        "٢",
        "\t1",
        "1\x0b",
        '"1"',
    ],
)
def test_numbers(text):
    expected = f"the distance to '4' in column 3 is {text!r}; expected a finite number"
    assert problems_in(GOOD.replace(b"1.97", text.encode())) == [f"file.csv, row 2: {expected}"]


def test_every_problem_is_listed_with_its_row_and_column():
    data = b"0,17,8,23,17\n101,nan,1,2,x\n\n101,1,2,3,4\n7,1,inf,3,4\n102,1,2\n8\n9," + b"1" * 300 + b"\n"
    assert problems_in(data) == [
        "file.csv, row 1: '8' in column 3 is not a gallery image of the test set",
        "file.csv, row 1: '17' is in columns 2 and 5; expected once",
        "file.csv, row 1: no column for gallery image '4'; expected one per image",
        "file.csv, row 2: the distance to '17' in column 2 is 'nan'; expected a finite number",
        "file.csv, row 2: the distance to '17' in column 5 is 'x'; expected a finite number",
        "file.csv, row 5: the distance to '8' in column 3 is 'inf'; expected a finite number",
        "file.csv, row 3: the row is empty; expected a query and its distances",
        "file.csv, row 4: query '101' is given twice, first in row 2; expected once",
        "file.csv, row 5: '7' is not a query of the test set",
        "file.csv, row 7: '8' is not a query of the test set",
        "file.csv, row 6: the row has 2 distances; expected 4, one per id of the first row",
        "file.csv, row 7: the row has 0 distances; expected 4, one per id of the first row",
        "file.csv, row 8: the row has 303 bytes; expected at most 163",
    ]


def test_a_matrix_without_ids_or_the_wrong_way_round_is_said_so():
    expected = "expected 3 of them, such as '17'"
    found = problems_in(b"0.82,1.97,1.31\n1.2,0.07,1.55\n")
    assert found[0] == f"file.csv, row 1: the first row has no id of the gallery: '1.97,1.31'; {expected}"
    found = problems_in(b"0,101,102\n17,1,2\n23,1,2\n4,1,2\n")
    assert found == [
        f"file.csv, row 1: the first row has no id of the gallery: '101,102'; {expected}",
        *(
            f"file.csv, row {row}: {id_!r} is not a query of the test set"
            for row, id_ in [(2, "17"), (3, "23"), (4, "4")]
        ),
        *(f"file.csv: no row for query {id_!r}; expected one per query" for id_ in INDEX.queries),
    ]
    assert problems_in(GOOD.replace(b",", b";"))[0] == (
        f"file.csv, row 1: the first row has no id of the gallery: ''; {expected}"
    )


def test_of_each_kind_twenty_are_listed_and_the_rest_counted():
    index = QueryIndex(("a", "b", "c"), tuple(f"g{i}" for i in range(50)))
    header = ",".join(["", *index.gallery])
    data = "\n".join([header, *(",".join([id_, *["nan"] * 50]) for id_ in "ab")]).encode()
    expected = [
        f"file.csv, row 2: the distance to 'g{i}' in column {i + 2} is 'nan'; expected a finite number"
        for i in range(20)
    ]
    assert problems_in(data, index) == [
        *expected,
        "file.csv: 100 fields that are no distance in all; the first 20 are listed",
        "file.csv: no row for query 'c'; expected one per query",
    ]


def test_messages_stay_short_whatever_the_file_holds():
    index = QueryIndex(("a",), tuple(f"g{i}" for i in range(5000)))
    header = ",".join(["", *index.gallery]).encode()
    for data in [
        b"," * 100_000 + b"\n" + b"," * 100_000,
        header + b"\na," + b"1" * 100_000,
        header + b"\na" + b",1" * 4999 + b"," + b"1" * 100_000,
        header + b"\n" + b"\xc3\xa4" * 50_000,
        b"," + b"x" * 100_000,
    ]:
        _, problems = check(data, index)
        assert problems
        assert all(len(str(problem)) < 300 for problem in problems)


def test_missing_queries_are_refused_or_find_nothing():
    data = GOOD.splitlines(keepends=True)[0] + GOOD.splitlines()[2]
    assert problems_in(data) == ["file.csv: no row for query '101'; expected one per query"]
    predictions, problems = check(data, INDEX, allow_missing=True)
    assert problems == []
    assert np.isnan(predictions.distances[0]).all()
    found = score(predictions, LABELS, INDEX, ())
    assert {name: estimate.value for name, estimate in found.estimates.items()} == {"mAP": 0.5, "rank1": 0.5}
    assert found.details == {"n_test": 2, "n_predicted": 1, "n_gallery": 3, "cmc": [0.5, 0.5, 0.5]}
    assert check(GOOD.splitlines()[0], INDEX, allow_missing=True)[1] == []


# Writing


def test_write_gives_the_same_bytes(tmp_path):
    path = tmp_path / "new" / "file.csv"
    for _ in range(2):
        write(path, INDEX.queries, Predictions(INDEX.gallery, np.array(READ)))
        assert path.read_bytes() == b"0,17,23,4\n101,0.82,1.31,1.97\n102,1.2,1000,-0.07\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.csv"]


def test_single_precision_survives_a_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    distances = np.exp(rng.normal(0, 9, (2, 3000))).astype(np.float32)
    index = QueryIndex(("a", "b"), tuple(map(str, range(3000))))
    write(tmp_path / "file.csv", index.ids, Predictions(index.gallery, distances.astype(np.float64)))
    predictions, problems = check((tmp_path / "file.csv").read_bytes(), index)
    assert problems == []
    np.testing.assert_array_equal(predictions.distances.astype(np.float32), distances)


@pytest.mark.parametrize(
    ("queries", "distances", "expected"),
    [
        (("101", "102"), [[1, 2, 3]], "{path}: distances have shape (1, 3); expected (2, 3)"),
        (
            ("101", "102"),
            [[1, 2, 3], [1, np.nan, 3]],
            "{path}, row 3: the distance to '23' in column 3 is 'nan'",
        ),
        (("101", "1,02"), READ, "index, queries: id '1,02' cannot stand in a predictions file"),
        (("101", "101"), READ, "index, queries: id '101' occurs 2 times; expected once"),
    ],
)
def test_write_refuses_what_check_would_refuse(tmp_path, queries, distances, expected):
    path = tmp_path / "file.csv"
    path.write_bytes(GOOD)
    with pytest.raises(BadInput) as error:
        write(path, queries, Predictions(INDEX.gallery, np.array(distances, dtype=float)))
    assert str(error.value.problems[0]).startswith(expected.format(path=path))
    assert path.read_bytes() == GOOD


# Scores


def slow_scores(distances, labels, index):
    """Straight from the definitions; ranks by sorting pairs of distance and place in the index."""
    precisions, firsts = [], []
    for query, row in zip(index.queries, distances, strict=True):
        who = labels.queries[query]
        outcome = []
        for _, _, id_ in sorted((value, place, index.gallery[place]) for place, value in enumerate(row)):
            image = labels.gallery[id_]
            if image.person == who.person and (id_ == query or (who.camera and image.camera == who.camera)):
                continue
            outcome.append(image.person == who.person)
        hits = [rank for rank, found in enumerate(outcome, 1) if found]
        if np.isnan(row).any():
            precisions.append(0)
            firsts.append(10**9)
            continue
        precisions.append(sum(sum(outcome[:rank]) / rank for rank in hits) / len(hits))
        firsts.append(hits[0])
    found = {"mAP": sum(precisions) / len(precisions)}
    for k in [1, 5, 10]:
        if k == 1 or k < len(index.gallery):
            found[f"rank{k}"] = sum(first <= k for first in firsts) / len(firsts)
    return found


@st.composite
def cases(draw, cameras=(0, 2)):
    persons, images = draw(st.integers(1, 5)), draw(st.integers(5, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    of_camera = draw(st.sampled_from(cameras))

    def image(person):
        return Image(str(person), f"c{rng.integers(of_camera)}" if of_camera else None)

    gallery = {f"i{i}": image(i % persons) for i in range(images)}
    queries = {
        f"{rng.choice(['i', 'q'])}{i}": image(rng.integers(persons)) for i in range(draw(st.integers(1, 8)))
    }
    labels = Labels(queries, gallery)
    for query in queries_without_match(labels):
        del queries[query]
    if not queries:
        queries["q"] = Image("0", "other" if of_camera else None)
    index = QueryIndex(tuple(queries), tuple(gallery))
    levels = draw(st.sampled_from([1, 3, 10**6]))
    distances = rng.integers(-levels, levels, (len(queries), images)) / 7
    distances[rng.random(len(queries)) < draw(st.sampled_from([0, 0.2]))] = np.nan
    return distances, labels, index


@settings(max_examples=150, deadline=None)
@given(cases())
def test_scores_equal_a_slow_implementation_with_ties(case):
    distances, labels, index = case
    assert values(distances, labels, index) == pytest.approx(slow_scores(distances, labels, index), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(cases(cameras=(0,)), st.integers(0, 2**32 - 1))
def test_without_ties_mean_average_precision_equals_sklearn(case, seed):
    _, labels, index = case
    rng = np.random.default_rng(seed)
    distances = rng.permuted(np.tile(np.arange(len(index.gallery)), (len(index.queries), 1)), axis=1) / 3
    precisions = []
    for query, row in zip(index.queries, distances, strict=True):
        person = labels.queries[query].person
        kept = [g for g in index.gallery if g != query or labels.gallery[g].person != person]
        matches = [labels.gallery[g].person == person for g in kept]
        precisions.append(
            metrics.average_precision_score(matches, [-row[index.gallery.index(g)] for g in kept])
        )
    assert values(distances, labels, index)["mAP"] == pytest.approx(np.mean(precisions), abs=1e-9)


def test_by_hand():
    # Ranked: 101: 17 (match), 23 (match), 4. 102: 4 (match), 17, 23.
    assert values(READ, LABELS, INDEX) == {"mAP": 1, "rank1": 1}
    # 101: 4, 17, 23: precision 1/2 and 2/3. 102: 17, 23, 4: 1/3.
    assert values([[2, 3, 1], [1, 2, 3]], LABELS, INDEX) == pytest.approx(
        {"mAP": ((1 / 2 + 2 / 3) / 2 + 1 / 3) / 2, "rank1": 0}
    )


def test_equal_distances_rank_in_the_order_of_the_index_whatever_the_order_of_the_file():
    index = QueryIndex(("q",), ("a", "b", "c"))
    labels = Labels({"q": Image("1")}, {"a": Image("2"), "b": Image("1"), "c": Image("2")})
    found = set()
    for header in (b",a,b,c", b",b,a,c", b",c,b,a"):
        predictions, _ = check(header + b"\nq,5,5,5\n", index)
        found.add(score(predictions, labels, index, ()).estimates["mAP"].value)
    assert found == {0.5}


def test_images_of_the_same_person_and_camera_are_left_out_of_the_ranking():
    index = QueryIndex(("q",), ("same", "match", "other"))
    gallery = {"same": Image("1", "c1"), "match": Image("1", "c2"), "other": Image("2", "c1")}
    labels = Labels({"q": Image("1", "c1")}, gallery)
    assert values([[1, 2, 3]], labels, index)["mAP"] == 1
    assert values([[1, 3, 2]], labels, index)["mAP"] == 0.5
    without_cameras = Labels({"q": Image("1")}, {id_: Image(image.person) for id_, image in gallery.items()})
    assert values([[1, 3, 2]], without_cameras, index)["mAP"] == pytest.approx((1 + 2 / 3) / 2)


def test_the_query_itself_finds_nothing_but_its_number_may_be_that_of_another_person():
    index = QueryIndex(("7",), ("7", "8", "9"))
    itself = Labels({"7": Image("1")}, {"7": Image("1"), "8": Image("2"), "9": Image("1")})
    assert values([[0, 1, 2]], itself, index)["mAP"] == 0.5
    another = Labels({"7": Image("1")}, {"7": Image("2"), "8": Image("2"), "9": Image("1")})
    assert values([[0, 1, 2]], another, index)["mAP"] == pytest.approx(1 / 3)


def test_a_query_without_a_match_is_not_skipped_in_silence():
    labels = Labels({**LABELS.queries, "102": Image("3")}, LABELS.gallery)
    with pytest.raises(BadInput, match=r"^labels: query '102' has no match in the gallery$"):
        values(READ, labels, INDEX)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_queries_without_match(seed, with_cameras):
    rng = np.random.default_rng(seed)

    def image():
        return Image(str(rng.integers(4)), str(rng.integers(2)) if with_cameras else None)

    labels = Labels({str(i): image() for i in range(4)}, {str(i): image() for i in range(2, 7)})
    expected = [
        id_
        for id_, query in labels.queries.items()
        if not any(
            image.person == query.person
            and other != id_
            and (not with_cameras or image.camera != query.camera)
            for other, image in labels.gallery.items()
        )
    ]
    assert queries_without_match(labels) == expected


def test_intervals_are_over_queries():
    rng = np.random.default_rng(0)
    queries = {f"q{i}": Image(str(i)) for i in range(300)}
    gallery = {f"g{i}": Image(str(i % 300)) for i in range(600)}
    index = QueryIndex(tuple(queries), tuple(gallery))
    distances = rng.random((300, 600)) + 0.3 * (np.arange(300)[:, np.newaxis] != np.arange(600) % 300) * 2
    found = score(Predictions(index.gallery, distances), Labels(queries, gallery), index, ())
    assert list(found.estimates) == ["mAP", "rank1", "rank5", "rank10"]
    for estimate in found.estimates.values():
        assert estimate.low < estimate.value < estimate.high
    rank1 = found.estimates["rank1"]
    spread = 2 * 1.96 * (rank1.value * (1 - rank1.value) / 300) ** 0.5
    assert rank1.high - rank1.low == pytest.approx(spread, rel=0.15)
    assert found.details["cmc"][:1] == [rank1.value]
    assert found.details["cmc"][9] == found.estimates["rank10"].value
    assert len(found.details["cmc"]) == 20
    record = found.to_json()
    assert (record["task"], record["headline"]) == ("reid", "mAP")
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (
        score(Predictions(index.gallery, distances), Labels(queries, gallery), index, ()).to_json() == record
    )


def test_what_does_not_fit_the_index_is_refused():
    with pytest.raises(BadInput) as error:
        score(Predictions(("17", "4", "23"), np.ones((2, 2))), LABELS, INDEX, ())
    assert [str(problem) for problem in error.value.problems] == [
        "predictions, gallery: other ids than the index has, or in another order",
        "predictions, distances: shape (2, 2); expected (2, 3)",
    ]
    for wrong in (np.nan, np.inf):
        with pytest.raises(BadInput, match=r"^predictions, distances: NaN or infinity beside numbers"):
            values([[1, wrong, 2], [1, 2, 3]], LABELS, INDEX)
    with pytest.raises(BadInput) as error:
        values(READ, Labels({"101": Image("1"), "9": Image("1")}, {"17": Image("1"), "x": Image("2")}), INDEX)
    assert [str(problem) for problem in error.value.problems] == [
        "labels: no label for query '102'",
        "labels: no label for gallery image '23'",
        "labels: no label for gallery image '4'",
        "labels: query '9' is not in the index",
        "labels: gallery image 'x' is not in the index",
    ]


# Index and labels


def test_the_index_tells_nothing_of_the_persons():
    labels = Labels({"b": Image("1"), "a": Image("2")}, {"z": Image("2"), "y": Image("1"), "x": Image("2")})
    index = index_of(labels)
    assert index == QueryIndex(("a", "b"), ("x", "y", "z"))
    assert index.ids == ("a", "b")


def test_index_lists_every_fault():
    with pytest.raises(BadInput) as error:
        QueryIndex((), ("a", "a", "b,c"))
    assert [str(problem) for problem in error.value.problems] == [
        "index, queries: no ids; expected at least one test image",
        "index, gallery: id 'a' occurs 2 times; expected once",
        "index, gallery: id 'b,c' cannot stand in a predictions file; expected text without commas, quotes, "
        "control characters or spaces at its ends",
    ]
    with pytest.raises(
        BadInput, match="10,001 queries and 10,000 gallery images; expected at most 100,000,000 pairs"
    ):
        QueryIndex(tuple(map(str, range(10_001))), tuple(map(str, range(10_000))))


def test_labels():
    data = b"split,id,person\r\nquery,101,1\r\ngallery,17,1\r\ngallery,101,2\r\n"
    assert read_labels(data) == Labels({"101": Image("1")}, {"17": Image("1"), "101": Image("2")})
    data = b"split,id,person,camera\nquery,101,1,c 1\ngallery,17,1,c 2\n"
    assert read_labels(data) == Labels({"101": Image("1", "c 1")}, {"17": Image("1", "c 2")})


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ["l: the file is empty; expected a header and rows"]),
        (b"split,id,person\n", ["l: there are no rows of split 'query'; expected one per image"]),
        (
            b"split,id,person\nquery,1,1\n",
            ["l: there are no rows of split 'gallery'; expected one per image"],
        ),
        (
            b"split,id,person,camera\nquery,1,p,a\nquery,2,p,b\nquery,3,q,b\ngallery,4,p,a\n",
            [
                "l, row 2: query '1', person 'p', has no match; expected one in the gallery",
                "l, row 4: query '3', person 'q', has no match; expected one in the gallery",
            ],
        ),
        (
            b"split,id,person,camera\ntest,1,p,a\nquery,,p,\nquery,2, ,a\n"
            b"gallery,2,p,b\ngallery,2,p,c\nquery,3,p\n",
            [
                "l, row 2: split 'test'; expected 'query' or 'gallery'",
                "l, row 3: the id is empty; expected one",
                "l, row 3: the camera is empty; expected one",
                "l, row 4: the person is empty; expected one",
                "l, row 6: gallery '2' is given twice, first in row 5; expected once",
                "l, row 7: the row has 3 fields: 'query,3,p'; expected 4 fields",
            ],
        ),
    ],
)
def test_faults_of_labels(data, expected):
    with pytest.raises(BadInput) as error:
        read_labels(data, "l")
    assert [str(problem) for problem in error.value.problems] == expected
