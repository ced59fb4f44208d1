"""The learning rate range test: its suggestion by hand, and a real climb that ends in divergence."""

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAIN

from finprint.learning.loop import Recipe
from finprint.learning.lr_finder import DIVERGED, LOW, Curve, find_rate
from finprint.learning.network import Network, Targets
from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.heads import SubCentreArcFace

LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int64)
TARGETS = Targets.sure(LABELS)


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
        torch.manual_seed(0)
        embedder = Embedder(ModelConfig(SMALL_TRAIN.backbone, "gem", 8, 32))
        network = Network(embedder, SubCentreArcFace(8, torch.full((3,), 0.2), 2, 20.0))
        return find_rate(network, _pixels, TARGETS, Recipe(SMALL_TRAIN, 1, 1e-3, 0), 30)

    curve, again = climb(), climb()
    assert np.array_equal(curve.losses, again.losses)
    assert curve.rates[0] == LOW
    assert len(curve.rates) == len(curve.losses) <= 30
    assert (np.diff(curve.rates) > 0).all()
    assert len(curve.rates) == 30 or curve.losses[-1] > DIVERGED * curve.losses.min()
    assert LOW <= curve.suggestion < 0.3
