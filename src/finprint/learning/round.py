"""One round of training: the network that it begins with, what it reaches, and what it leaves on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.base.files import atomic, write_metrics
from finprint.learning.finetuning import check_learning, is_frozen
from finprint.learning.frozen import Features
from finprint.learning.inputs import Inputs, Photos
from finprint.learning.live import curves
from finprint.learning.loop import History, best_epoch, fit
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.task import Task
from finprint.model.embedder import CONFIG, Embedder, ModelConfig, load_model, save_model
from finprint.model.hub import origin
from finprint.model.loading import Remembered
from finprint.pictures.shards import Crops


@dataclass(frozen=True)
class Trained:
    """What a round has reached.

    Attributes:
        network: with averaged weights.
        classes: names of what its head tells apart.
        history: a row for each epoch: epoch, loss, lr, and the metrics of validation.
        more: other metrics, by their names.
        epoch: the row of the history that the weights belong to.
    """

    network: Network
    classes: list[str]
    history: History
    more: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = -1

    def save(self, folder: Path) -> None:
        """Write a model folder."""
        save_model(folder, self.network.embedder, self.network.head, self.classes)

    def metrics(self) -> dict[str, Any]:
        """The loss and metrics of the epoch whose weights these are, and the other metrics."""
        row = {name: value for name, value in self.history[self.epoch].items() if name not in ("epoch", "lr")}
        return row | dict(self.more)


def train_round(task: Task, crops: Crops, recipe: Recipe, checkpoint: Checkpoint) -> Trained:
    """Train a network for a task.

    Args:
        task: what is learned.
        crops: of the photos that the task learns from and is validated on.
        recipe: how.
        checkpoint: where a killed run goes on from.
    """
    network = task.new_network(recipe)
    inputs: Inputs = Photos(Remembered(crops.pixels), 2 * recipe.train.batch)
    if is_frozen(recipe.train):
        inputs = Features(network.embedder, crops)
        print("the backbone is frozen: a head learns from features of plain views and mirror images", flush=True)
    with curves(checkpoint) as watch:
        network, history = fit(task, network, inputs, recipe, checkpoint, watch)
    kept = best_epoch(task, history) if recipe.train.keep == "best" else -1
    return Trained(network, task.lessons.classes, history, epoch=kept)


def write_round(trained: Trained, model: Path, epochs: Path, metrics: Path) -> None:
    """Write what a round leaves: the model folder, a CSV with a row for each epoch, and the metrics."""
    trained.save(model)
    with atomic(epochs) as draft:
        pd.DataFrame(trained.history).to_csv(draft, index=False, lineterminator="\n")
    write_metrics(metrics, trained.metrics())


def new_embedder(recipe: Recipe, mirror: str = "same", earlier: Path | None = None) -> Embedder:
    """The embedder that a round begins with, and torch's chance set by the recipe's seed for what is made after it.

    Args:
        recipe: which backbone, with which weights.
        mirror: what the model learns of mirror images, as in `ModelConfig`.
        earlier: a model folder whose weights the caller takes over; so no others are read.

    Raises:
        UserError: there is no such backbone or model folder, it does not fit, or the backbone cannot be trained so.
    """
    train = recipe.train
    torch.manual_seed(recipe.seed)
    looks = (train.image_size, mirror, train.cyclic, train.padded)
    fresh = earlier is None and not train.continue_from
    found = origin(train.backbone, train.weights if fresh else "none")
    config = ModelConfig(found.architecture, train.fusion, train.embedding, *looks, found.mean, found.std)
    embedder = Embedder(config, found.weights)
    check_learning(embedder.backbone, train)
    if earlier is None and train.continue_from:
        _continue_from(Path(train.continue_from), embedder)
    return embedder


def check_model_folder(folder: Path) -> None:
    """Refuse a `train.continue_from` that is no model folder.

    Raises:
        UserError: it is none.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"train.continue_from: {folder} is no model folder; "
            "a copy of models/round1 is one (models/round1 itself is gone when train runs)"
        )


def _continue_from(folder: Path, embedder: Embedder) -> None:
    """Take over the weights of `train.continue_from`."""
    check_model_folder(folder)
    with torch.random.fork_rng(devices=[]):  # heads that are made next begin as they would without it
        earlier, _, _ = load_model(folder)
    try:
        embedder.load_state_dict(earlier.state_dict())
    except RuntimeError:
        raise UserError(
            f"train.continue_from: {folder} does not fit: "
            "it is of another backbone, fusion, embedding or (ViT) image_size"
        ) from None
