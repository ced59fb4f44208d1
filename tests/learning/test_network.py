"""Embedder and heads as one: mixed photos and vectors, labels that count by their weight."""

import numpy as np
import pytest
import torch
from examples import TRAIN, small_network

from finprint.learning.lessons import Targets
from finprint.model.heads import SubCentreArcFace


def test_a_mixed_batch_is_asked_for_both_names() -> None:
    network = small_network().eval()
    photos, shows = torch.rand(4, 3, 32, 32), Targets.sure(np.array([0, 1, 2, 0]))
    mixed = 0.7 * photos + 0.3 * photos.flip(0)
    expected = 0.7 * network(mixed, shows) + 0.3 * network(mixed, Targets.sure(np.array([0, 2, 1, 0])))
    assert network(photos, shows, 0.7).item() == pytest.approx(expected.item(), rel=1e-5)


def test_vectors_can_be_mixed_instead_of_photos() -> None:
    network = small_network().eval()
    network.mixed = "vectors"
    photos, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 0])
    vectors = network.embedder(photos)
    mixed = 0.7 * vectors + 0.3 * vectors.flip(0)
    expected = 0.7 * network.head(mixed, labels) + 0.3 * network.head(mixed, labels.flip(0))
    assert network(photos, Targets.sure(labels.numpy()), 0.7).item() == pytest.approx(expected.item(), rel=1e-5)
    network.mixed = "photos"
    assert network(photos, Targets.sure(labels.numpy()), 0.7).item() != pytest.approx(expected.item(), rel=1e-3)


def test_both_photos_of_a_pair_have_the_measures_of_the_mixed_one() -> None:
    targets = Targets(torch.tensor([[0], [1], [2]]), torch.ones(3, 1), torch.tensor([[10.0], [5.0], [20.0]]))
    first, second = targets.mixed(0.8)
    assert first.labels.flatten().tolist() == [0, 1, 2]
    assert second.labels.flatten().tolist() == [2, 1, 0]
    for one in (first, second):
        assert one.extras is not None
        torch.testing.assert_close(one.extras, torch.tensor([[12.0], [5.0], [18.0]]))


def test_targets_by_hand() -> None:
    """A photo that is al to 0.6 and bo to 0.3 counts so much of either loss, beside one that is cy for sure."""
    head = SubCentreArcFace(TRAIN.embedding, torch.full((3,), 0.2), 2, 20.0)
    vectors = torch.randn(2, TRAIN.embedding, generator=torch.Generator().manual_seed(0))
    shows = Targets(torch.tensor([[0, 1], [2, 0]]), torch.tensor([[0.6, 0.3], [1.0, 0.0]]))
    one = [head(vectors[:1], torch.tensor([n])).item() for n in range(2)]
    cy = head(vectors[1:], torch.tensor([2])).item()
    expected = (0.6 * one[0] + 0.3 * one[1] + cy) / 2
    assert shows.mean(head.losses(vectors, shows.labels)).item() == pytest.approx(expected, rel=1e-5)
