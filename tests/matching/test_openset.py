"""Known or new: the threshold against a scan of all thresholds, and where `new_individual` is put."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.matching.metrics import gains, hit_places
from finprint.matching.names import NOBODY, UNKNOWN
from finprint.matching.openset import (
    TARGETS,
    Checked,
    Threshold,
    ahead_of_new,
    bagged_map5,
    best_answers,
    best_map5,
    called_new,
    share_weights,
    species_thresholds,
)
from finprint.matching.openset import with_new as put_new
from finprint.matching.ranking import Ranking

Drawn = tuple[Ranking, np.ndarray, np.ndarray]


def fit_threshold(ranking: Ranking, truth: np.ndarray, new: np.ndarray) -> Threshold:
    return best_map5(Checked(ranking, truth, new, np.ones(len(truth))))


def with_new(ranking: Ranking, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    five = put_new(ranking, np.full(len(ranking), threshold))
    return five.codes, five.scores, five.photos


def _ranking(scores: list[list[float]], identities: list[list[int]] | None = None) -> Ranking:
    values = np.array(scores, np.float32)
    names = np.tile(np.arange(values.shape[1]), (len(values), 1)) if identities is None else np.array(identities)
    names = np.where(np.isneginf(values), NOBODY, names)
    return Ranking(names, values, np.where(names == NOBODY, NOBODY, 100 + names), values)


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
    return Ranking(names, values, names, values), truth, new


def _score(ranking: Ranking, truth: np.ndarray, new: np.ndarray, threshold: float) -> float:
    codes = with_new(ranking, threshold)[0]
    return float(gains(hit_places(codes, truth)).mean())


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
    assert with_new(ranking, value)[0][0, 0] == UNKNOWN


def test_neighbouring_float32_scores_are_told_apart() -> None:
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1))
    ranking = _ranking([[high, 0.1, 0.1, 0.1, 0.1], [low, 0.1, 0.1, 0.1, 0.1]])
    value = fit_threshold(ranking, np.array([0, UNKNOWN]), np.array([False, True])).value
    assert with_new(ranking, value)[0][:, 0].tolist() == [0, UNKNOWN]


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
        (0.95, [UNKNOWN, 0, 1, 2, 3], [0.95, 0.9, 0.7, 0.5, 0.3]),
        (0.6, [0, 1, UNKNOWN, 2, 3], [0.9, 0.7, 0.6, 0.5, 0.3]),
        (0.5, [0, 1, 2, UNKNOWN, 3], [0.9, 0.7, 0.5, 0.5, 0.3]),  # who scores just the threshold stands before
        (0.2, [0, 1, 2, 3, UNKNOWN], [0.9, 0.7, 0.5, 0.3, 0.2]),
        (-0.5, [0, 1, 2, 3, 4], [0.9, 0.7, 0.5, 0.3, 0.1]),
    ],
)
def test_with_new_hand_worked(threshold: float, names: list[int], scores: list[float]) -> None:
    # A sixth place is never answered.
    ranking = _ranking([[0.9, 0.7, 0.5, 0.3, 0.1, -0.2]])
    codes, values, photos = with_new(ranking, threshold)
    assert codes.tolist() == [names]
    np.testing.assert_allclose(values, [scores], atol=1e-7)
    assert photos.tolist() == [[NOBODY if name == UNKNOWN else 100 + name for name in names]]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (0, [UNKNOWN, -1, -1, -1, -1]),
        (1, [0, UNKNOWN, -1, -1, -1]),
        (3, [0, 1, 2, UNKNOWN, -1]),
        (4, [0, 1, 2, 3, UNKNOWN]),
    ],
)
def test_with_fewer_than_four_individuals_the_last_places_hold_nobody(known: int, expected: list[int]) -> None:
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5][:known] + [-np.inf] * (5 - known)]
    codes, values, photos = with_new(_ranking(scores), 0.1)
    assert codes.tolist() == [expected]
    assert np.isneginf(values[codes == NOBODY]).all()
    assert (photos[codes == NOBODY] == NOBODY).all()


@given(drawn=validations(), threshold=st.floats(-1.5, 1.5))
def test_new_splits_the_answers_at_the_threshold_and_keeps_their_order(drawn: Drawn, threshold: float) -> None:
    ranking = drawn[0]
    codes, scores, _ = with_new(ranking, threshold)
    for row in range(len(codes)):
        names = codes[row].tolist()
        assert names.count(UNKNOWN) <= 1
        others = [name for name in names if name != UNKNOWN]
        assert others == ranking.identities[row, : len(others)].tolist()
        place = names.index(UNKNOWN) if UNKNOWN in names else 5
        assert (scores[row, :place] >= threshold).all()
        assert (scores[row, place + 1 :] < threshold).all()


def _checked(best: list[float], new: list[bool], weights: list[float] | None = None) -> Checked:
    """Queries whose right individual, of the known ones, is the first."""
    ranking = _ranking([[b, -0.5, -0.6, -0.7, -0.8] for b in best])
    truth = np.where(new, UNKNOWN, 0)
    return Checked(ranking, truth, np.array(new), np.ones(len(new)) if weights is None else np.array(weights))


def test_place_of_the_true_individual() -> None:
    ranking = _ranking([[0.5, 0.4, 0.3, 0.2, 0.1]] * 3, [[4, 8, 1, 0, 2]] * 3)
    assert Checked(ranking, np.array([4, 2, UNKNOWN]), np.zeros(3, bool), np.ones(3)).place.tolist() == [0, 4, 5]


def test_a_bagged_threshold_loses_less_on_other_queries() -> None:
    """The claim for which it is used, in small; bench/threshold.py has it in large."""

    def drawn(seed: int, count: int) -> Checked:
        rng = np.random.default_rng(seed)
        new = rng.random(count) < 0.2
        return _checked(np.clip(rng.normal(np.where(new, 0.4, 0.6), 0.12), -1, 1).tolist(), new.tolist())

    judge = best_map5(drawn(99, 20000)).curve
    lost = {"best": 0.0, "bagged": 0.0}
    for seed in range(40):
        checked = drawn(seed, 100)
        for name, value in (("best", best_map5(checked).value), ("bagged", bagged_map5(checked))):
            lost[name] += judge[:, 1].max() - np.interp(value, *judge.T)
    assert 0 < lost["bagged"] < 0.8 * lost["best"]


@given(drawn=validations())
def test_best_answers_are_those_at_the_best_threshold(drawn: Drawn) -> None:
    ranking, truth, new = drawn
    place, says_new = best_answers(Checked(ranking, truth, new, np.ones(len(truth))))
    found = fit_threshold(ranking, truth, new)
    assert gains(place).mean() == pytest.approx(found.curve[:, 1].max(), abs=1e-9)
    assert says_new.tolist() == (with_new(ranking, found.value)[0][:, 0] == UNKNOWN).tolist()


def test_weights_count_like_repetitions() -> None:
    rng = np.random.default_rng(3)
    best, new = np.round(rng.random(30), 2), rng.random(30) < 0.3
    often = rng.integers(1, 4, 30)
    weighted = _checked(best.tolist(), new.tolist(), often.astype(float).tolist())
    repeated = _checked(np.repeat(best, often).tolist(), np.repeat(new, often).tolist())
    for name in set(TARGETS) - {"map5"}:  # whose bootstrap draws other samples of more queries
        assert TARGETS[name](weighted, 0.2) == pytest.approx(TARGETS[name](repeated, 0.2)), name
    np.testing.assert_allclose(best_map5(weighted).curve, best_map5(repeated).curve)


def test_share_weights_make_the_share() -> None:
    new = np.array([True] * 3 + [False] * 17)
    weights = share_weights(new, 0.4)
    assert weights[new].sum() / weights.sum() == pytest.approx(0.4)
    assert weights.sum() == pytest.approx(20)
    assert share_weights(new, None).tolist() == [1] * 20
    assert share_weights(new[:3], 0.4).tolist() == [1] * 3


def test_a_threshold_that_expects_more_new_animals_is_higher() -> None:
    rng = np.random.default_rng(1)
    new = rng.random(400) < 0.2
    best = np.clip(rng.normal(np.where(new, 0.4, 0.6), 0.15), -1, 1)
    found = [
        best_map5(_checked(best.tolist(), new.tolist(), share_weights(new, share).tolist())).value
        for share in (0.05, 0.2, 0.6)
    ]
    assert found[0] < found[1] < found[2]


@pytest.mark.parametrize(("share", "calls"), [(0.0, 0), (0.19, 0), (0.2, 1), (0.4, 1), (0.6, 3), (1.0, 5)])
def test_called_new_hand_worked(share: float, calls: int) -> None:
    best = np.array([0.9, 0.1, 0.5, 0.5, 0.8])  # the two at 0.5 stand or fall together
    threshold = called_new(best, share, np.ones(5))
    assert (best < threshold).sum() == calls


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 0.99))
def test_targets_keep_what_they_promise_and_no_higher_threshold_does(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    new = np.concatenate([[True, False], rng.random(20) < 0.4])
    checked = _checked(np.round(rng.random(22), 1).tolist(), new.tolist(), (rng.random(22) + 0.1).tolist())
    best, weights = checked.ranking.best.astype(float), checked.weights
    levels = np.append(np.unique(best), 2.0)

    def called(threshold: float, among: np.ndarray) -> float:
        return float(weights[among & (best < threshold)].sum())

    def serves(name: str, threshold: float) -> bool:
        if name == "new_precision":
            everyone = called(threshold, np.ones(22, bool))
            return called(threshold, new) >= share * everyone - 1e-9
        among = ~new if name == "known_called_new" else np.ones(22, bool)
        return called(threshold, among) <= share * weights[among].sum() + 1e-9

    for name in ("new_share", "known_called_new", "new_precision"):
        threshold = TARGETS[name](checked, share)
        assert serves(name, threshold), name
        called_at_most = max(called(level, np.ones(22, bool)) for level in levels if serves(name, level))
        assert called(threshold, np.ones(22, bool)) == pytest.approx(called_at_most), name


def test_thresholds_of_species_are_drawn_towards_the_common_one() -> None:
    # Orcas: two known, one new; belugas show no new one: no evidence.
    best, new = [0.9, 0.8, 0.7, 0.6], [False, False, True, False]
    checked = _checked(best, new)
    species = np.array(["orca", "orca", "orca", "beluga"])
    found = species_thresholds(checked, species, "map5", 0.0, overall=0.35, shrinkage=3.0)
    assert set(found) == {"orca"}
    own = bagged_map5(checked[np.arange(3)])
    assert 0.7 < own < 0.8
    assert found["orca"] == pytest.approx(1 / 4 * own + 3 / 4 * 0.35)
    firm = species_thresholds(checked, species, "map5", 0.0, overall=0.35, shrinkage=1e-9)
    assert firm["orca"] == pytest.approx(own)


@given(chances=st.lists(st.floats(0.001, 1), min_size=6, max_size=6))
def test_the_order_of_the_chances_is_the_best_one(chances: list[float]) -> None:
    """Against every place at which `new_individual` could stand: the expected MAP@5 is nowhere greater."""
    new, *rest = (np.array(chances) / sum(chances)).tolist()
    each = -np.sort(-np.array([rest]))

    def expected(place: int) -> float:
        order = np.insert(each[0], place, new)
        return float((order[:5] / np.arange(1, 6)).sum())

    (ahead,) = ahead_of_new(each, np.array([new]))
    assert expected(int(ahead)) == pytest.approx(max(expected(place) for place in range(6)))


def test_the_order_by_hand() -> None:
    # A17 68 %, new 21 %, B2 6 %: 0.68 + 0.21 / 2 + 0.06 / 3 = 0.805; with new first 0.21 + 0.68 / 2 + 0.02 = 0.57.
    each = np.array([[0.68, 0.06, 0.03, 0.02, 0.0]])
    assert ahead_of_new(each, np.array([0.21])).tolist() == [1]
    assert ahead_of_new(each, np.array([0.7])).tolist() == [0]
    assert ahead_of_new(each, np.array([0.0])).tolist() == [4]  # nobody stands in the fifth place
    five = put_new(_ranking([[0.9, 0.7, 0.5, 0.3, 0.1]]), np.array([0.95]), np.array([1]))
    assert five.codes.tolist() == [[0, UNKNOWN, 1, 2, 3]]
    np.testing.assert_allclose(five.scores, [[0.9, 0.9, 0.7, 0.5, 0.3]], atol=1e-6)  # the threshold, as far as it goes


def test_each_query_can_have_its_own_threshold() -> None:
    ranking = _ranking([[0.9, 0.7, 0.5, 0.3, 0.1]] * 2)
    five = put_new(ranking, np.array([0.95, 0.6]))
    assert five.codes.tolist() == [[UNKNOWN, 0, 1, 2, 3], [0, 1, UNKNOWN, 2, 3]]
    assert five.scores[0, 0] == 0.95
    assert five.scores[1, 2] == 0.6
    assert five.places.tolist() == [[NOBODY, 0, 1, 2, 3], [0, 1, NOBODY, 2, 3]]
