"""Which photos get a second look."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scenes import SMALL, scene, stored, turned

from finprint.base.files import caching_in
from finprint.keypoints import features
from finprint.keypoints.compared import Compared, best_photos, individuals_compared
from finprint.keypoints.descriptors import Described, agreeing, agreement, describe
from finprint.keypoints.drawing import agreeing_points
from finprint.keypoints.features import opened
from finprint.keypoints.lessons import Learned
from finprint.keypoints.look import second_look
from finprint.keypoints.near import comparable, nearest
from finprint.keypoints.networks import load_networks
from finprint.keypoints.params import Match
from finprint.keypoints.points import Features
from finprint.keypoints.shortlist import shortlist
from finprint.keypoints.tables import (
    COMPARED,
    LINES,
    PAIRS,
    POINTS,
    SecondLook,
    local_scores,
    no_points,
    none_compared,
    read_local_scores,
    write_second_look,
)
from finprint.store.tables import read_table


def _params(**changes: float | str | bool) -> Match:
    return SMALL.model_copy(update=changes)


def _at(*degrees: float) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def _photos(codes: Sequence[int] | np.ndarray, sides: str = "") -> pd.DataFrame:
    """Individuals, and a viewpoint each by its letter; a dash: not told."""
    told = [{"l": "left", "r": "right", "-": None}[side] for side in sides or "-" * len(codes)]
    return pd.DataFrame({"code": codes, "viewpoint": pd.Series(told, dtype="string")})


def test_left_and_right_alone_show_nothing_of_each_other() -> None:
    words = np.array(["left", "right", "front", "", "top"])
    barred = ~comparable(words, words)
    assert np.argwhere(barred).tolist() == [[0, 1], [1, 0]]


def test_individuals_are_taken_by_their_places_in_both_orders() -> None:
    """By vectors the order is 1, 2, 3, 4; by the other measure 4, 3, 2, 1, and of animal 4 the second photo is best.

    So 1 and 4 have 1/5 + 1/8, which is more than the 1/6 + 1/7 of the others.
    """
    photos, vectors = _photos([0, 1, 2, 3, 4, 4]), _at(0, 1, 2, 3, 4, 5)
    gallery = np.array([5, 4, 3, 2, 1])
    compared = Compared(gallery[None], np.array([[0.5, 0.4, 0.3, 0.2, 0.1]]))
    table = shortlist(photos, vectors, np.array([0]), gallery, _params(individuals=3, photos=1), compared)
    assert table["match"].tolist() == [1, 5, 2]
    assert table["cosine"].tolist() == pytest.approx(np.cos(np.deg2rad([1, 5, 2])).tolist())
    some = Compared(np.array([[3, 2, -1]]), np.array([[0.1, 0.2, 0.9]]))  # the others rank behind, by vectors
    table = shortlist(photos, vectors, np.array([0]), gallery, _params(individuals=4, photos=2), some)
    assert table["match"].tolist() == [2, 1, 3, 4, 5]
    nothing = Compared(gallery[None], np.zeros((1, 5)))  # agree in nothing: by vectors
    table = shortlist(photos, vectors, np.array([0]), gallery, _params(individuals=2, photos=1), nothing)
    assert table["match"].tolist() == [1, 2]


def test_the_nearest_photos_of_the_same_side() -> None:
    photos, vectors = _photos([0, 1, 2, 3, 4], "lrl-l"), _at(0, 1, 9, 6, 3)
    rows = nearest(photos, vectors, np.array([0, 1]), np.array([4, 3, 2]), 2)
    assert rows.tolist() == [[4, 3], [3, -1]]  # the second query shows the right side
    assert nearest(photos, vectors, np.array([0]), np.array([], np.int64), 2).tolist() == [[-1, -1]]
    assert nearest(photos, vectors, np.array([], np.int64), np.array([4]), 2).shape == (0, 2)


def test_photos_of_two_sides_are_not_compared() -> None:
    """The query shows the left; animal 1 is known from the right, animal 2 from both, animal 3 from one not told."""
    photos, vectors = _photos([0, 1, 2, 2, 2, 3], "lrrll-"), _at(0, 1, 2, 30, 20, 40)
    table = shortlist(photos, vectors, np.array([0]), np.arange(1, 6), _params(individuals=3, photos=2))
    assert table["match"].tolist() == [4, 3, 5]
    untold = shortlist(photos, vectors, np.array([5]), np.arange(5), _params(individuals=9, photos=9))
    assert sorted(untold["match"]) == [0, 1, 2, 3, 4]


def test_by_hand() -> None:
    """The query at 0 degrees; animal 7 at 10 and 50, animal 3 at 20, 30 and 40, animal 5 at 60."""
    vectors = _at(0, 10, 20, 60, 30, 50, 40)
    codes = np.array([9, 7, 3, 5, 3, 7, 3])
    table = shortlist(_photos(codes), vectors, np.array([0]), np.arange(1, 7), _params(individuals=2, photos=2))
    assert table[["query", "match"]].to_numpy().tolist() == [[0, 1], [0, 5], [0, 2], [0, 4]]
    assert table["cosine"].tolist() == pytest.approx(np.cos(np.deg2rad([10, 50, 20, 30])).tolist())
    more = shortlist(_photos(codes), vectors, np.array([0]), np.arange(1, 7), _params(individuals=9, photos=9))
    assert more["match"].tolist() == [1, 5, 2, 4, 6, 3]


def test_a_sure_query_is_matched_with_one_photo() -> None:
    """Animal 1 stands cos 10 - cos 60 = 0.48 above animal 2; the second query has nobody to be compared with but 1."""
    photos, vectors = _photos([9, 9, 1, 1, 2], "-rlr-"), _at(0, 0, 20, 10, 60)
    photos.loc[4, "viewpoint"] = "left"
    gallery = np.array([2, 3, 4])

    def pairs(query: int, sure: float, agreement: list[float] | None = None) -> list[int]:
        params = _params(individuals=2, photos=2, sure=sure)
        second = None if agreement is None else Compared(gallery[None], np.array([agreement]))
        return shortlist(photos, vectors, np.array([query]), gallery, params, second)["match"].tolist()

    assert pairs(0, sure=0.4) == [3]
    assert pairs(0, sure=0.5) == [3, 2, 4]
    assert pairs(0, 0.4, agreement=[0.3, 0.2, 0.1]) == [2]  # the second measure says the same of the animal
    assert sorted(pairs(0, 0.4, agreement=[0.1, 0.2, 0.3])) == [2, 3, 4]  # it says another one
    assert pairs(1, sure=0.4) == [3]  # its only photo of this side, whoever is sure


def test_ties_go_by_row() -> None:
    table = shortlist(_photos([0, 2, 1, 1]), _at(0, 5, 5, 5), np.array([0]), np.arange(1, 4), _params(photos=1))
    assert table["match"].tolist() == [2, 1]


@pytest.mark.parametrize(("queries", "gallery"), [([], [0, 1]), ([0], [])])
def test_of_nothing(queries: list[int], gallery: list[int]) -> None:
    rows = [np.array(rows, np.int64) for rows in (queries, gallery)]
    table = shortlist(_photos([0, 1]), _at(0, 5), *rows, SMALL)
    assert len(table) == 0
    assert list(table) == ["query", "match", "cosine"]


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 3))
def test_as_a_slow_reference(seed: int, individuals: int, photos: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = rng.integers(0, 6, 30)
    queries, gallery = np.arange(5), np.arange(5, 30)
    expected = []
    for query in queries:
        cosines = {row: float(vectors[query] @ vectors[row]) for row in gallery}
        best = {code: max(c for row, c in cosines.items() if codes[row] == code) for code in set(codes[gallery])}
        for code in sorted(best, key=lambda code: -best[code])[:individuals]:
            own = sorted((row for row in gallery if codes[row] == code), key=lambda row: -cosines[row])
            expected += [(query, row) for row in own[:photos]]
    table = shortlist(_photos(codes), vectors, queries, gallery, _params(individuals=individuals, photos=photos))
    assert list(zip(table["query"], table["match"], strict=True)) == expected


SURVEY = [  # image, identity, split, degrees of its vector
    ("a1.jpg", "al", "train", 0.0),
    ("a2.jpg", "al", "train", 3.0),
    ("b1.jpg", "bo", "train", 6.0),
    ("n1.jpg", None, "train", 1.0),  # nobody knows who
    ("a3.jpg", "al", "validation", 4.0),
    ("n2.jpg", None, "validation", 2.0),
    ("q1.jpg", None, "test", 5.0),
]


def _look(folder: Path, params: Match, tiny: str = "") -> SecondLook:
    """The second look at `SURVEY`; the crop of a photo `tiny` is too small for local features."""
    photos = pd.DataFrame(SURVEY, columns=["image", "identity", "split", "degrees"])
    photos["viewpoint"] = pd.Series([None] * len(photos), dtype="string")
    photos["code"] = photos["identity"].map({"al": 0, "bo": 1}).fillna(-1).astype(int)
    seeds = {"a": 1, "b": 2, "n": 3, "q": 2}
    pictures = {image: turned(scene(seeds[image[0]]), 4.0 * n) for n, image in enumerate(photos["image"])}
    pictures = {image: pixels[:31] if image == tiny else pixels for image, pixels in pictures.items()}
    return second_look(photos, _at(*photos["degrees"]), stored(folder / "crops", pictures), params)


def test_validation_looks_at_training_photos_and_test_at_all_named_ones(tmp_path: Path) -> None:
    looked = _look(tmp_path, _params(extractor="xfeat"))
    couples = list(zip(looked.pairs["query"], looked.pairs["match"], looked.pairs["identity"], strict=True))
    assert couples == [
        ("a3.jpg", "a2.jpg", "al"),
        ("a3.jpg", "a1.jpg", "al"),
        ("a3.jpg", "b1.jpg", "bo"),
        ("q1.jpg", "a3.jpg", "al"),
        ("q1.jpg", "a2.jpg", "al"),
        ("q1.jpg", "b1.jpg", "bo"),
    ]
    scores = looked.pairs.set_index(["query", "match"])["score"]
    assert scores["a3.jpg", "a2.jpg"] > 2 * scores["a3.jpg", "b1.jpg"]
    assert scores["q1.jpg", "b1.jpg"] > 2 * scores["q1.jpg", "a3.jpg"]
    assert looked.metrics() == {"queries": 2, "pairs": 6, "matched_pairs": 6, "too_small": 0}


def test_descriptors_find_the_same_scene_where_vectors_do_not(tmp_path: Path) -> None:
    looked = _look(tmp_path, _params(extractor="xfeat", compared=9, individuals=1, photos=1))
    # q1 shows bo's scene, but its vector is nearest to al's a3.
    agreement = looked.compared.set_index(["query", "identity"])["agreement"]
    assert len(agreement) == 4  # all individuals, also those that were not matched
    assert agreement["q1.jpg", "bo"] > 1.5 * agreement["q1.jpg", "al"]
    assert agreement["a3.jpg", "al"] > 1.5 * agreement["a3.jpg", "bo"]
    alone = _look(tmp_path / "alone", _params(extractor="xfeat", compared=9, individuals=0, sure=0.001))
    assert len(alone.pairs) == 0
    assert alone.metrics() == {"queries": 2, "pairs": 0, "matched_pairs": 0, "too_small": 0}
    pd.testing.assert_frame_equal(alone.compared, looked.compared)
    scores = local_scores(alone.pairs, alone.compared)
    assert scores is not None
    assert scores["descriptors"].notna().any()
    assert scores["keypoints"].isna().all()
    # By vectors, a2 is the nearest photo of a3, then b1; and a3 and b1 are those of q1.
    two = _look(tmp_path / "two", _params(extractor="xfeat", compared=1, individuals=1, photos=1)).compared
    assert two[["query", "identity"]].to_numpy().tolist() == [["a3.jpg", "al"], ["q1.jpg", "bo"]]
    assert two["agreement"].iloc[1] == pytest.approx(agreement["q1.jpg", "bo"], rel=1e-5)  # batches of other sizes


def test_without_pairs_the_points_by_which_photos_agree_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[tuple[Any, ...]] = []
    monkeypatch.setattr(features, "load_networks", lambda *given: loaded.append(given) or load_networks(*given))
    looked = _look(tmp_path, _params(extractor="xfeat", compared=9, individuals=0))
    best = looked.points.drop_duplicates(["query", "match"])[["query", "match"]].to_numpy().tolist()
    assert sorted(best) == [["a3.jpg", "a2.jpg"], ["a3.jpg", "b1.jpg"], ["q1.jpg", "a3.jpg"], ["q1.jpg", "b1.jpg"]]
    drawn = dict(list(looked.points.groupby(["query", "match"])))
    same, other = drawn["q1.jpg", "b1.jpg"], drawn["q1.jpg", "a3.jpg"]
    assert same["inlier"].mean() > 2 * other["inlier"].mean()
    assert same["score"].is_monotonic_decreasing
    assert len(same) <= LINES
    # Both are turned about the middle, so that points of one part of the scene lie near each other.
    apart = (
        same.loc[same["inlier"], ["x", "y"]].to_numpy() - same.loc[same["inlier"], ["match_x", "match_y"]].to_numpy()
    )
    assert np.abs(apart).max() < 0.3
    assert len(loaded) == 1
    # With pairs, the points are those of the pairs.
    paired = _look(tmp_path / "pairs", _params(extractor="xfeat", compared=9, individuals=1, photos=1))
    assert set(paired.points["match"]) == set(paired.pairs["match"])


def test_each_two_photos_get_points_that_agree(tmp_path: Path) -> None:
    pictures = {f"{number}.jpg": turned(scene(1), 4.0 * number) for number in range(3)}
    crops, photos = stored(tmp_path / "crops", pictures), pd.DataFrame({"image": [*pictures]})
    pairs = pd.DataFrame({"query": ["0.jpg", "0.jpg", "1.jpg"], "match": ["1.jpg", "2.jpg", "0.jpg"]})
    pairs["identity"] = ["al", "bo", "cy"]
    with caching_in(tmp_path / "empty"), opened(photos, crops, _params(extractor="xfeat")) as bench:
        describe(bench, np.arange(3))
        drawn = agreeing_points(bench, pairs)
        assert len(agreeing_points(bench, pairs[:0])) == 0
    couples = drawn[["query", "match"]].drop_duplicates().to_numpy().tolist()
    assert couples == pairs[["query", "match"]].to_numpy().tolist()
    assert drawn.groupby(["query", "match"])["inlier"].sum().min() > 8


def test_training_photos_alone_teach_what_matches_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither those that validate nor those to identify, and none that is too small for local features."""
    taught: list[pd.DataFrame] = []

    def learn(photos: pd.DataFrame, vectors: np.ndarray, described: Described, *rest: Any) -> Learned:
        assert len(photos) == len(vectors) == len(rest[0])
        taught.append(photos)
        return Learned(None)

    monkeypatch.setattr("finprint.keypoints.lessons.learn_worth", learn)
    params = _params(extractor="xfeat", compared=9, individuals=0, learn_epochs=3)
    looked = _look(tmp_path / "one", params)
    assert looked.metrics()["lessons"] == 0
    assert looked.learned == Learned(None)
    _look(tmp_path / "other", params, tiny="b1.jpg")
    assert [sorted(photos["image"]) for photos in taught] == [["a1.jpg", "a2.jpg", "b1.jpg"], ["a1.jpg", "a2.jpg"]]
    assert _look(tmp_path / "none", _params(extractor="xfeat", compared=0, learn_epochs=3)).learned is None
    assert len(taught) == 2


