"""Pseudo-labels: the bar by hand and by property, and what must never be mined."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.individuals.mining import confidence_bar, held_out_precision, mine
from finprint.individuals.params import Mine
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.store.tables import LABELS, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors


def test_confidence_bar_hand_worked() -> None:
    scores = np.array([0.5, 0.9, 0.7, 0.8, 0.6])
    right = np.array([True, True, False, True, True])
    # By score: right, right, wrong, right, right: precision 1, 1, 2/3, 3/4, 4/5.
    assert confidence_bar(scores, right, 1.0) == (0.8, 2 / 5)
    assert confidence_bar(scores, right, 0.9) == (0.8, 2 / 5)
    assert confidence_bar(scores, right, 0.8) == (0.5, 1.0)  # the bar may pass a dip
    assert confidence_bar(scores, right, 0.7) == (0.5, 1.0)


def test_scores_that_tie_stand_or_fall_together() -> None:
    assert confidence_bar(np.array([0.9, 0.9]), np.array([True, False]), 0.6) == (2.0, 0.0)
    assert confidence_bar(np.array([0.9, 0.9]), np.array([True, False]), 0.5) == (0.9, 1.0)


@pytest.mark.parametrize("scores", [[], [0.9, 0.8]])
def test_where_no_bar_serves_it_is_out_of_reach(scores: list[float]) -> None:
    assert confidence_bar(np.array(scores), np.zeros(len(scores), bool), 0.01) == (2.0, 0.0)


@given(
    queries=st.lists(st.tuples(st.integers(-10, 10), st.booleans()), max_size=30),
    precision=st.sampled_from([0.3, 0.5, 2 / 3, 0.75, 0.9, 1.0]),
)
def test_the_bar_reaches_the_precision_and_no_lower_one_does(
    queries: Sequence[tuple[int, bool]], precision: float
) -> None:
    scores = np.array([score / 10 for score, _ in queries], np.float32)
    right = np.array([r for _, r in queries], bool)
    bar, recall = confidence_bar(scores, right, precision)
    serving = [b for b in np.unique(scores) if right[scores >= b].mean() >= precision]
    if not serving:
        assert (bar, recall) == (2.0, 0.0)
        return
    assert bar == min(serving)
    assert recall == pytest.approx((scores >= bar).mean())


def test_a_bar_is_judged_by_other_animals_than_it_was_chosen_on() -> None:
    """By hand: each animal alone decides whether the bar reaches down to it, so without it none does."""
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    animals = np.arange(4)
    right = np.array([True, True, False, True])
    assert confidence_bar(scores, right, 1.0) == (0.8, 2 / 4)
    # Without 0.9 the bar is 0.8: taken, right. Without 0.8 it is 0.9. Without 0.7, 0.6: taken, wrong. Without 0.6, 0.8.
    assert held_out_precision(scores, right, animals, 1.0) == 1 / 2
    # Photos of one animal choose no bar for each other.
    assert held_out_precision(scores, right, np.array([0, 0, 1, 1]), 1.0) == 0.0
    assert held_out_precision(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), 1.0) == 0.0


def test_where_scores_tell_nothing_the_bar_flatters_and_the_held_out_precision_does_not() -> None:
    rng = np.random.default_rng(0)
    flattered, told = [], []
    for _ in range(200):
        scores, right = rng.random(60), rng.random(60) < 0.5
        bar, _ = confidence_bar(scores, right, 0.7)
        if bar <= 1:
            flattered.append(right[scores >= bar].mean())
            told.append(held_out_precision(scores, right, np.arange(60), 0.7))
    assert np.mean(flattered) > 0.7
    assert np.mean(told) < 0.6


def _hard(precision: float) -> Mine:
    return Mine(precision=precision, targets="hard")


def _catalogue(rows: list[tuple[str, str | None, str, int, float]]) -> Catalogue:
    """Photos (image, identity, split, group, angle): vectors on a circle, so that cosines are of angles in degrees."""
    photos = pd.DataFrame([row[:4] for row in rows], columns=["image", "identity", "split", "group"])
    photos = photos.astype({"image": "string", "identity": "string", "split": "string"})
    angles = np.radians([row[4] for row in rows])
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return build_catalogue(photos, Vectors(photos["image"], array, ""))


TRAINED = [("t1", "al", TRAIN, 1, 0.0), ("t2", "bo", TRAIN, 2, 90.0), ("t3", "cy", TRAIN, 3, 180.0)]
CHECKED = [
    ("v1", "al", VALIDATION, 4, 5.0),  # right, cos 5
    ("v2", "bo", VALIDATION, 5, 80.0),  # right, cos 10
    ("v3", "zoe", VALIDATION, 6, 200.0),  # an animal held out as new, called cy at cos 20
]


def test_mine_hand_worked() -> None:
    tests = [("q1", None, TEST, 7, 3.0), ("q2", None, TEST, 8, 98.0), ("q3", None, TEST, 9, 165.0)]
    mined = mine(_catalogue(TRAINED + CHECKED + tests), _hard(1.0))
    assert mined.bar == pytest.approx(np.cos(np.radians(10)), abs=1e-6)  # v3 is wrong, being new
    assert mined.precision == 1
    assert mined.recall == pytest.approx(2 / 3)
    labels = LABELS.validate(mined.labels)
    assert labels["image"].tolist() == ["q1", "q2"]
    assert labels["identity"].tolist() == ["al", "bo"]
    np.testing.assert_allclose(labels["score"], np.cos(np.radians([3, 8])), atol=1e-6)
    assert mined.metrics() == {
        "bar": mined.bar,
        "precision_validation": 1.0,
        "recall_validation": pytest.approx(2 / 3),
        "pseudo_labels": 2,
        "weight": 2.0,
        "individuals": 2,
    }


def test_a_lower_precision_takes_more() -> None:
    tests = [("q1", None, TEST, 7, 3.0), ("q3", None, TEST, 9, 165.0)]
    assert mine(_catalogue(TRAINED + CHECKED + tests), _hard(0.6)).labels["identity"].tolist() == ["al", "cy"]
    assert mine(_catalogue(TRAINED + CHECKED + tests), _hard(1.0)).labels["identity"].tolist() == ["al"]


def _circle(targets: str) -> pd.DataFrame:
    """Mined from many animals on a circle, of whom every sixth validation photo shows a new one."""
    rng = np.random.default_rng(0)
    rows: list[tuple[str, str | None, str, int, float]] = []
    for n in range(60):
        rows.append((f"t{n}", f"i{n:02d}", TRAIN, 3 * n, 6.0 * n))
        rows.append(
            (f"v{n}", f"new{n}" if n % 6 == 0 else f"i{n:02d}", VALIDATION, 3 * n + 1, 6 * n + rng.normal(0, 2))
        )
        rows.append((f"q{n}", None, TEST, 3 * n + 2, 6 * n + rng.normal(0, 2)))
    return LABELS.validate(mine(_catalogue(rows), Mine(precision=0.5, targets=targets)).labels)


def test_a_name_may_count_by_its_probability() -> None:
    hard, weighted, soft = (_circle(targets) for targets in ("hard", "weighted", "soft"))
    assert hard["weight"].eq(1).all()
    assert hard[["image", "identity"]].equals(weighted[["image", "identity"]])
    assert weighted["weight"].between(0.01, 0.99).all()
    assert weighted["weight"].nunique() > 10
    first = soft.drop_duplicates("image")
    assert first[["image", "identity"]].to_numpy().tolist() == hard[["image", "identity"]].to_numpy().tolist()
    np.testing.assert_allclose(first["weight"], weighted["weight"])
    assert soft.groupby("image")["identity"].size().max() > 1
    total = soft.groupby("image")["weight"].sum()
    assert (total <= 1 + 1e-9).all()
    assert total.mean() < 0.95  # the rest is the chance of a new animal


@pytest.mark.parametrize("targets", ["weighted", "soft"])
def test_probabilities_need_new_animals_in_validation(targets: str) -> None:
    catalogue = _catalogue([*TRAINED, *CHECKED[:2], ("q1", None, TEST, 7, 3.0)])
    with pytest.raises(UserError) as caught:
        mine(catalogue, Mine(precision=0.5, targets=targets))
    assert str(caught.value) == (
        "mine.targets: probabilities need known and new individuals among the validation photos: set it to hard"
    )


def test_a_photo_that_shares_a_group_with_a_validation_photo_is_not_taken() -> None:
    tests = [("q1", None, TEST, 4, 3.0), ("q2", None, TEST, 1, 3.0)]  # the group of v1, the group of t1
    assert mine(_catalogue(TRAINED + CHECKED + tests), _hard(1.0)).labels["image"].tolist() == ["q2"]


def test_a_photo_of_an_encounter_that_validates_is_not_taken() -> None:
    tests = [("q1", None, TEST, 7, 3.0), ("q2", None, TEST, 8, 3.0), ("q3", None, TEST, 9, 3.0)]
    catalogue = _catalogue(TRAINED + CHECKED + tests)
    met = catalogue.photos["image"].map({"t1": "e1", "v1": "e2", "q1": "e1", "q2": "e2"}).astype("string")
    catalogue = replace(catalogue, photos=catalogue.photos.assign(encounter=met))
    assert mine(catalogue, _hard(1.0)).labels["image"].tolist() == ["q1", "q3"]


def test_no_name_of_an_individual_held_out() -> None:
    tests = [("q1", None, TEST, 7, 200.0)]  # exactly zoe's validation photo
    mined = mine(_catalogue(TRAINED + CHECKED + tests), _hard(0.5))
    assert mined.labels["identity"].tolist() == ["cy"]


@given(seed=st.integers(0, 2**32 - 1), precision=st.sampled_from([0.3, 0.6, 0.95]))
def test_only_test_photos_get_only_trained_names_and_never_beside_validation(seed: int, precision: float) -> None:
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str | None, str, int, float]] = []
    for n in range(40):
        split = [TRAIN, VALIDATION, TEST][int(rng.integers(3))]
        name = None if split == TEST else f"i{rng.integers(6)}"
        rows.append((f"p{n}", name, split, int(rng.integers(30)), float(rng.uniform(0, 360))))
    catalogue = _catalogue(rows)
    mined = mine(catalogue, _hard(precision))
    photos = catalogue.photos.set_index("image")
    taken = photos.loc[mined.labels["image"]]
    assert (taken["split"] == TEST).all()
    assert not set(taken["group"]) & set(photos.loc[photos["split"] == VALIDATION, "group"])
    assert set(mined.labels["identity"]) <= set(photos.loc[photos["split"] == TRAIN, "identity"])
    assert (mined.labels["score"] >= mined.bar).all()


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([*TRAINED, CHECKED[2], ("q1", None, TEST, 7, 3.0)], id="none reaches the precision"),
        pytest.param([*TRAINED, ("q1", None, TEST, 7, 3.0)], id="no validation photos"),
        pytest.param([*CHECKED, ("q1", None, TEST, 7, 3.0)], id="no training photos"),
        pytest.param(TRAINED + CHECKED, id="no test photos"),
    ],
)
def test_nothing_to_mine_is_an_empty_table(rows: list[tuple[str, str | None, str, int, float]]) -> None:
    mined = mine(_catalogue(rows), _hard(0.95))
    assert len(LABELS.validate(mined.labels)) == 0
    assert mined.metrics()["pseudo_labels"] == 0
    assert all(np.isfinite(value) for value in mined.metrics().values())
