"""Metrics: hand-worked cases, slow references, and scikit-learn as an oracle."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, top_k_accuracy_score

from finprint.matching.metrics import (
    Outcomes,
    auroc,
    calibration_error,
    cmc,
    gains,
    hit_places,
    intervals,
    measure,
    names_by_query,
    outcomes,
    reliability,
)
from finprint.store.tables import NEW


def _answers(rows: list[tuple[str, list[tuple[str, float]]]]) -> pd.DataFrame:
    """A table ANSWERS from (query, [(identity, score), ...])."""
    flat = [
        (query, place + 1, identity, score, 0.5, None if identity == NEW else f"{identity}.jpg")
        for query, answers in rows
        for place, (identity, score) in enumerate(answers)
    ]
    return pd.DataFrame(flat, columns=["query", "rank", "identity", "score", "probability", "match"])


def test_hit_places_and_map5_hand_worked() -> None:
    answers = np.array([list("abcde"), list("bacde"), list("edcba"), list("bcdef"), ["a", "", "", "", ""]])
    truth = np.array(["a", "a", "a", "a", "a"])
    places = hit_places(answers, truth)
    assert places.tolist() == [0, 1, 4, 5, 0]
    assert gains(places).tolist() == [1, 1 / 2, 1 / 5, 0, 1]


def test_cmc_hand_worked() -> None:
    assert cmc(np.array([0, 0, 1, 4, 5])).tolist() == pytest.approx([2 / 5, 3 / 5, 3 / 5, 3 / 5, 4 / 5])


@given(places=st.lists(st.integers(0, 5), min_size=1))
def test_map5_and_cmc_belong_together(places: list[int]) -> None:
    curve = cmc(np.array(places))
    assert (np.diff(curve) >= 0).all()
    # Summation by parts: MAP@5 is the gains of each rank, weighed by 1/rank.
    steps = np.diff(np.concatenate([[0], curve]))
    map5 = gains(np.array(places)).mean()
    assert map5 == pytest.approx(float((steps / np.arange(1, 6)).sum()))
    assert curve[0] - 1e-12 <= map5 <= curve[4] + 1e-12


def _outcomes(
    answers: np.ndarray, truth: np.ndarray, best: np.ndarray, confidence: float | np.ndarray = np.nan
) -> Outcomes:
    return Outcomes(
        hit_places(answers, truth),
        truth == NEW,
        answers[:, 0] == NEW,
        best,
        np.broadcast_to(confidence, truth.shape).astype(float),
        np.unique(truth, return_inverse=True)[1],
    )


def test_metrics_hand_worked() -> None:
    # Three photos of a (two right), one of b (called new), two new animals (one called so).
    first = ["a", "a", "b", NEW, NEW, "a"]
    second = ["b", NEW, "a", "b", "a", NEW]
    answers = np.array([[x, y, "", "", ""] for x, y in zip(first, second, strict=True)])
    truth = np.array(["a", "a", "a", "b", NEW, NEW])
    best = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.6])
    confidence = np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.1])
    found = measure(_outcomes(answers, truth, best, confidence))
    # Of the 4 x 2 pairs of a known and a new one, (b 0.3, new 0.6) alone stands the wrong way round.
    # Three known and one new animal are taken for known ones: 4 recognised instead of 4, no bias.
    assert found == pytest.approx(
        {
            "map5": (1 + 1 + 1 / 2 + 1 / 2 + 1 + 1 / 2) / 6,
            "top1": 3 / 6,
            "top5": 1.0,
            "new_rate": 2 / 6,
            "new_share": 2 / 6,
            "known_called_new": 1 / 4,
            "top1_known": 3 / 4,  # b stands second, behind new
            "baks": (2 / 3 + 0) / 2,
            "new_called_known": 1 / 2,
            "baus": 1 / 2,
            "bak_baus_gm": (1 / 3 * 1 / 2) ** 0.5,
            "auroc_new": 7 / 8,
            "abundance_bias": 0.0,
            # Bins: 0.9 holds three, two of them right; 0.5 holds two, one right; 0.1 one, wrong.
            "ece": (abs(3 * 0.9 - 2) + abs(2 * 0.5 - 1) + abs(0.1 - 0)) / 6,
        }
    )


def test_missed_animals_inflate_the_abundance() -> None:
    # 10 known animals, two of them called new: 8 recognised, so an estimate is 10 / 8 of the truth.
    says = np.array([[NEW if n < 2 else "a", "", "", "", ""] for n in range(10)] + [[NEW, "", "", "", ""]])
    truth = np.array(["a"] * 10 + [NEW])
    found = measure(_outcomes(says, truth, np.zeros(11)))
    assert found["known_called_new"] == pytest.approx(0.2)
    assert found["abundance_bias"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("truth", "absent"),
    [
        (["a", "b"], {"new_called_known", "auroc_new", "baus", "bak_baus_gm", "abundance_bias"}),
        ([NEW, NEW], {"known_called_new", "top1_known", "auroc_new", "baks", "bak_baus_gm", "abundance_bias"}),
    ],
)
def test_what_needs_a_kind_of_query_is_left_out_where_it_is_missing(truth: list[str], absent: set[str]) -> None:
    answers = np.array([["a", NEW, "", "", ""]] * 2)
    everything = measure(_outcomes(answers, np.array(["a", NEW]), np.array([0.5, 0.4])))
    found = measure(_outcomes(answers, np.array(truth), np.array([0.5, 0.4])))
    assert set(everything) - set(found) == absent
    assert all(np.isfinite(value) for value in found.values())


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 40))
def test_metrics_against_scikit_learn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "c", "d", "e", "f", NEW])
    truth = np.concatenate([["a", NEW], rng.choice(names, count - 2)])
    answers = np.array([rng.permutation(names)[:5] for _ in range(count)])
    best = np.round(rng.random(count), 1)  # ties
    found = measure(_outcomes(answers, truth, best))
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
    assert found["new_called_known"] == pytest.approx(1 - found["baus"])


@given(seed=st.integers(0, 2**32 - 1))
def test_a_weight_counts_like_a_repetition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "c", NEW])
    truth = np.concatenate([names, rng.choice(names, 12)])
    answers = np.array([[*rng.permutation(names), ""] for _ in truth])
    found = _outcomes(answers, truth, np.round(rng.random(16), 1), rng.random(16))
    # All photos of an animal weigh the same, as in the bootstrap that draws animals: else BAKS means another thing.
    weight = rng.integers(1, 4, size=4)[found.individual]
    repeated = found[np.repeat(np.arange(16), weight)]
    expected = measure(repeated)
    got = measure(found, weight.astype(float))
    for name in set(expected) - {"baks", "bak_baus_gm"}:
        assert got[name] == pytest.approx(expected[name]), name


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 60))
def test_auroc_with_weights_against_scikit_learn(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    scores, weights = np.round(rng.normal(size=count), 1), rng.random(count) + 0.01
    positive = np.concatenate([[True, False], rng.random(count - 2) < 0.3])
    assert auroc(scores, positive, weights) == pytest.approx(roc_auc_score(positive, scores, sample_weight=weights))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_calibration_error_against_a_loop(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, right = np.round(rng.random(count), 2), rng.random(count) < 0.5
    slow = 0.0
    for low in range(15):
        inside = [n for n, c in enumerate(confidence) if int(c * 15) == low or (low == 14 and c == 1)]
        if inside:
            slow += len(inside) / count * abs(float(np.mean(confidence[inside])) - float(np.mean(right[inside])))
    assert calibration_error(confidence, right, np.ones(count)) == pytest.approx(slow)
    table = reliability(confidence, right)
    assert table["queries"].sum() == count
    gap = (table["confidence"] - table["right"]).abs() * table["queries"]
    assert gap.sum() / count == pytest.approx(slow)


def test_intervals_hold_the_value_and_narrow_with_more_animals() -> None:
    rng = np.random.default_rng(0)

    def drawn(animals: int) -> Outcomes:
        truth = np.array([f"i{n}" if n % 5 else NEW for n in range(animals)])
        hit = rng.random(animals) < 0.7
        answers = np.array([[t if h else "x", "", "", "", ""] for t, h in zip(truth, hit, strict=True)])
        found = _outcomes(answers, truth, rng.random(animals))
        return Outcomes(**{**vars(found), "individual": np.arange(animals)})

    few, many = drawn(50), drawn(2000)
    width = {}
    for found in (few, many):
        low, high = intervals(found, 200, 1)["top1"]
        assert low < measure(found)["top1"] < high
        width[len(found)] = high - low
    # The spread of a share p of n is 2 * 1.96 * sqrt(p (1 - p) / n).
    assert width[2000] == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 2000) ** 0.5, rel=0.25)
    assert width[50] > 4 * width[2000]
    assert intervals(few, 50, 3) == intervals(few, 50, 3)
    assert intervals(few, 50, 3) != intervals(few, 50, 4)


def test_photos_of_one_animal_do_not_make_an_interval_narrower() -> None:
    answers = np.array([["a", "", "", "", ""]] * 3 + [["x", "", "", "", ""]] * 3)
    truth = np.array(["a"] * 3 + ["b"] * 3)
    once, often = _outcomes(answers[::3], truth[::3], np.zeros(2)), _outcomes(answers, truth, np.zeros(6))
    assert intervals(once, 100, 0)["top1"] == intervals(often, 100, 0)["top1"] == (0.0, 1.0)


def _judge(table: pd.DataFrame, truth: dict[str, str]) -> dict[str, float]:
    return measure(outcomes(table, pd.Series(truth), pd.Series(truth)))


def test_a_small_table() -> None:
    table = _answers(
        [
            ("q1", [("a", 0.9), (NEW, 0.5), ("b", 0.2)]),
            ("q2", [(NEW, 0.5), ("b", 0.4), ("a", 0.1)]),
            ("q3", [(NEW, 0.5), ("a", 0.3)]),
            ("q4", [("b", 0.8), ("a", 0.7), (NEW, 0.5)]),
        ]
    )
    truth = pd.Series({"q3": NEW, "q1": "a", "q2": "b"})  # nobody knows q4
    animals = pd.Series({"q1": "a", "q2": "b", "q3": "zoe", "q4": "b"})
    seen = outcomes(table.sample(frac=1, random_state=0), truth, animals)
    assert len(seen) == 3
    assert seen.confidence.tolist() == [0.5] * 3
    assert len(set(seen.individual)) == 3
    found = measure(seen)
    assert found["map5"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert found["known_called_new"] == pytest.approx(1 / 2)
    assert found["auroc_new"] == 1.0  # best known scores: q1 0.9, q2 0.4, new q3 0.3
    assert found["baks"] == pytest.approx(1 / 2)
    assert found["baus"] == 1.0


def test_a_query_without_answers_counts_as_missed() -> None:
    found = _judge(_answers([("q1", [("a", 0.9)])]), {"q1": "a", "q2": "b"})
    assert found["map5"] == 0.5
    assert found["top5"] == 0.5


def test_new_alone_scores_below_every_known_one() -> None:
    table = _answers([("q1", [("a", -0.9), (NEW, -1.0)]), ("q2", [(NEW, 0.5)])])
    assert _judge(table, {"q1": "a", "q2": NEW})["auroc_new"] == 1.0


def test_names_by_query_keeps_the_order_asked_for_and_fills_up() -> None:
    table = _answers([("q1", [("a", 0.9), ("b", 0.8)]), ("q2", [("c", 0.7)])])
    found = names_by_query(table, pd.Index(["q2", "q9", "q1"]))
    assert found.tolist() == [["c", "", "", "", ""], ["", "", "", "", ""], ["a", "b", "", "", ""]]
