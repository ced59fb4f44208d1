"""How good probabilities of classes are: metrics with intervals, what is confused with what, labels to look at."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.matching.metrics import calibration_error
from finprint.store.guesses import QUERY, Guesses
from finprint.store.tables import TEST, VALIDATION

SURE = 0.9  # probability from which on another answer contradicts the label
TORN = (0.5, 0.6)  # probabilities of the first answer at which the model cannot decide
METRICS = ("log_loss", "top1", "top5", "balanced_accuracy", "ece")


@dataclass(frozen=True)
class Judged:
    """Photos whose class is known, and what was guessed.

    Attributes:
        guesses: of N photos, each with a label that is a class.
        unknown: photos left out because their label is no class that was learned.
    """

    guesses: Guesses
    unknown: int = 0

    def __len__(self) -> int:
        return len(self.guesses.array)

    def worth(self) -> dict[str, np.ndarray]:
        """(N,) log loss, top-1 and top-5 of each photo."""
        array, codes = self.guesses.array.astype(float), self.guesses.codes()
        right = array[np.arange(len(codes)), codes]
        better = (array > right[:, None]).sum(axis=1)
        return {
            "log_loss": -np.log(np.maximum(right, 1e-15)),
            "top1": (array.argmax(axis=1) == codes).astype(float),
            "top5": (better < 5).astype(float),
        }

    def measure(self, weights: np.ndarray | None = None) -> dict[str, float]:
        """The metrics: log loss, top-1, top-5, balanced accuracy (the mean of the classes' top-1), and the expected
        calibration error of the first answer.

        Args:
            weights: (N,) how often each photo counts; None: once.
        """
        weight = np.ones(len(self)) if weights is None else weights
        worth, codes = self.worth(), self.guesses.codes()
        every = np.bincount(codes, weight)
        right = np.bincount(codes, weight * worth["top1"])
        metrics = {name: float(np.average(values, weights=weight)) for name, values in worth.items()}
        metrics["balanced_accuracy"] = float((right[every > 0] / every[every > 0]).mean())
        metrics["ece"] = calibration_error(self.guesses.array.max(axis=1), worth["top1"], weight)
        return metrics

    def metrics(self, draws: int, seed: int) -> dict[str, float]:
        """`measure`, with the ends of 95 % bootstrap intervals; whole groups are drawn.

        Chance in a sample only adds to a calibration error, so its samples lie too high. They are moved to have the
        measured value as their mean.
        """
        rng = np.random.default_rng(seed)
        _, group = np.unique(self.guesses.photos["group"], return_inverse=True)
        count = int(group.max()) + 1
        samples = []
        for _ in range(draws):
            weights = np.bincount(rng.integers(count, size=count), minlength=count)[group].astype(float)
            samples.append(self.measure(weights))
        values: dict[str, float] = {"photos": len(self), "unknown_class": self.unknown}
        for name, value in self.measure().items():
            drawn = np.array([sample[name] for sample in samples])
            if name == "ece":
                drawn = np.maximum(drawn - drawn.mean() + value, 0)
            low, high = np.quantile(drawn, [0.025, 0.975])
            values |= {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
        return values

    def by_class(self) -> pd.DataFrame:
        """(label, photos, top1, log_loss), a row for each class, the worst log loss first."""
        worth = self.worth()
        table = pd.DataFrame({"label": self.guesses.photos["label"], **worth})
        each = table.groupby("label").agg(photos=("top1", "size"), top1=("top1", "mean"), log_loss=("log_loss", "mean"))
        return each.reset_index().sort_values(["log_loss", "label"], ascending=[False, True], ignore_index=True)

    def confusion(self) -> np.ndarray:
        """(C, C) numbers of photos: rows are the labels, columns the first answers."""
        count = len(self.guesses.classes)
        pairs = self.guesses.codes() * count + self.guesses.array.argmax(axis=1)
        return np.bincount(pairs, minlength=count**2).reshape(count, count)


def judged(guesses: Guesses, truth: pd.DataFrame) -> dict[str, Judged]:
    """What can be judged, by role: validation, the test share, and the photos to identify whose truth is told.

    Args:
        guesses: of all photos.
        truth: (image, label) of photos to identify.
    """
    told = truth.set_index("image")["label"]
    asked = guesses.of(QUERY)
    known = asked.photos["image"].map(told).astype("string")
    asked = Guesses(asked.photos.assign(label=known), asked.array, asked.classes)
    roles = {VALIDATION: guesses.of(VALIDATION), TEST: guesses.of(TEST), QUERY: asked}
    kept = {}
    for role, one in roles.items():
        labelled = one.photos["label"].notna().to_numpy()
        good = labelled & (one.codes() >= 0)
        if good.any():
            kept[role] = Judged(one[good], int((labelled & ~good).sum()))
    return kept


def confused_pairs(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """(label, answer, photos) of the pairs of classes that are confused most, either way together, the more frequent
    way first."""
    off = confusion - np.diag(np.diag(confusion))
    both = np.triu(off + off.T)
    order = np.argsort(-both, axis=None, kind="stable")[:count]
    pairs = []
    for a, b in zip(*np.unravel_index(order, both.shape), strict=True):
        if both[a, b]:
            one, other = (int(a), int(b)) if off[a, b] >= off[b, a] else (int(b), int(a))
            pairs.append((one, other, int(both[a, b])))
    return pairs


def confusing(validation: Judged) -> pd.DataFrame:
    """Labels to look at again, the surest contradictions first: (image, label, answered, probability, why)."""
    guesses = validation.guesses
    best = guesses.array.argmax(axis=1)
    table = pd.DataFrame(
        {
            "image": guesses.photos["image"],
            "label": guesses.photos["label"],
            "answered": np.array(guesses.classes, object)[best],
            "probability": guesses.array.max(axis=1).astype(float),
        }
    )
    sure = (table["label"] != table["answered"]) & (table["probability"] > SURE)
    torn = table["probability"].between(*TORN)
    table["why"] = np.where(sure, "contradicted", "undecided")
    listed = table[sure | torn].sort_values(["why", "probability", "image"], ascending=[True, False, True])
    return listed.reset_index(drop=True)
