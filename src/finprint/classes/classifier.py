"""A trained classifier: its folder, and the probabilities that it gives to crops."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.progress import bar
from finprint.classes.heads import SoftmaxHead
from finprint.classes.params import Guess
from finprint.classes.poses import Look, looks
from finprint.learning.frozen import Features
from finprint.model.embedder import Embedder, load_model
from finprint.model.embedding import fused
from finprint.model.loading import Remembered, batches, in_order, to_device


@dataclass(frozen=True)
class Classifier:
    """An embedder with the head that tells classes.

    Attributes:
        embedder: crops to vectors.
        head: vectors and extras to logits.
        classes: the C names.
    """

    embedder: Embedder
    head: SoftmaxHead
    classes: list[str]

    @torch.inference_mode()
    def probabilities(
        self,
        pixels: Callable[[int], np.ndarray],
        rows: np.ndarray,
        extras: np.ndarray,
        params: Guess,
        quiet: bool = False,
    ) -> np.ndarray:
        """(N, C) float32, rows that sum to 1: the mean over the views.

        Args:
            pixels: gives the crop of a row.
            rows: (N,) row numbers.
            extras: (N, E) of these crops.
            params: the section `guess`.
            quiet: show no progress.
        """
        device = best_device()
        network = fused(self.embedder.to(device).to(memory_format=torch.channels_last).eval())
        head, config, poses = self.head.to(device).eval(), self.embedder.config, looks(params)
        total = np.zeros((len(rows), len(self.classes)), np.float32)
        crop = Remembered(pixels) if len(poses) > 1 else pixels  # each is decoded for its first view alone
        orders = in_order(len(rows), params.batch)
        with bar("guessing", len(rows) * len(poses), "view", quiet=quiet) as progress:
            for look in poses:

                def view(item: int, look: Look = look) -> np.ndarray:
                    return look(crop(int(rows[item])), config.image_size, config.padded)

                stream = batches(view, orders)
                for items, views in zip(orders, stream, strict=True):
                    with torch.autocast(device.type, torch.bfloat16):
                        vectors = network(to_device(views, device))
                    beside = torch.from_numpy(extras[items]).to(device)
                    total[items] += F.softmax(head(vectors.float(), beside).float(), dim=1).cpu().numpy()
                    progress.update(len(items))
        return total / len(poses)

    @torch.inference_mode()
    def from_features(self, features: Features, rows: np.ndarray, extras: np.ndarray) -> np.ndarray:
        """(N, C) float32: the mean over plain view and mirror image, from what a frozen backbone made of them."""
        values = torch.from_numpy(features.both(rows))  # (N, 2, L)
        vectors = self.embedder.neck.cpu().eval()(values.flatten(0, 1))
        beside = torch.from_numpy(extras).repeat_interleave(2, dim=0)
        chances = F.softmax(self.head.cpu().eval()(vectors, beside), dim=1)
        return chances.view(len(rows), 2, -1).mean(dim=1).numpy()


def load_classifier(folder: Path) -> Classifier:
    """Read a model folder of the stage `classify`.

    Raises:
        UserError: a file is missing, or the model tells individuals.
    """
    embedder, head, classes = load_model(folder)
    if "linear.weight" not in head:
        raise UserError(f"{folder} does not tell classes: it is a model of the stage train; classify makes the others")
    classifier = Classifier(embedder, SoftmaxHead.from_state(head), classes)
    if classifier.head.linear.out_features != len(classes):
        raise UserError(
            f"{folder}: its head tells {classifier.head.linear.out_features} classes, but {len(classes)} are named"
        )
    return classifier
