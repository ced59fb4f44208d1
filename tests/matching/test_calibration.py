"""Probabilities: what a known model must give back, properties, and held-out draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from finprint.matching.calibration import Calibration, Isotonic, Logistic, calibrate
from finprint.matching.metrics import calibration_error
from finprint.matching.names import NOBODY, UNKNOWN
from finprint.matching.openset import Checked
from finprint.matching.ranking import Ranking

PLACES = 6


def _drawn(count: int, seed: int, curve: str = "logistic") -> Checked:
    """Queries whose best score s is new with the chance 1 - expit(20 (s - 0.5)), or, as a `step`, 0.9 and 0.1;
    the right one of the known is drawn from a softmax of temperature 0.05."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.uniform(0.1, 0.9, (count, PLACES)), axis=1)
    best = scores[:, 0]
    chance = 1 - expit(20 * (best - 0.5)) if curve == "logistic" else np.where(best < 0.75, 0.9, 0.1)
    new = rng.random(count) < chance
    picked = (scores / 0.05 + rng.gumbel(size=scores.shape)).argmax(axis=1)
    identities = np.tile(np.arange(PLACES), (count, 1))
    ranking = Ranking(identities, scores.astype(np.float32), identities, scores.astype(np.float32))
    return Checked(ranking, np.where(new, UNKNOWN, picked), new, np.ones(count))


def _fit(checked: Checked, threshold: float = 0.4) -> Calibration | None:
    return calibrate(checked, np.full(len(checked.new), threshold), np.arange(len(checked.new)))


def test_the_curves_of_a_known_model_are_found() -> None:
    found = _fit(_drawn(20000, 0))
    assert found is not None
    assert isinstance(found.new, Logistic)
    # Its argument is the score above the threshold, 0.4: 20 (s - 0.5) = 20 (s - 0.4) - 2.
    assert found.new.slope == pytest.approx(-20, rel=0.05)
    assert found.new.constant == pytest.approx(2, rel=0.1)
    assert found.temperature == pytest.approx(0.05, rel=0.05)


def test_where_the_truth_is_no_logistic_curve_the_isotonic_one_is_taken() -> None:
    checked = _drawn(5000, 1, "step")
    found = _fit(checked)
    assert found is not None
    assert isinstance(found.new, Isotonic)
    _, new = found.probabilities(_at([0.6, 0.9]), np.full(2, 0.4))
    np.testing.assert_allclose(new, [0.9, 0.1], atol=0.05)


def _at(best: list[float]) -> Ranking:
    scores = np.array([[b, *np.linspace(0.05, 0.01, PLACES - 1)] for b in best], np.float32)
    identities = np.tile(np.arange(PLACES), (len(best), 1))
    return Ranking(identities, scores, identities, scores)


@pytest.mark.parametrize("curve", ["logistic", "step"])
def test_probabilities_hold_on_other_draws(curve: str) -> None:
    found = _fit(_drawn(3000, 2, curve))
    fresh = _drawn(20000, 3, curve)
    assert found is not None
    known, new = found.probabilities(fresh.ranking, np.full(20000, 0.4))
    weights = np.ones(20000)
    assert calibration_error(new, fresh.new, weights) < 0.02
    hits = fresh.ranking.identities == fresh.truth[:, None]
    assert calibration_error(known[:, 0], hits[:, 0], weights) < 0.02
    assert calibration_error(known.ravel(), hits.ravel(), np.ones(known.size)) < 0.01
    # Cosines themselves, read as probabilities, are far off.
    assert calibration_error(fresh.ranking.best.astype(float), hits[:, 0], weights) > 0.035


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 60), places=st.integers(1, PLACES))
def test_probabilities_are_probabilities(seed: int, count: int, places: int) -> None:
    checked = _drawn(count, seed)
    nobody = np.arange(PLACES) >= places
    for values, filling in ((checked.ranking.identities, NOBODY), (checked.ranking.scores, -np.inf)):
        values[:, nobody] = filling
    found = _fit(checked)
    if found is None:
        assert checked.new.all() or not checked.new.any() or (checked.place[~checked.new] == PLACES).all()
        return
    known, new = found.probabilities(checked.ranking, np.full(count, 0.4))
    assert ((known >= 0) & (known <= 1)).all()
    assert ((new >= 0) & (new <= 1)).all()
    assert (known.sum(axis=1) + new <= 1 + 1e-9).all()
    assert (known[:, nobody] == 0).all()
    assert (np.diff(known[:, :places]) <= 1e-9).all()  # the better score is never the less likely one
    assert np.isfinite(found.log_loss)


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_of_query_alone_cannot_be_calibrated(kind: bool) -> None:
    checked = _drawn(200, 4)
    assert _fit(checked[checked.new == kind]) is None


def test_weights_shift_the_probability_of_new() -> None:
    checked = _drawn(4000, 5)
    weighted = Checked(checked.ranking, checked.truth, checked.new, np.where(checked.new, 3.0, 1.0))
    before, after = _fit(checked), _fit(weighted)
    assert before is not None
    assert after is not None
    ranking, threshold = _at([0.45, 0.5, 0.55]), np.full(3, 0.4)
    odds = [p / (1 - p) for p in (f.probabilities(ranking, threshold)[1] for f in (before, after))]
    np.testing.assert_allclose(odds[1] / odds[0], 3, rtol=0.1)  # Bayes: the odds take the ratio of the weights


def test_photos_of_one_animal_are_never_fitted_and_tested_at_once() -> None:
    # One animal's photos, all new and at one score: only its own photos could teach that this score is new.
    checked = _drawn(400, 6)
    animals = np.arange(400)
    lone = calibrate(checked, np.full(400, 0.4), animals)
    same = calibrate(checked, np.full(400, 0.4), np.zeros(400, int))  # one fold: nothing to fit with, the mean is used
    assert lone is not None
    assert same is not None
    assert same.log_loss > lone.log_loss


def test_an_empty_query_set_and_an_empty_gallery() -> None:
    found = _fit(_drawn(300, 7))
    assert found is not None
    known, new = found.probabilities(Ranking.empty(0, PLACES), np.zeros(0))
    assert (known.shape, new.shape) == ((0, PLACES), (0,))
    known, new = found.probabilities(Ranking.empty(2, PLACES), np.full(2, 0.4))
    assert (known == 0).all()
    assert (new > 0.99).all()
