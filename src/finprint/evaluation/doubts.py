"""Labelled photos that the model, which has not learned from them, contradicts or cannot decide: to be looked at."""

import numpy as np
import pandas as pd

from finprint.answers.params import Search
from finprint.answers.search import search
from finprint.evaluation.judging import Judged, judged_validation
from finprint.matching.catalogue import catalogue
from finprint.store.tables import TRAIN, VALIDATION
from finprint.store.vectors import Vectors

SURE = 0.9  # probability from which on another answer contradicts the label
TORN = (0.5, 0.6)  # probabilities of the first answer at which the model cannot decide
COLUMNS = ["image", "identity", "answered", "probability", "match", "why"]


def out_of_fold(photos: pd.DataFrame, vectors: Vectors, fold: int, params: Search) -> Judged:
    """What a model says of the training photos of the fold that it did not learn from, searched in the others.

    Args:
        photos: table `PHOTOS`.
        vectors: by the model that left `fold` out.
    """
    shown = photos[photos["split"] == TRAIN].reset_index(drop=True)
    shown["split"] = shown["split"].mask(shown["fold"] == fold, VALIDATION)
    known = catalogue(shown, vectors)
    return judged_validation(known, search(known, params).validation)


def confusing(opinions: list[Judged]) -> pd.DataFrame:
    """Photos to be looked at again, the surest contradictions first.

    Args:
        opinions: out of fold: neither the model nor the rules of an answer have seen its animal's labels. Those on the
            validation photos, and `out_of_fold` those on training photos.

    Returns:
        A table of `COLUMNS`: the photo, whom its label names, whom the model names with what probability and by which
        photo, and why it stands here: contradicted or undecided.
    """
    first = pd.concat([_first_answers(judged) for judged in opinions])
    sure = ~first["right"] & (first["probability"] > SURE)
    torn = first["probability"].between(*TORN)
    first["why"] = np.where(sure, "contradicted", "undecided")
    listed = first[sure | torn].sort_values(["why", "probability", "query"], ascending=[True, False, True])
    listed = listed.rename(columns={"identity": "answered"}).rename(columns={"query": "image", "labelled": "identity"})
    return listed[COLUMNS].reset_index(drop=True)


def _first_answers(judged: Judged) -> pd.DataFrame:
    first = judged.answers[(judged.answers["rank"] == 1) & judged.answers["query"].isin(judged.truth.index)]
    return first.assign(
        right=first["identity"] == first["query"].map(judged.truth), labelled=first["query"].map(judged.animals)
    )