def test_a_photo_without_local_features_is_named_and_agrees_with_nobody(tmp_path: Path) -> None:
    looked = _look(tmp_path, _params(extractor="xfeat", compared=9, individuals=0), tiny="q1.jpg")
    assert looked.too_small == ["q1.jpg"]
    assert looked.metrics() == {"queries": 2, "pairs": 0, "matched_pairs": 0, "too_small": 1}
    assert set(looked.compared.loc[looked.compared["query"] == "q1.jpg", "agreement"]) == {0}
    assert set(looked.points["query"]) == {"a3.jpg"}


def test_compared_by_descriptors_the_two_best_photos_of_an_individual_count(tmp_path: Path) -> None:
    compared = Compared(
        np.array([[1, 0, 2, 4], [0, 1, -1, -1]]), np.array([[4.0, 2.0, 1.0, 6.0], [0.0, 0.0, 9.0, 9.0]])
    )
    queries, identities = np.array(["q", "r"], object), np.array(["al", "al", "bo", "cy", "al"], object)
    ranked = compared.ranked(queries, np.array(list("01234"), object), identities)
    table = COMPARED.validate(individuals_compared(ranked))
    assert table.to_numpy().tolist() == [["q", "al", 5], ["q", "bo", 1], ["r", "al", 0]]
    assert best_photos(ranked).to_numpy().tolist() == [["q", "4", "al"], ["q", "2", "bo"]]  # r agrees with nobody
    pairs = pd.DataFrame({"query": ["q"], "identity": ["bo"], "score": pd.Series([7.0], dtype="Float64")})
    scores = local_scores(pairs, table)
    assert scores is not None
    # Of 5 and 1 the mean is 3 and the deviation 2. Where all are equal, nothing is said.
    assert scores["descriptors"].drop(("r", "al")).to_dict() == {("q", "al"): 1, ("q", "bo"): -1}
    assert np.isnan(scores.loc[("r", "al"), "descriptors"])
    assert scores["keypoints"].dropna().to_dict() == {("q", "bo"): 7}


