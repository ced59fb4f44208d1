"""Proposed new individuals: clusters by hand, a fitted similarity, names that do not depend on the order."""

import numpy as np
import pytest

from finprint.answers.grouping import Grouping, fit_grouping, groups, proposals
from finprint.matching.metrics import agreement


def _at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def test_groups_hand_worked() -> None:
    vectors = _at(0, 90, 10, 100, 200)
    assert groups(vectors, np.cos(np.radians(15))).tolist() == [0, 1, 0, 1, 2]
    assert groups(vectors, 0.9999).tolist() == [0, 1, 2, 3, 4]
    assert groups(vectors, -1.0).tolist() == [0] * 5


def test_linkage_is_by_the_mean() -> None:
    # 0 and 40 join at cos 40 = 0.766. 75 is at cos 35 = 0.819 from 40 but, on average, at 0.539 from both.
    vectors = _at(0, 40, 75)
    assert groups(vectors, 0.8).tolist() == [0, 1, 1]
    assert groups(vectors, 0.5).tolist() == [0, 0, 0]
    assert groups(vectors, 0.6).tolist() == [0, 1, 1]  # the mean of cos 40 and cos 75 is 0.512


def test_the_similarity_that_tells_animals_apart_is_found() -> None:
    rng = np.random.default_rng(0)
    animals = np.repeat(np.arange(12), 5)
    vectors = rng.normal(size=(12, 32))[animals] + 0.4 * rng.normal(size=(60, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    fitted = fit_grouping(vectors, animals, 0.123)
    assert fitted.agreement == pytest.approx(1.0)
    assert agreement(animals.astype(str), groups(vectors, fitted.similarity).astype(str)) == {
        "photos": 60, "animals": 12, "proposed": 12, "adjusted_rand": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("animals", [[], [3], [1, 1, 1], [1, 2, 3]])
def test_without_two_animals_and_one_of_them_twice_the_default_holds(animals: list[int]) -> None:
    assert fit_grouping(_at(*range(len(animals))), np.array(animals, int), 0.123) == Grouping(0.123, None)


def test_proposals_are_numbered_by_size_and_do_not_depend_on_the_order() -> None:
    images = np.array(["d.jpg", "a.jpg", "c.jpg", "b.jpg", "e.jpg"])
    vectors = _at(0, 90, 180, 91, 181)
    table = proposals(images, vectors, 0.9)
    assert list(table.itertuples(index=False, name=None)) == [
        ("a.jpg", "new_0001"),
        ("b.jpg", "new_0001"),
        ("c.jpg", "new_0002"),
        ("e.jpg", "new_0002"),
        ("d.jpg", "new_0003"),
    ]
    order = np.array([3, 1, 4, 0, 2])
    assert proposals(images[order], vectors[order], 0.9).equals(table)


def test_nobody_is_new() -> None:
    table = proposals(np.array([], str), np.zeros((0, 2), np.float32), 0.5)
    assert table.columns.tolist() == ["image", "proposed"]
    assert len(table) == 0
    assert proposals(np.array(["a.jpg"]), _at(0), 0.5)["proposed"].tolist() == ["new_0001"]
