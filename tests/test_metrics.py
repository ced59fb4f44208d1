"""Metrics: hand-worked cases and scikit-learn as an oracle."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, top_k_accuracy_score

from finprint.metrics import cmc, hit_places, judge, map5, names_by_query, scores_of
from finprint.tables import NEW


def _answers(rows: list[tuple[str, list[tuple[str, float]]]]) -> pd.DataFrame:
    """A table ANSWERS from (query, [(identity, score), ...])."""
    flat = [
        (query, place + 1, identity, score, None if identity == NEW else f"{identity}.jpg")
        for query, answers in rows
        for place, (identity, score) in enumerate(answers)
    ]
    return pd.DataFrame(flat, columns=["query", "rank", "identity", "score", "match"])


def test_hit_places_and_map5_hand_worked() -> None:
    answers = np.array([list("abcde"), list("bacde"), list("edcba"), list("bcdef"), ["a", "", "", "", ""]])
    truth = np.array(["a", "a", "a", "a", "a"])
    places = hit_places(answers, truth)
    assert places.tolist() == [0, 1, 4, 5, 0]
    assert map5(places) == pytest.approx((1 + 1 / 2 + 1 / 5 + 0 + 1) / 5)


def test_cmc_hand_worked() -> None:
    assert cmc(np.array([0, 0, 1, 4, 5])).tolist() == pytest.approx([2 / 5, 3 / 5, 3 / 5, 3 / 5, 4 / 5])


@given(places=st.lists(st.integers(0, 5), min_size=1))
def test_map5_and_cmc_belong_together(places: list[int]) -> None:
    curve = cmc(np.array(places))
    assert (np.diff(curve) >= 0).all()
    # Summation by parts: MAP@5 is the gains of each rank, weighed by 1/rank.
    gains = np.diff(np.concatenate([[0], curve]))
    assert map5(np.array(places)) == pytest.approx(float((gains / np.arange(1, 6)).sum()))
    assert curve[0] - 1e-12 <= map5(np.array(places)) <= curve[4] + 1e-12


def test_scores_hand_worked() -> None:
    # Three photos of a (two right), one of b (called new), two new animals (one called so).
    first = ["a", "a", "b", NEW, NEW, "a"]
    second = ["b", NEW, "a", "b", "a", NEW]
    answers = np.array([[x, y, "", "", ""] for x, y in zip(first, second, strict=True)])
    truth = np.array(["a", "a", "a", "b", NEW, NEW])
    best = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.6])
    found = scores_of(answers, truth, best)
    # Of the 4 x 2 pairs of a known and a new one, (b 0.3, new 0.6) alone stands the wrong way round.
    assert found == pytest.approx(
        {
            "queries": 6,
            "map5": (1 + 1 + 1 / 2 + 1 / 2 + 1 + 1 / 2) / 6,
            "top1": 3 / 6,
            "top5": 1.0,
            "new_rate": 2 / 6,
            "new_share": 2 / 6,
            "known_called_new": 1 / 4,
            "auroc_new": 7 / 8,
            "baks": (2 / 3 + 0) / 2,
            "baus": 1 / 2,
            "bak_baus_gm": (1 / 3 * 1 / 2) ** 0.5,
        }
    )


@pytest.mark.parametrize(
    ("truth", "absent"),
    [
        (["a", "b"], {"auroc_new", "baks", "baus", "bak_baus_gm"}),
        ([NEW, NEW], {"known_called_new", "auroc_new", "baks", "baus", "bak_baus_gm"}),
    ],
)
def test_what_needs_both_kinds_of_query_is_left_out_where_one_is_missing(truth: list[str], absent: set[str]) -> None:
    answers = np.array([["a", NEW, "", "", ""]] * 2)
    everything = scores_of(answers, np.array(["a", NEW]), np.array([0.5, 0.4]))
    found = scores_of(answers, np.array(truth), np.array([0.5, 0.4]))
    assert set(everything) - set(found) == absent
    assert all(np.isfinite(value) for value in found.values())


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 40))
def test_scores_against_scikit_learn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "c", "d", "e", "f", NEW])
    truth = np.concatenate([["a", NEW], rng.choice(names, count - 2)])
    answers = np.array([rng.permutation(names)[:5] for _ in range(count)])
    best = np.round(rng.random(count), 1)  # ties
    found = scores_of(answers, truth, best)
    # Ranks as scores, so that scikit-learn sees the same order.
    table = np.array([[5 - row.tolist().index(n) if n in row else 0 for n in names] for row in answers])
    labels = [names.tolist().index(t) for t in truth]
    for k, name in ((1, "top1"), (5, "top5")):
        assert found[name] == pytest.approx(top_k_accuracy_score(labels, table, k=k, labels=range(len(names))))
    assert found["auroc_new"] == pytest.approx(roc_auc_score(truth == NEW, -best))
    known = truth != NEW
    right = answers[known, 0] == truth[known]
    if len(np.unique(truth[known])) > 1:
        wrong = np.array([next(n for n in np.unique(truth[known]) if n != t) for t in truth[known]])
        predicted = np.where(right, truth[known], wrong)
        assert found["baks"] == pytest.approx(balanced_accuracy_score(truth[known], predicted))
    assert found["baus"] == pytest.approx((answers[~known, 0] == NEW).mean())


def test_judge_a_small_table() -> None:
    table = _answers(
        [
            ("q1", [("a", 0.9), (NEW, 0.5), ("b", 0.2)]),
            ("q2", [(NEW, 0.5), ("b", 0.4), ("a", 0.1)]),
            ("q3", [(NEW, 0.5), ("a", 0.3)]),
            ("q4", [("b", 0.8), ("a", 0.7), (NEW, 0.5)]),
        ]
    )
    truth = pd.Series({"q3": NEW, "q1": "a", "q2": "b"})  # nobody knows q4
    found = judge(table.sample(frac=1, random_state=0), truth)
    assert found["queries"] == 3
    assert found["map5"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert found["known_called_new"] == pytest.approx(1 / 2)
    assert found["auroc_new"] == 1.0  # best known scores: q1 0.9, q2 0.4, new q3 0.3
    assert found["baks"] == pytest.approx(1 / 2)
    assert found["baus"] == 1.0


def test_a_query_without_answers_counts_as_missed() -> None:
    found = judge(_answers([("q1", [("a", 0.9)])]), pd.Series({"q1": "a", "q2": "b"}))
    assert found["map5"] == 0.5
    assert found["top5"] == 0.5


def test_new_alone_scores_below_every_known_one() -> None:
    table = _answers([("q1", [("a", -0.9), (NEW, -1.0)]), ("q2", [(NEW, 0.5)])])
    assert judge(table, pd.Series({"q1": "a", "q2": NEW}))["auroc_new"] == 1.0


def test_names_by_query_keeps_the_order_asked_for_and_fills_up() -> None:
    table = _answers([("q1", [("a", 0.9), ("b", 0.8)]), ("q2", [("c", 0.7)])])
    found = names_by_query(table, pd.Index(["q2", "q9", "q1"]))
    assert found.tolist() == [["c", "", "", "", ""], ["", "", "", "", ""], ["a", "b", "", "", ""]]
