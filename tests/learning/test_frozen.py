"""A frozen backbone: its features are those of the network, they are computed once, and a head learns from them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN
from examples import PHOTOS, RECIPE, stored_crops

from finprint.base.checkpoint import Checkpoint
from finprint.individuals.task import Individuals
from finprint.learning.finetuning import is_frozen
from finprint.learning.frozen import Features
from finprint.learning.inputs import Epoch, Photos
from finprint.learning.recipe import Recipe
from finprint.learning.round import train_round
from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.embedding import embed
from finprint.model.params import Embed
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
    whole = embed(embedder, crops.pixels, rows, Embed(batch=2, mirror=False, amp=True), quiet=True)
    features = Features(embedder, crops)
    np.testing.assert_allclose((features.vectors(embedder, rows) * whole).sum(axis=1), 1, atol=2e-3)
    mirrored = Features(embedder, crops).of(4)
    assert mirrored.shape[0] == 2
    assert not np.array_equal(mirrored[0], mirrored[1])


def test_features_are_computed_once_for_the_same_crops_weights_and_size(tmp_path: Path, crops: Crops) -> None:
    def files() -> list[Path]:
        found = Path(os.environ["DVC_ROOT"], ".cache", "features").glob("*.npy")
        return sorted(found, key=lambda file: file.stat().st_mtime_ns)

    def kept(embedder: Embedder, crops: Crops) -> tuple[str, int]:
        """The file that was asked for last, and when its content was written there."""
        Features(embedder, crops)
        return files()[-1].name, files()[-1].stat().st_ino

    def made(seed: int, side: int) -> Embedder:
        torch.manual_seed(seed)
        return Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, side))

    first = kept(made(0, 32), crops)
    assert kept(made(0, 32), crops) == first
    others = stored_crops(tmp_path / "others", sorted(PHOTOS["image"], reverse=True))
    names = [kept(*asked)[0] for asked in ((made(1, 32), crops), (made(0, 64), crops), (made(0, 32), others))]
    assert len({first[0], *names}) == 4
    assert kept(made(0, 32), crops) == first, "of several, each is kept"
    fifth = kept(made(1, 64), crops)[0]
    assert {file.name for file in files()} == {first[0], names[1], names[2], fifth}, "the one not asked for goes"


def test_damaged_features_are_made_anew(crops: Crops, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32))
    whole = np.array(Features(embedder, crops).of(3))
    (file,) = Path(os.environ["DVC_ROOT"], ".cache", "features").glob("*.npy")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert np.array_equal(Features(embedder, crops).of(3), whole)
    assert f"{file} is damaged" in capsys.readouterr().out
    assert file.read_bytes() != content


@pytest.mark.parametrize("fusion", ["gem", "dolg"])
def test_a_head_learns_and_the_backbone_stays(crops: Crops, fusion: str) -> None:
    recipe = Recipe(FROZEN.model_copy(update={"fusion": fusion}), 8, 1e-2, 0)
    task = Individuals.of(PHOTOS, crops, recipe.train)
    before = task.new_network(recipe).embedder.backbone.state_dict()
    trained = train_round(task, crops, recipe, Checkpoint("train", {"run": 1}, [], []))
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert type(trained.network.embedder) is Embedder
    after = trained.network.embedder.backbone.state_dict()
    assert all(torch.equal(tensor.cpu(), after[name].cpu()) for name, tensor in before.items())
    again = train_round(task, crops, recipe, Checkpoint("train", {"run": 2}, [], []))
    assert again.history == trained.history
    assert torch.equal(again.network.head.weight, trained.network.head.weight)


def test_what_is_frozen() -> None:
    assert is_frozen(FROZEN)
    assert not is_frozen(RECIPE.train)
    assert is_frozen(FROZEN.model_copy(update={"cyclic": True}))  # what is fused, and pooled over the turns, is kept
    learns = {"cyclic": True, "fusion": "dolg"}
    assert not is_frozen(FROZEN.model_copy(update=learns))  # four quarter turns of every photo would have to be kept


@pytest.mark.parametrize("cyclic", [True, "rms"])
def test_features_of_turned_and_padded_views_are_those_of_the_network(crops: Crops, cyclic: bool | str) -> None:
    torch.manual_seed(0)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32, cyclic=cyclic, padded=True)).eval()
    rows = np.array([4, 0])
    whole = embed(embedder, crops.pixels, rows, Embed(batch=2, mirror=False, amp=True), quiet=True)
    features = Features(embedder, crops)
    np.testing.assert_allclose((features.vectors(embedder, rows) * whole).sum(axis=1), 1, atol=2e-3)
    assert features.both(rows).shape == (2, 2, 432)


def test_photos_and_features_are_asked_alike(crops: Crops) -> None:
    """Plain views of photos, and the features of the same views, give the same vectors in a batch of an epoch."""
    torch.manual_seed(0)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32)).eval()
    order, mirrored = np.array([[2, 0, 1]]), np.array([True, False, False])
    epoch = Epoch(np.array([5, 0, 3]), order, mirrored, 32, NO_AUGMENT, (0, 0))
    vectors, shapes = [], []
    for inputs in (Photos(crops.pixels, 4), Features(embedder, crops)):
        (batch,) = inputs.batches(epoch)
        shapes.append(batch.shape[1:])
        with torch.inference_mode():
            given = inputs.to_device(batch, embedder.mean.device)
            vectors.append(torch.nn.functional.normalize(inputs.embedded(embedder, given)))
    assert shapes[0] == (3, 32, 32)
    assert len(shapes[1]) == 1
    assert (vectors[0] * vectors[1]).sum(dim=1).min() > 0.995
    assert (vectors[0][0] - vectors[0][1]).norm() > 1e-3  # the control: another photo has another vector