def test_what_descriptors_were_computed_from_is_kept_for_the_next_run(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(9)]
    photos = pd.DataFrame({"image": images, "identity": images, "split": ["validation"] + ["train"] * 8})
    photos = photos.assign(code=range(9), viewpoint=pd.Series([None] * 9, dtype="string"))
    crops = stored(tmp_path / "crops", {image: scene(number) for number, image in enumerate(images)})
    params = _params(extractor="xfeat", compared=8, individuals=1, photos=1)
    assert len(second_look(photos, _at(*range(9)), crops, params).pairs) == 1
    with opened(photos, crops, params) as bench:
        assert all(key in bench.features for key in bench.keys(np.arange(9)).values())


def _described(descriptors: torch.Tensor, places: list[list[float]]) -> Described:
    return Described(descriptors, torch.tensor(places).expand(*descriptors.shape[:-1], 2))


def test_agreement_is_that_of_mutually_nearest_features_by_hand() -> None:
    """All places are the same shift apart, so each pair has the votes of all: a sum of 0.4 for each."""
    one = _described(torch.eye(3), [[0.5, 0.5]])
    others = torch.stack([torch.eye(3)[[2, 0, 1]], torch.zeros(3, 3), torch.eye(3)[[0, 0, 0]]])
    # All three agree; none does; three of theirs have one nearest, which is mutual once.
    np.testing.assert_allclose(agreement(one, _described(others, [[0.2, 0.1]])), [1.2, 0, 0.4], atol=1e-6)


