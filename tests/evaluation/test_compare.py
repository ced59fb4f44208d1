"""The paired test: exact p-values by enumeration, its size under no difference, whole animals, and experiments."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.evaluation.compare import compare, paired_difference
from finprint.evaluation.judging import Judged
from finprint.store.tables import TEST, VALIDATION


def test_p_against_all_flips() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(10), rng.random(10) + 0.2
    found = paired_difference(a, b, np.arange(10), 0)
    every = [abs(float(np.dot(signs, b - a))) for signs in itertools.product([-1, 1], repeat=10)]
    exact = np.mean([value >= abs((b - a).sum()) - 1e-12 for value in every])
    assert found.p == pytest.approx(exact, abs=0.02)
    assert (found.a, found.b) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert found.low < b.mean() - a.mean() < found.high


def test_equal_answers_differ_by_nothing() -> None:
    values = np.array([1.0, 0.5, 0.0])
    found = paired_difference(values, values, np.arange(3), 0)
    assert (found.p, found.low, found.high) == (1.0, 0.0, 0.0)


def test_one_in_twenty_equal_pairs_is_called_different() -> None:
    rng = np.random.default_rng(1)
    calls = [paired_difference(*rng.random((2, 40)), np.arange(40), seed).p < 0.05 for seed in range(200)]
    assert 0.01 < np.mean(calls) < 0.1


def test_many_photos_of_one_animal_are_one_piece_of_evidence() -> None:
    a, b = np.zeros(30), np.ones(30)
    assert paired_difference(a, b, np.arange(30), 0).p < 0.001
    assert paired_difference(a, b, np.zeros(30, int), 0).p == pytest.approx(1.0)
    three = paired_difference(a, b, np.repeat([0, 1, 2], 10), 0)
    assert three.p == pytest.approx(2 / 8, abs=0.02)  # all signs alike, of 2 ** 3


@given(seed=st.integers(0, 2**32 - 1), animals=st.integers(2, 12), shift=st.floats(-0.5, 0.5))
def test_the_interval_holds_no_difference_just_where_the_test_does_not_refute_it(
    seed: int, animals: int, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    number = rng.integers(animals, size=40)
    a = rng.choice([0.0, 0.5, 1.0], 40)
    b = np.clip(a + shift + 0.3 * rng.normal(size=40), 0, 1)
    found = paired_difference(a, b, number, seed)
    assert found.low <= found.b - found.a <= found.high
    assert (found.p > 0.05) == (found.low <= 1e-9 and found.high >= -1e-9)
    # Every end is the difference at which the same test is just about to refute.
    for end, beyond in ((found.low, -1e-6), (found.high, 1e-6)):
        if abs(end) < 1:
            assert paired_difference(a + end - beyond, b, number, seed).p > 0.05
            assert paired_difference(a + end + beyond, b, number, seed).p <= 0.05


def test_the_interval_covers_the_true_difference_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        effect = 0.1 + 0.2 * rng.normal(size=40)  # of each animal
        animals = np.repeat(np.arange(40), rng.integers(1, 4, 40))
        a = np.full(len(animals), 0.4)
        found = paired_difference(a, a + effect[animals], animals, seed)
        covered += found.low <= 0.1 <= found.high
    assert 0.9 < covered / 200 < 0.99


def test_from_few_animals_nothing_follows() -> None:
    found = paired_difference(np.zeros(12), np.ones(12), np.repeat([0, 1, 2], 4), 0)
    assert (found.low, found.high) == (-1, 1)
    assert found.p > 0.05


def _judged(first: dict[str, str], truth: dict[str, str]) -> Judged:
    answers = pd.DataFrame(
        {"query": list(first), "rank": 1, "identity": list(first.values()), "score": 0.5, "probability": 0.5}
    )
    told = pd.Series(truth, dtype=object)
    return Judged(answers, told, told)


def test_only_queries_that_both_answered_count() -> None:
    truth = {"q1": "al", "q2": "bo", "q3": "al"}
    none = _judged({}, {})
    a = {VALIDATION: none, TEST: _judged({"q1": "al", "q2": "x", "q3": "x"}, truth)}
    b = {VALIDATION: none, TEST: _judged({"q2": "bo", "q1": "al"}, {"q2": "bo", "q1": "al"})}
    found = compare(a, b, 0).set_index("metric")
    assert found["split"].tolist() == [TEST] * 3
    assert found["queries"].tolist() == [2] * 3
    assert found.loc["map5", ["a", "b", "difference"]].tolist() == [0.5, 1.0, 0.5]
