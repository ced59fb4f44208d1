"""The seam: a task of a few lines trains through `learning`, which knows no task by name."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN
from examples import stored_crops
from torch import nn

import finprint.learning
from finprint.base.checkpoint import Checkpoint
from finprint.base.files import read_json
from finprint.learning.inputs import Inputs
from finprint.learning.lessons import Lessons, Targets
from finprint.learning.network import Heads, Network
from finprint.learning.params import Training
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder, train_round, write_round
from finprint.learning.task import Task
from finprint.model.embedder import load_model
from finprint.model.params import Augment
from finprint.pictures.shards import Crops

pytestmark = pytest.mark.usefixtures("training_state")
HELD_OUT = 4  # photos, the last ones


class Linear(Heads):
    """A plain linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Linear(8, 2)

    def forward(self, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        return nn.functional.cross_entropy(self.main(vectors), targets.labels[:, 0])


class WarmOrCold(Task):
    """Which of two colours has a photo?"""

    def __init__(self, labels: np.ndarray) -> None:
        taught = np.arange(len(labels) - HELD_OUT)
        self.labels = labels
        self.lessons = Lessons(taught, Targets.sure(labels[taught]), ["warm", "cold"])

    def new_network(self, recipe: Recipe) -> Network:
        return Network(new_embedder(recipe), Linear())

    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        rows = np.arange(len(self.labels))[-HELD_OUT:]
        vectors = torch.from_numpy(inputs.vectors(network.embedder, rows)).to(network.head.weight.device)
        with torch.inference_mode():
            answers = network.head(vectors).argmax(dim=1).cpu().numpy()
        return {"right": float((answers == self.labels[rows]).mean())}


def _training(**changes: object) -> Training:
    """The section without what the individuals add to it."""
    general = {name: getattr(SMALL_TRAIN, name) for name in Training.model_fields}
    plain = Augment(**{name: getattr(NO_AUGMENT, name) for name in Augment.model_fields})
    return Training(**general | {"augment": plain, "ema": 0.0} | changes)


def _crops(folder: Path, labels: np.ndarray) -> Crops:
    """A photo's first letter decides its colour."""
    return stored_crops(folder, [f"{'wc'[label]}{n}.jpg" for n, label in enumerate(labels)])


@pytest.mark.parametrize("trainable", [1.0, 0.0], ids=["photos", "frozen features"])
def test_a_toy_task_is_learned(tmp_path: Path, trainable: float) -> None:
    """Two colours are told apart by a linear head, and what the round leaves is a model like any other."""
    labels = np.arange(16 + HELD_OUT) % 2
    finetune = SMALL_TRAIN.finetune.model_copy(update={"trainable": trainable, "hold_norms": True})
    recipe = Recipe(_training(backbone="tf_efficientnet_lite0", weights="package", finetune=finetune), 6, 1e-3, 0)
    checkpoint = Checkpoint("toy", {}, [], [])
    trained = train_round(WarmOrCold(labels), _crops(tmp_path / "crops", labels), recipe, checkpoint)
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < 0.3 < np.log(2)  # what guessing costs
    assert trained.history[-1]["right"] == 1.0
    write_round(trained, tmp_path / "model", tmp_path / "epochs.csv", tmp_path / "metrics.json")
    _, head, classes = load_model(tmp_path / "model")
    assert classes == ["warm", "cold"]
    assert torch.equal(head["weight"], trained.network.head.weight.cpu())
    assert pd.read_csv(tmp_path / "epochs.csv").columns.tolist() == ["epoch", "loss", "lr", "right"]
    assert read_json(tmp_path / "metrics.json") == {"loss": round(losses[-1], 6), "right": 1.0}


def test_a_task_says_what_a_mirror_image_shows_and_what_happens_at_a_step(tmp_path: Path) -> None:
    labels = np.arange(8 + HELD_OUT) % 2
    steps: list[tuple[int, int]] = []
    asked: list[int] = []

    class Watched(WarmOrCold):
        def mirrored(self, targets: Targets, mirrored: torch.Tensor) -> Targets:
            asked.append(int(mirrored.sum()))
            return targets

        def at_step(self, network: Network, step: int, steps_: int) -> None:
            steps.append((step, steps_))

    augment = _training().augment.model_copy(update={"flip": 1.0})
    recipe = Recipe(_training(augment=augment), 2, 1e-3, 0)
    train_round(Watched(labels), _crops(tmp_path / "crops", labels), recipe, Checkpoint("toy", {}, [], []))
    assert steps == [(n, 4) for n in range(4)]  # two epochs of two batches
    assert asked == [8, 8]  # all photos of each epoch


def test_learning_knows_no_task() -> None:
    """Neither by an import from the rooms above or beside it, nor by a name."""
    folder = Path(finprint.learning.__file__).parent
    allowed = {"base", "learning", "model", "pictures"}
    for path in folder.glob("*.py"):
        text = path.read_text()
        imports = [
            node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module
        ]
        rooms = {name.split(".")[1] for name in imports if name.startswith("finprint.")}
        assert rooms <= allowed, path.name
        assert re.findall(r"(?i)identit|individual|species|margin|animal|arcface", text) == [], path.name
