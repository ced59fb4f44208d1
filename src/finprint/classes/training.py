"""One model of classes: trained by the loop, or a head fitted to what a frozen backbone makes of the crops."""

from pathlib import Path

import numpy as np
import torch

from finprint.base.checkpoint import Checkpoint
from finprint.base.unchanged import depend_on
from finprint.classes.classifier import Classifier
from finprint.classes.extras import extras_of
from finprint.classes.heads import ClassHeads, SoftmaxHead
from finprint.classes.labels import Labelled
from finprint.classes.linear import Examples, fit_head
from finprint.classes.params import Classify
from finprint.classes.task import Classes, scores
from finprint.learning.finetuning import is_frozen
from finprint.learning.frozen import Features
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import Trained, new_embedder, train_round
from finprint.pictures.shards import Crops

# The rooms that a model depends on, besides its params and inputs
CODE = ("base", "classes", "engine", "learning", "model", "pictures", "store")


def class_checkpoint(of: str, fold: int, recipe: Recipe, photos: str) -> Checkpoint | None:
    """Where the model of a fold goes on after it was killed; None for a head on frozen features, which needs none.

    Args:
        of: what is told, and `fold`, which is left out.
        recipe: how it trains.
        photos: `Labelled.fingerprint`.
    """
    soft = Path(getattr(recipe.train, "soft", ""))
    files = [*recipe.files(), *([soft] if soft.name and soft.exists() else [])]
    for file in files:
        depend_on(file)
    if is_frozen(recipe.train):
        return None
    return Checkpoint(f"classify_{of}{fold}", recipe.settings() | {"photos": photos}, files, CODE)


def train_model(labels: Labelled, crops: Crops, recipe: Recipe, fold: int, checkpoint: Checkpoint | None) -> Trained:
    """Train the model that leaves a fold out.

    Args:
        labels: which photos show what.
        crops: of these photos.
        recipe: how; its section is `classify`.
        fold: that validates.
        checkpoint: where a killed run goes on from; None for a head on frozen features.
    """
    train = recipe.train
    assert isinstance(train, Classify)
    print(f"{len(labels.learns(fold))} photos of {len(labels.classes)} classes", flush=True)
    if is_frozen(train) or checkpoint is None:
        return train_head(labels, crops, recipe, fold)
    return train_round(Classes.of(labels, crops, train, fold), crops, recipe, checkpoint)


def train_head(labels: Labelled, crops: Crops, recipe: Recipe, fold: int) -> Trained:
    """A head fitted to frozen features of plain views and mirror images, and to the extras.

    Args:
        labels, crops, recipe, fold: as for `train_model`.
    """
    train = recipe.train
    assert isinstance(train, Classify)
    embedder = new_embedder(recipe)
    features, extras = Features(embedder, crops), extras_of(crops, train.extras)
    embedder.cpu().eval()
    learned, judged = labels.learns(fold), labels.left_out(fold)
    rows, codes = crops.rows(learned["image"]), labels.codes(learned["label"])
    values = features.both(rows)  # (N, 2, L)
    norm = embedder.neck[0].state_dict()  # of the same tensors
    norm["running_mean"].copy_(torch.from_numpy(values.mean(axis=(0, 1))))
    norm["running_var"].copy_(torch.from_numpy(values.var(axis=(0, 1))))
    head = SoftmaxHead(embedder.features, len(labels.classes), extras.shape[1])
    head.mean.copy_(torch.from_numpy(extras[rows].mean(axis=0)))
    head.std.copy_(torch.from_numpy(extras[rows].std(axis=0)).clamp(min=1e-6))
    examples = Examples(
        _standardised(embedder.neck, head, values, extras[rows]),
        codes,
        learned["group"].to_numpy(),
        len(labels.classes),
        getattr(embedder.fusion, "lengths", ()) if train.stages == "fit" else (),
    )
    fitted = fit_head(examples)
    with torch.no_grad():
        head.linear.weight.copy_(fitted.weight)
        head.linear.bias.copy_(fitted.bias)
    there = crops.rows(judged["image"])
    chances = Classifier(embedder, head, labels.classes).from_features(features, there, extras[there])
    row = {"epoch": 1, **scores(chances, labels.codes(judged["label"]))}
    chosen = {"penalty": fitted.penalty, "stages": fitted.stages}
    print(
        f"penalty {fitted.penalty:g}, stages {fitted.stages}, log loss {row['log_loss']:.3f}, top-1 {row['top1']:.3f}",
        flush=True,
    )
    return Trained(Network(embedder, ClassHeads(head, train.smoothing)), labels.classes, [row], chosen)


@torch.inference_mode()
def _standardised(neck: torch.nn.Module, head: SoftmaxHead, values: np.ndarray, extras: np.ndarray) -> np.ndarray:
    """(N, V, L + E) what the linear layer gets of features (N, V, L) and extras (N, E)."""
    views = values.shape[1]
    vectors = neck.eval()(torch.from_numpy(values).flatten(0, 1))
    beside = (torch.from_numpy(extras) - head.mean) / head.std
    both = torch.cat([vectors, beside.repeat_interleave(views, dim=0)], dim=1)
    return both.view(len(values), views, -1).numpy()
