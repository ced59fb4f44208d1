"""The plots of the branch of classes: the confusion matrix, and pictures of what is confused."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from finprint.classes.judging import Judged
from finprint.paper.figure import COLOURS, INK, titled
from finprint.pictures.shards import Crops

NAMED = 40  # classes up to which their names fit beside the matrix
SHOWN = 3  # pictures of a kind in a row


def confusion_plot(confusion: np.ndarray, classes: Sequence[str]) -> Figure:
    """The share of each label's photos (rows) by first answer (columns)."""
    count = len(classes)
    side = 4.6 + 0.16 * min(count, NAMED)
    figure = Figure(figsize=(side, side), dpi=110, layout="constrained")
    axis = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, ax=axis, shrink=0.6, label="share of the label's photos")
    axis.set(xlabel="answered", ylabel="label")
    titled(axis, f"{int(confusion.sum()):,} photos of {count} classes")
    if count <= NAMED:
        axis.set_xticks(range(count), list(classes), rotation=90, fontsize=7)
        axis.set_yticks(range(count), list(classes), fontsize=7)
    axis.tick_params(colors=INK)
    return figure


def pairs_plot(judged: Judged, pairs: Sequence[tuple[int, int, int]], crops: Crops) -> Figure:
    """A row for each pair: photos of the one class that were taken for the other, then photos of both that were
    answered rightly.

    Args:
        judged: whose photos are shown.
        pairs: (label, answer, photos either way), at least one.
        crops: of these photos.
    """
    guesses = judged.guesses
    labels, best, sure = guesses.codes(), guesses.array.argmax(axis=1), guesses.array.max(axis=1)
    figure = Figure(figsize=(1.25 * 3 * SHOWN, 1.7 * len(pairs)), dpi=110)
    for row, (one, other, _) in zip(figure.subfigures(len(pairs), 1, squeeze=False)[:, 0], pairs, strict=True):
        names = guesses.classes[one], guesses.classes[other]
        count = int(((labels == one) & (best == other)).sum())
        confused = f"{names[0]}, {count} taken for\n{names[1]}"
        kinds = ((one, other, confused, COLOURS[1]), (one, one, names[0], INK), (other, other, names[1], INK))
        for panel, (label, answer, caption, colour) in zip(row.subfigures(1, 3), kinds, strict=True):
            rows = np.flatnonzero((labels == label) & (best == answer))
            rows = rows[np.argsort(-sure[rows], kind="stable")][:SHOWN]
            panel.text(0.02, 0.98, caption, fontsize=6, color=colour, va="top")
            panel.subplots_adjust(left=0.02, right=0.98, top=0.8, bottom=0.02, wspace=0.05)
            for place, axis in enumerate(panel.subplots(1, SHOWN)):
                axis.set_axis_off()
                if place < len(rows):
                    image = guesses.photos["image"].iloc[[rows[place]]]
                    axis.imshow(crops.pixels(int(crops.rows(image)[0])))
    return figure