def test_features_that_are_shifted_alike_vote_for_each_other_by_hand() -> None:
    """Two of three features are shifted by (0.1, 0), the third one elsewhere: 0.8, 0.8 and 0.4 votes, on average 2 / 3.
    Shifts that differ by 0.03 count exp(-1 / 2) for each other."""
    one = _described(torch.eye(3), [[0.1, 0.1], [0.5, 0.3], [0.7, 0.7]])
    there = [[[0.0, 0.1], [0.4, 0.3], [0.1, 0.9]], [[0.1, 0.1], [0.5, 0.3], [0.67, 0.7]]]
    told = agreement(one, Described(torch.eye(3).expand(2, 3, 3), torch.tensor(there)))
    half = np.exp(-0.5)
    np.testing.assert_allclose(told, [2 / 3, 0.4 * (2 * (2 + half) + 1 + 2 * half) / 3], atol=1e-5)
    swapped = agreement(Described(torch.eye(3), torch.tensor(there[1])), _described(torch.eye(3)[None], [[0.0, 0.0]]))
    assert swapped[0] < told[1]


def test_the_features_by_which_photos_agree_by_hand() -> None:
    """As above: 0.8, 0.8 and 0.4 votes, each weighted by 0.4, are shares of 0.4, 0.4 and 0.2. The fourth of theirs has
    no nearest one."""
    frame = np.array([[100, 50]], np.float32)
    one = Features(np.array([[10, 40], [50, 30], [70, 10]], np.float32), np.eye(3, dtype=np.float16), frame)
    others = np.array([[10, 20], [40, 30], [0, 40], [9, 9]], np.float32)
    other = Features(others, np.eye(4, 3, dtype=np.float16)[[2, 1, 0, 3]], frame)
    rows, theirs, shares = agreeing(one, other)
    assert (rows.tolist(), theirs.tolist()) == ([0, 1, 2], [2, 1, 0])
    np.testing.assert_allclose(shares, [0.4, 0.4, 0.2], atol=1e-6)
    assert [len(found) for found in agreeing(one, Features(others[:1], np.zeros((1, 3), np.float16), frame))] == [0] * 3


