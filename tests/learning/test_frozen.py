"""A frozen backbone: its features are those of the network, they are computed once, and a head learns from them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAIN
from examples import PHOTOS, RECIPE, stored_crops

from finprint.base.checkpoint import Checkpoint
from finprint.individuals.rounds import lessons, new_network, train_round
from finprint.learning.frozen import Features, FrozenEmbedder, is_frozen
from finprint.learning.loop import Recipe
from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.embedding import embed
from finprint.pictures.shards import Crops

pytestmark = pytest.mark.usefixtures("training_state")
FROZEN = SMALL_TRAIN.model_copy(
    update={"finetune": SMALL_TRAIN.finetune.model_copy(update={"trainable": 0.0}), "epochs": 8}
)


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    return stored_crops(tmp_path / "crops", sorted(PHOTOS["image"]))


@pytest.mark.parametrize(
    ("backbone", "fusion", "side"),
    [("tf_efficientnet_lite0", "gem", 64), ("tf_efficientnet_lite0", "average", 64), ("convnext_atto", "dolg", 320)],
)
def test_vectors_from_features_are_those_of_the_network(crops: Crops, backbone: str, fusion: str, side: int) -> None:
    torch.manual_seed(0)
    embedder = Embedder(ModelConfig(backbone, fusion, 8, side)).eval()
    rows = np.array([4, 0, 2])
    whole = embed(embedder, crops.pixels, rows, batch=2, mirror=False, amp=True, quiet=True)
    features = Features(embedder, crops)
    frozen = FrozenEmbedder(embedder)
    np.testing.assert_allclose((features.vectors(frozen, rows) * whole).sum(axis=1), 1, atol=2e-3)
    mirrored = Features(embedder, crops)(4)
    assert mirrored.shape[0] == 2
    assert not np.array_equal(mirrored[0], mirrored[1])


def test_features_are_computed_once_for_the_same_crops_weights_and_size(tmp_path: Path, crops: Crops) -> None:
    def kept(embedder: Embedder, crops: Crops) -> tuple[str, int]:
        Features(embedder, crops)
        (file,) = Path(os.environ["DVC_ROOT"], ".cache", "features").glob("*.npy")
        return file.name, file.stat().st_mtime_ns

    def made(seed: int, side: int) -> Embedder:
        torch.manual_seed(seed)
        return Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, side))

    first = kept(made(0, 32), crops)
    assert kept(made(0, 32), crops) == first
    others = stored_crops(tmp_path / "others", sorted(PHOTOS["image"], reverse=True))
    names = [kept(*asked)[0] for asked in ((made(1, 32), crops), (made(0, 64), crops), (made(0, 32), others))]
    assert len({first[0], *names}) == 4


@pytest.mark.parametrize("fusion", ["gem", "dolg"])
def test_a_head_learns_and_the_backbone_stays(crops: Crops, fusion: str) -> None:
    recipe = Recipe(FROZEN.model_copy(update={"fusion": fusion}), 8, 1e-2, 0)
    before = new_network(lessons(PHOTOS, crops, None), recipe, None).embedder.backbone.state_dict()
    network, _, history = train_round(PHOTOS, crops, recipe, Checkpoint("train", {"run": 1}, [], []))
    assert history[-1]["loss"] < history[0]["loss"]
    assert type(network.embedder) is Embedder
    after = network.embedder.backbone.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    again, _, same = train_round(PHOTOS, crops, recipe, Checkpoint("train", {"run": 2}, [], []))
    assert same == history
    assert torch.equal(again.head.weight, network.head.weight)


def test_what_is_frozen() -> None:
    assert is_frozen(FROZEN)
    assert not is_frozen(RECIPE.train)
    assert not is_frozen(FROZEN.model_copy(update={"cyclic": True}))  # four quarter turns of every photo
