"""The paired test: exact p-values by enumeration, its size under no difference, whole animals, and experiments."""

import itertools

import numpy as np
import pandas as pd
import pytest

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
    found = compare(a, b, 0).set_index("measure")
    assert found["split"].tolist() == [TEST] * 3
    assert found["queries"].tolist() == [2] * 3
    assert found.loc["map5", ["a", "b", "difference"]].tolist() == [0.5, 1.0, 0.5]
