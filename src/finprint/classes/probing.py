"""A probe: a head that is fitted to what a backbone makes of the crops before it learns anything of them."""

from dataclasses import dataclass

import numpy as np
import torch

from finprint.classes.extras import extras_of
from finprint.classes.fitting import Fitted, fit_head
from finprint.classes.heads import SoftmaxHead
from finprint.classes.labels import Labelled
from finprint.classes.linear import Examples
from finprint.classes.params import Classify
from finprint.learning.finetuning import is_frozen
from finprint.learning.frozen import Features
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.embedder import Embedder
from finprint.pictures.shards import Crops


@dataclass(frozen=True)
class Probe:
    """Backbone and fitted head.

    Attributes:
        embedder: its neck standardises the features of the photos that the head has learned from.
        head: fitted to its vectors, and to the extras.
        features: what the backbone makes of all crops.
        extras: (N, E) of all crops.
        fitted: how the head was fitted.
    """

    embedder: Embedder
    head: SoftmaxHead
    features: Features
    extras: np.ndarray
    fitted: Fitted


def fitted_probe(labels: Labelled, crops: Crops, recipe: Recipe, fold: int) -> Probe:
    """A head fitted to features of plain views and mirror images, and to the extras.

    Args:
        labels: which photos show what.
        crops: of these photos.
        recipe: which backbone and fusion, with which weights; its section is `classify`.
        fold: that the head does not learn from.
    """
    train = recipe.train
    assert isinstance(train, Classify)
    embedder = new_embedder(recipe)
    features, extras = Features(embedder, crops), extras_of(crops, train.extras)
    embedder.cpu().eval()
    learned = labels.learns(fold)
    rows, codes = crops.rows(learned["image"]), labels.codes(learned["label"])
    values = features.both(rows)  # (N, 2, L)
    norm = embedder.neck[0].state_dict()  # of the same tensors
    norm["running_mean"].copy_(torch.from_numpy(values.mean(axis=(0, 1))))
    norm["running_var"].copy_(torch.from_numpy(values.var(axis=(0, 1))))
    models = [model for model in train.fitted if model != "hidden" or is_frozen(train)]
    head = SoftmaxHead(embedder.features, len(labels.classes), extras.shape[1])
    head.standardise(extras[rows])
    examples = Examples(
        _standardised(embedder.neck, head, values, extras[rows]),
        codes,
        learned["group"].to_numpy(),
        len(labels.classes),
        getattr(embedder.fusion, "lengths", ()) if train.stages == "fit" else (),
    )
    fitted = fit_head(examples, models)
    fitted.fill(head)
    return Probe(embedder, head, features, extras, fitted)


@torch.inference_mode()
def _standardised(neck: torch.nn.Module, head: SoftmaxHead, values: np.ndarray, extras: np.ndarray) -> np.ndarray:
    """(N, V, L + E) what the layers get of features (N, V, L) and extras (N, E)."""
    views = values.shape[1]
    vectors = neck.eval()(torch.from_numpy(values).flatten(0, 1))
    beside = head.beside(torch.from_numpy(extras))
    both = torch.cat([vectors, beside.repeat_interleave(views, dim=0)], dim=1)
    return both.view(len(values), views, -1).numpy()
