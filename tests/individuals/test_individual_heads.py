"""The heads of the individuals: species weigh in by their share, where they are known."""

import numpy as np
import pytest
import torch
from examples import TRAIN, small_network

from finprint.individuals.heads import IndividualHeads, SpeciesLoss
from finprint.learning.lessons import Targets
from finprint.model.heads import SubCentreArcFace


def test_the_species_head_weighs_in_by_its_share() -> None:
    torch.manual_seed(0)
    network = small_network()
    head = SubCentreArcFace(TRAIN.embedding, torch.full((2,), 0.1), 1, 30.0)
    both = IndividualHeads(network.head, SpeciesLoss(head, torch.tensor([0, 1, 1]), 0.25))
    vectors, labels = torch.randn(6, TRAIN.embedding), torch.tensor([0, 1, 2, 2, 1, 0])
    shows = Targets.sure(labels.numpy())
    species = head(vectors, torch.tensor([0, 1, 1, 1, 1, 0]))
    assert both(vectors, shows).item() == pytest.approx((0.75 * network.head(vectors, labels) + 0.25 * species).item())
    assert network.heads(vectors, shows).item() == pytest.approx(network.head(vectors, labels).item())
    some = IndividualHeads(network.head, SpeciesLoss(head, torch.tensor([0, -1, 1]), 0.25))
    told = head(vectors[[0, 2, 3, 5]], torch.tensor([0, 1, 1, 0]))
    assert some(vectors, shows).item() == pytest.approx((0.75 * network.head(vectors, labels) + 0.25 * told).item())


def test_labels_of_no_weight_do_not_hide_a_species() -> None:
    """A sure photo beside soft ones is padded with class 0, whose species may be unknown."""
    torch.manual_seed(0)
    head = SubCentreArcFace(TRAIN.embedding, torch.full((2,), 0.1), 1, 30.0)
    species = SpeciesLoss(head, torch.tensor([-1, 0, 1]), 0.25)
    vectors, sure = torch.randn(2, TRAIN.embedding), Targets.sure(np.array([1, 2]))
    padded = Targets(torch.tensor([[1, 0], [2, 0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    loss = torch.tensor(1.0)
    assert species(loss, vectors, padded).item() == pytest.approx(species(loss, vectors, sure).item())
    assert species(loss, vectors, padded).item() != 1.0
