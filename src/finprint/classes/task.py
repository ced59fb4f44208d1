"""The task of telling classes: its lessons, its network, how it is validated."""

import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from finprint.base.errors import UserError
from finprint.classes.classifier import Classifier
from finprint.classes.extras import extras_of
from finprint.classes.heads import ClassHeads, SoftmaxHead, log_loss
from finprint.classes.labels import Labelled
from finprint.classes.params import Classify, Guess
from finprint.classes.probing import Probe, fitted_probe
from finprint.learning.inputs import Inputs
from finprint.learning.lessons import Lessons, Targets
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.learning.task import Task
from finprint.pictures.shards import Crops
from finprint.store.guesses import QUERY, Guesses, read_guesses

ONE_VIEW = Guess(batch=64, views="plain", count=1, rotate=15, members={})  # how an epoch is validated


@dataclass(frozen=True)
class Classes(Task):
    """Telling classes by a softmax.

    Attributes:
        lessons: what is learned from.
        train: the section `classify`.
        pixels: gives the crop of a row.
        rows: (N,) rows of the crops that validate, and `codes`, (N,), the numbers of their classes, -1 for one that
            the model does not know.
        extras: (M, E) of all M crops.
        soft: so many of the last lessons are photos to identify, with probabilities for labels.
        probe: fits the head that the network begins with; None: it begins at random.
        begins: the network that each training begins with, if it is known already, because the probe takes minutes.
    """

    lessons: Lessons
    train: Classify
    pixels: Callable[[int], np.ndarray]
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    extras: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    soft: int = 0
    probe: Callable[[Recipe], Probe] | None = None
    begins: Network | None = None

    @classmethod
    def of(cls, labels: Labelled, crops: Crops, train: Classify, fold: int) -> "Classes":
        """The task of the model without `fold`."""
        learned, judged = labels.learns(fold), labels.left_out(fold)
        rows, targets, soft = crops.rows(learned["image"]), Targets.sure(labels.codes(learned["label"])), 0
        if train.soft:
            guessed = soft_labels(Path(train.soft), labels.classes, crops)
            soft = len(guessed.array)
            rows = np.concatenate([rows, crops.rows(guessed.photos["image"])])
            targets = with_soft(targets, guessed.array)
        extras = extras_of(crops, train.extras)
        lessons = Lessons(rows, replace(targets, extras=torch.from_numpy(extras[rows])), labels.classes)
        judge = crops.rows(judged["image"]), labels.codes(judged["label"])
        probe = partial(fitted_probe, labels, crops, fold=fold) if train.head == "fitted" else None
        return cls(lessons, train, crops.pixels, *judge, extras, soft, probe)

    def new_network(self, recipe: Recipe) -> Network:
        """From pretrained weights.

        A fitted head tells from the first step on what a frozen backbone can tell. The gradients of a random one would
        distort the backbone before they help (Kumar et al., Fine-tuning can distort pretrained features, ICLR 2022).

        Raises:
            UserError: as `new_embedder`.
        """
        if self.begins:
            return deepcopy(self.begins)
        if self.probe:
            probe = self.probe(recipe)
            embedder, head = probe.embedder, probe.head
        else:
            embedder = new_embedder(recipe)
            head = SoftmaxHead(embedder.features, len(self.lessons.classes), self.extras.shape[1])
            head.standardise(self.extras[self.lessons.rows])
        return Network(embedder, ClassHeads(head, self.train.smoothing), self.train.augment.mixed)

    def order(self, rng: np.random.Generator, batch: int) -> np.ndarray:
        """Soft labels have the share `soft_share` of each batch; an epoch shows each sure label once."""
        if not self.soft:
            return super().order(rng, batch)
        sure = len(self.lessons) - self.soft
        guessed = min(max(1, round(self.train.soft_share * batch)), batch - 1)
        told = min(batch - guessed, sure)
        steps = sure // told
        first = rng.permutation(sure)[: steps * told].reshape(steps, told)
        rounds = -(-steps * guessed // self.soft)
        again = np.concatenate([rng.permutation(self.soft) for _ in range(rounds)])[: steps * guessed]
        return np.hstack([first, sure + again.reshape(steps, guessed)])

    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        """Log loss and top-1 of plain views."""
        if not len(self.rows):
            return {}
        classifier = Classifier(network.embedder, network.head, self.lessons.classes)
        chances = classifier.probabilities(self.pixels, self.rows, self.extras[self.rows], ONE_VIEW, quiet=True)
        return scores(chances, self.codes)

    def at_step(self, network: Network, step: int, steps: int) -> None:
        """The neck keeps what the head was fitted to, if the norms are held."""
        if self.probe and self.train.finetune.hold_norms:
            network.embedder.neck.eval()

    def merit(self, row: Mapping[str, float]) -> float:
        """The less log loss, the better."""
        return -row.get("log_loss", math.inf)


def soft_labels(folder: Path, classes: list[str], crops: Crops) -> Guesses:
    """The probabilities of photos to identify that an earlier run gave.

    Raises:
        UserError: there are none, or they are of other classes.
    """
    guesses = read_guesses(folder).of(QUERY)
    if guesses.classes != classes:
        raise UserError(f"classify.soft: {folder} has probabilities of other classes than the photos show")
    guesses = guesses[guesses.photos["image"].isin(crops.index["image"]).to_numpy()]
    if not len(guesses.array):
        raise UserError(f"classify.soft: {folder} has no photo to identify that is among the crops: set it to ''")
    return guesses


def with_soft(sure: Targets, array: np.ndarray) -> Targets:
    """Sure labels (N, 1), and behind them probabilities (M, C) as soft labels of all classes: (N + M, C)."""
    count = array.shape[1]
    weights = torch.nn.functional.one_hot(sure.labels[:, 0], count).float()
    weights = torch.cat([weights, torch.from_numpy(array.astype(np.float32))])
    return Targets(torch.arange(count).repeat(len(weights), 1), weights)


def scores(chances: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Log loss and top-1 of probabilities (N, C)."""
    return {"log_loss": log_loss(chances, codes), "top1": float((chances.argmax(axis=1) == codes).mean())}