def test_not_enabled_nothing_is_matched(tmp_path: Path) -> None:
    looked = _look(tmp_path, _params(enabled=False))
    write_second_look(tmp_path / "match", looked)
    for name, schema in (("pairs", PAIRS), ("points", POINTS), ("compared", COMPARED)):
        table = read_table(tmp_path / "match" / f"{name}.parquet", schema)
        assert list(table) == list(schema.columns)
        assert len(table) == 0
    assert set(looked.metrics().values()) == {0}
    assert read_local_scores(tmp_path / "match") is None


def test_the_best_photo_of_an_individual_counts(tmp_path: Path) -> None:
    rows = [("q", "a1", "al", 5.0), ("q", "a2", "al", 9.0), ("q", "b1", "bo", None), ("r", "a1", "al", 2.0)]
    pairs = pd.DataFrame(rows, columns=["query", "match", "identity", "score"])
    pairs = PAIRS.validate(
        pairs.assign(cosine=0.5, matches=1, inliers=1).astype({"score": "Float64"})[list(PAIRS.columns)]
    )
    write_second_look(tmp_path / "match", SecondLook(pairs, no_points(), none_compared(), []))
    scores = read_local_scores(tmp_path / "match")
    assert scores is not None
    assert scores["keypoints"][[("q", "al"), ("r", "al")]].tolist() == [9, 2]
    assert np.isnan(scores.loc[("q", "bo"), "keypoints"])
    assert scores["descriptors"].isna().all()


def test_the_networks_are_loaded_where_something_is_matched_alone() -> None:
    code = "import sys, finprint.keypoints.look; print([name for name in ('torch', 'kornia') if name in sys.modules])"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
