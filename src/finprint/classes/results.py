"""What the stage judge finds out and writes."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from finprint.classes.judging import Judged, confused_pairs, confusing, judged
from finprint.classes.page import Page
from finprint.classes.params import Judge
from finprint.classes.plots import confusion_plot, pairs_plot
from finprint.pictures.shards import Crops
from finprint.store.guesses import Guesses
from finprint.store.tables import TEST, VALIDATION


@dataclass(frozen=True)
class Results:
    """What was judged.

    Attributes:
        roles: by role.
        metrics: of each.
        page: for people.
    """

    roles: Mapping[str, Judged]
    metrics: dict[str, dict[str, float]]
    page: Page


def told(photos: pd.DataFrame, truth: pd.DataFrame, of: str) -> pd.DataFrame:
    """(image, label) of the photos to identify whose class somebody knows: by the truth their identity, by the table of
    photos their species."""
    if of == "identity":
        return truth.rename(columns={"identity": "label"})
    test = photos[(photos["split"] == TEST) & photos["species"].notna()]
    return test[["image", "species"]].rename(columns={"species": "label"})


def judge(of: str, guesses: Guesses, truth: pd.DataFrame, crops: Crops, params: Judge, seed: int) -> Results:
    """Judge probabilities, and make the page.

    Args:
        of: what is told.
        guesses: of all photos.
        truth: as `told` gives it.
        crops: of these photos.
        params: the section.
        seed: of the intervals.
    """
    roles = judged(guesses, truth)
    metrics = {role: one.metrics(params.bootstrap, seed) for role, one in roles.items()}
    validation = roles.get(VALIDATION)
    listed, figures = pd.DataFrame(columns=["image", "label", "answered", "probability", "why"]), {}
    if validation is not None:
        listed, confusion = confusing(validation), validation.confusion()
        figures["confusion"] = confusion_plot(confusion, guesses.classes)
        if pairs := confused_pairs(confusion, params.pairs):
            figures["pairs"] = pairs_plot(validation, pairs, crops)
    return Results(roles, metrics, Page(of, metrics, validation, listed, figures))
