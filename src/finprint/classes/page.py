"""The page of a branch of classes: metrics, what is confused, labels to look at again."""

import base64
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from finprint.base.files import atomic, write_text
from finprint.classes.judging import METRICS, Judged
from finprint.paper.figure import png, svg
from finprint.paper.pages import template
from finprint.pictures.images import thumbnail
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST, VALIDATION

TITLES = {VALIDATION: "folds left out", TEST: "test share", "query": "photos to identify"}
NAMES = {
    "log_loss": "log loss",
    "top1": "top-1",
    "top5": "top-5",
    "balanced_accuracy": "balanced accuracy",
    "ece": "calibration error",
}
LISTED = 60  # labels to look at that are shown with a picture
WORST = 20  # classes in the table


@dataclass(frozen=True)
class Page:
    """What is shown.

    Attributes:
        of: what is told, identity or species.
        metrics: by role, with the ends of intervals.
        validation: the photos of the folds left out; None where there is none.
        confusing: table of labels to look at.
        figures: by name.
    """

    of: str
    metrics: dict[str, dict[str, float]]
    validation: Judged | None
    confusing: pd.DataFrame
    figures: dict[str, Figure]

    def write(self, path: Path, crops: Crops) -> None:
        """Write the page; it needs no other file and no network."""
        rows = [
            {
                "name": TITLES[role],
                "photos": int(values["photos"]),
                "unknown": int(values["unknown_class"]),
                "cells": [(values[m], values[f"{m}_low"], values[f"{m}_high"]) for m in METRICS],
            }
            for role, values in self.metrics.items()
        ]
        classes = [] if self.validation is None else self.validation.by_class().head(WORST).to_dict("records")
        shown = self.confusing.head(LISTED)
        pictures = [_picture(thumbnail(crops.pixels(int(row)), 120, 120), "jpeg") for row in crops.rows(shown["image"])]
        listed = [{**row, "picture": picture} for row, picture in zip(shown.to_dict("records"), pictures, strict=True)]
        figures = {name: _picture(png(figure), "png") for name, figure in self.figures.items()}
        page = template(__file__).render(
            of=self.of,
            headings=[NAMES[name] for name in METRICS],
            rows=rows,
            classes=classes,
            listed=listed,
            total=len(self.confusing),
            figures=figures,
        )
        write_text(path, page)

    def write_figures(self, folder: Path) -> None:
        """Write the figures as PNG and as SVG."""
        with atomic(folder) as draft:
            draft.mkdir()
            for name, figure in self.figures.items():
                (draft / f"{name}.png").write_bytes(png(figure))
                (draft / f"{name}.svg").write_bytes(svg(figure))


def _picture(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()
