"""Known or new: the threshold against a scan of all thresholds, and where `new_individual` is put."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.metrics import hit_places, map5
from finprint.openset import fit_threshold, true_place, with_new
from finprint.ranking import NOBODY, Ranking
from finprint.vectors import UNKNOWN

NEW_CODE = 99
Drawn = tuple[Ranking, np.ndarray, np.ndarray]


def _ranking(scores: list[list[float]], identities: list[list[int]] | None = None) -> Ranking:
    values = np.array(scores, np.float32)
    names = np.tile(np.arange(values.shape[1]), (len(values), 1)) if identities is None else np.array(identities)
    names = np.where(np.isneginf(values), NOBODY, names)
    return Ranking(names, values, np.where(names == NOBODY, NOBODY, 100 + names))


@st.composite
def validations(draw: st.DrawFn) -> Drawn:
    """A ranking of at least five places, true codes, and who is new; few levels, so that scores tie."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, places, levels = draw(st.integers(1, 12)), draw(st.integers(5, 7)), draw(st.integers(1, 40))
    known = draw(st.integers(0, places))  # individuals in the gallery
    values = -np.sort(-rng.integers(-levels, levels + 1, size=(count, places)) / levels, axis=1)
    if draw(st.booleans()):
        values = values.astype(np.float32) * np.float32(1 + 1e-7)  # beyond 1 by rounding, and neighbours in float32
        values -= rng.integers(0, 2, size=values.shape).astype(np.float32) * np.float32(1e-7)
        values = -np.sort(-values, axis=1)
    values = np.where(np.arange(places) < known, values, -np.inf).astype(np.float32)
    names = np.array([rng.permutation(10)[:places] for _ in range(count)])
    names = np.where(np.isneginf(values), NOBODY, names)
    new = rng.random(count) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    truth = np.where(new, UNKNOWN, rng.integers(0, 10, count))
    return Ranking(names, values, names), truth, new


def _score(ranking: Ranking, truth: np.ndarray, new: np.ndarray, threshold: float) -> float:
    codes = with_new(ranking, threshold, NEW_CODE)[0]
    return map5(hit_places(codes, np.where(new, NEW_CODE, truth)))


@given(drawn=validations())
def test_threshold_against_a_scan_of_all(drawn: Drawn) -> None:
    ranking, truth, new = drawn
    found = fit_threshold(ranking, truth, new)
    scores = np.unique(ranking.scores[np.isfinite(ranking.scores)].astype(float))
    middles = (scores[1:] + scores[:-1]) / 2
    every = np.concatenate([[-2.0], scores, middles, [2.0]])
    best = max(_score(ranking, truth, new, value) for value in every)
    assert _score(ranking, truth, new, found.value) == pytest.approx(best, abs=1e-9)
    assert found.curve[:, 1].max() == pytest.approx(best, abs=1e-9)


@given(drawn=validations())
def test_the_curve_says_what_each_threshold_gives(drawn: Drawn) -> None:
    ranking, truth, new = drawn
    curve = fit_threshold(ranking, truth, new).curve
    assert (np.diff(curve[:, 0]) > 0).all()
    for value, worth in curve:
        assert worth == pytest.approx(_score(ranking, truth, new, value), abs=1e-9)


def test_threshold_hand_worked() -> None:
    # A known animal, right at 0.8, and a new one whose best match scores 0.4: between them both are right.
    ranking = _ranking([[0.8, 0.3, 0.2, 0.1, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]])
    found = fit_threshold(ranking, np.array([0, UNKNOWN]), np.array([False, True]))
    assert found.value == pytest.approx(0.6)
    # Below 0 the new one is not among the five: (1 + 0) / 2. Then it climbs to ranks 5, 4, 3, 2 and 1. Above
    # 0.8 the known one is second: (1/2 + 1) / 2.
    expected = [(1 + x) / 2 for x in (0, 1 / 5, 1 / 4, 1 / 3, 1 / 2, 1, 0.5)]
    np.testing.assert_allclose(found.curve[:, 1], expected)
    np.testing.assert_allclose(found.curve[:, 0], [-0.5, 0.05, 0.15, 0.25, 0.35, 0.6, 0.9], atol=1e-6)


def test_where_all_are_known_new_stays_behind_and_where_all_are_new_it_leads() -> None:
    scores = [[0.9, 0.5, 0.4, 0.3, 0.2], [0.7, 0.6, 0.5, 0.4, 0.3]]
    known = fit_threshold(_ranking(scores), np.array([0, 0]), np.array([False, False])).value
    assert known < 0.7
    new = fit_threshold(_ranking(scores), np.array([UNKNOWN, UNKNOWN]), np.array([True, True])).value
    assert 0.9 < new <= 1


