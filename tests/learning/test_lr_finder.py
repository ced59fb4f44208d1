"""The learning rate range test: its suggestion by hand, and a real climb that ends in divergence."""

import numpy as np
import pytest
from conftest import SMALL_TRAIN
from examples import small_network

from finprint.individuals.lessons import IndividualLessons
from finprint.individuals.task import Individuals
from finprint.learning.inputs import Photos
from finprint.learning.lessons import Targets
from finprint.learning.lr_finder import DIVERGED, LOW, Curve, find_rate
from finprint.learning.recipe import Recipe

LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int64)
LESSONS = IndividualLessons(np.arange(9), Targets.sure(LABELS), ["al", "bo", "cy"], np.zeros(3, np.int64))


def _pixels(item: int) -> np.ndarray:
    colour = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])[LABELS[item]]
    return (colour + np.random.default_rng(item).normal(0, 25, (36, 40, 3))).clip(0, 255).astype(np.uint8)


def test_the_suggestion_is_the_steepest_fall() -> None:
    rates = np.geomspace(1e-5, 1, 6)
    assert Curve(rates, np.array([10, 9.9, 9, 4, 3.5, 20])).suggestion == pytest.approx(rates[2])
    assert Curve(rates, np.array([1, 2, 3, 4, 5, 6.0])).suggestion == pytest.approx(rates[0])  # it never falls


@pytest.mark.usefixtures("training_state")
def test_a_climb() -> None:
    def climb() -> Curve:
        task = Individuals(LESSONS, SMALL_TRAIN)
        return find_rate(task, small_network(), Photos(_pixels, 8), Recipe(SMALL_TRAIN, 1, 1e-3, 0), 30)

    curve, again = climb(), climb()
    assert np.array_equal(curve.losses, again.losses)
    assert curve.rates[0] == LOW
    assert len(curve.rates) == len(curve.losses) <= 30
    assert (np.diff(curve.rates) > 0).all()
    assert len(curve.rates) == 30 or curve.losses[-1] > DIVERGED * curve.losses.min()
    assert LOW <= curve.suggestion < 0.3