def test_a_score_of_one_can_still_be_called_new() -> None:
    ranking = _ranking([[1.0, 0.5, 0.4, 0.3, 0.2], [0.9, 0.5, 0.4, 0.3, 0.2]])
    truth, new = np.array([UNKNOWN, 9]), np.array([True, False])  # the known one is not among the answers
    value = fit_threshold(ranking, truth, new).value
    assert with_new(ranking, value, NEW_CODE)[0][0, 0] == NEW_CODE


def test_neighbouring_float32_scores_are_told_apart() -> None:
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    ranking = _ranking([[high, 0.1, 0.1, 0.1, 0.1], [low, 0.1, 0.1, 0.1, 0.1]])
    value = fit_threshold(ranking, np.array([0, UNKNOWN]), np.array([False, True])).value
    assert with_new(ranking, value, NEW_CODE)[0][:, 0].tolist() == [0, NEW_CODE]


def test_without_queries_there_is_no_threshold() -> None:
    with pytest.raises(ValueError, match=r"^a threshold needs validation queries$"):
        fit_threshold(_ranking([[0.0] * 5]), np.zeros(0, int), np.zeros(0, bool))


def test_an_empty_gallery_gives_a_threshold_all_the_same() -> None:
    found = fit_threshold(_ranking([[-np.inf] * 5]), np.array([UNKNOWN]), np.array([True]))
    assert found.value == 0
    assert found.curve.tolist() == [[0, 1]]  # nobody is known, so `new_individual` stands first


@pytest.mark.parametrize(
    ("threshold", "names", "scores"),
    [
        (0.95, [99, 0, 1, 2, 3], [0.95, 0.9, 0.7, 0.5, 0.3]),
        (0.6, [0, 1, 99, 2, 3], [0.9, 0.7, 0.6, 0.5, 0.3]),
        (0.5, [0, 1, 2, 99, 3], [0.9, 0.7, 0.5, 0.5, 0.3]),  # who scores just the threshold stands before
        (0.2, [0, 1, 2, 3, 99], [0.9, 0.7, 0.5, 0.3, 0.2]),
        (-0.5, [0, 1, 2, 3, 4], [0.9, 0.7, 0.5, 0.3, 0.1]),
    ],
)
def test_with_new_hand_worked(threshold: float, names: list[int], scores: list[float]) -> None:
    # A sixth place is never answered.
    ranking = _ranking([[0.9, 0.7, 0.5, 0.3, 0.1, -0.2]])
    codes, values, photos = with_new(ranking, threshold, NEW_CODE)
    assert codes.tolist() == [names]
    np.testing.assert_allclose(values, [scores], atol=1e-7)
    assert photos.tolist() == [[NOBODY if name == NEW_CODE else 100 + name for name in names]]


@pytest.mark.parametrize(
    ("known", "expected"),
    [(0, [99, -1, -1, -1, -1]), (1, [0, 99, -1, -1, -1]), (3, [0, 1, 2, 99, -1]), (4, [0, 1, 2, 3, 99])],
)
def test_with_fewer_than_four_individuals_the_last_places_hold_nobody(known: int, expected: list[int]) -> None:
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5][:known] + [-np.inf] * (5 - known)]
    codes, values, photos = with_new(_ranking(scores), 0.1, NEW_CODE)
    assert codes.tolist() == [expected]
    assert np.isneginf(values[codes == NOBODY]).all()
    assert (photos[codes == NOBODY] == NOBODY).all()


@given(drawn=validations(), threshold=st.floats(-1.5, 1.5))
def test_new_splits_the_answers_at_the_threshold_and_keeps_their_order(drawn: Drawn, threshold: float) -> None:
    ranking = drawn[0]
    codes, scores, _ = with_new(ranking, threshold, NEW_CODE)
    for row in range(len(codes)):
        names = codes[row].tolist()
        assert names.count(NEW_CODE) <= 1
        others = [name for name in names if name != NEW_CODE]
        assert others == ranking.identities[row, : len(others)].tolist()
        place = names.index(NEW_CODE) if NEW_CODE in names else 5
        assert (scores[row, :place] >= threshold).all()
        assert (scores[row, place + 1 :] < threshold).all()


def test_true_place() -> None:
    ranking = _ranking([[0.5, 0.4, 0.3, 0.2, 0.1]] * 3, [[4, 8, 1, 0, 2]] * 3)
    assert true_place(ranking, np.array([4, 2, UNKNOWN])).tolist() == [0, 4, 5]
