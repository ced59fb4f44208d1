"""One answer for all photos of an encounter."""

from typing import Any

import numpy as np
import pandas as pd

from finprint.matching.calibration import ALIKE
from finprint.matching.ranking import ANSWERS
from finprint.store.decisions import FURTHER
from finprint.store.tables import NEW

COLUMNS = ["encounter", "photos", *(f"{kind}_{n}" for n in range(1, ANSWERS + 1) for kind in ("name", "probability"))]


def joint_answers(
    answers: pd.DataFrame, encounters: pd.Series, individuals: int, together: bool = False
) -> pd.DataFrame:
    """The joint answer of each encounter, as if all its photos showed one animal.

    A logarithmic opinion pool (Genest and Zidek, Combining probability distributions, Statistical Science 1986):
    P(i) is proportional to the product of P_k(i) ** w over the n photos k, for each individual i and for a new animal.
    What the five answers of a photo leave of 1 is shared evenly among the others. Photos of one encounter look alike,
    so they tell less than n independent ones: the exponents add up to n / (1 + (n - 1) a), and w is that over n,
    where a = 0.5 is the correlation that the calibration assumes, too. Photos that were judged together have told what
    they know already, so there a = 1.

    The assumption is that the photos show one animal. An encounter with a photo that shows several animals has no joint
    answer. Without probabilities the mean scores order the names.

    Args:
        answers: table `ANSWERS`.
        encounters: (Q,) of the queries, by image; photos without one are left out.
        individuals: number in the catalogue.
        together: were the photos of an encounter judged together (`search.encounter`)?

    Returns:
        A row an encounter: its name, its number of photos, five names with their joint probabilities; no names where a
        photo shows several animals.
    """
    rows: list[list[Any]] = []
    table = answers.assign(encounter=answers["query"].map(encounters)).dropna(subset="encounter")
    for encounter, own in table.groupby("encounter", sort=False):
        several = own["query"].str.contains(FURTHER)
        photos = own.loc[~several, "query"].nunique()
        if several.any():
            rows.append([encounter, photos, *[None] * (2 * ANSWERS)])
            continue
        alike = 1.0 if together else ALIKE
        joint = _pooled(own, photos, individuals, alike) if own["probability"].notna().all() else _means(own, photos)
        best = joint.sort_index().sort_values(ascending=False, kind="stable").head(ANSWERS)
        told = best if own["probability"].notna().all() else pd.Series(np.nan, best.index)
        cells = [cell for name, chance in told.items() for cell in (name, chance)]
        rows.append([encounter, photos, *cells, *[None] * (2 * ANSWERS - len(cells))])
    return pd.DataFrame(rows, columns=COLUMNS)


def _pooled(own: pd.DataFrame, photos: int, individuals: int, alike: float) -> pd.Series:
    """The joint probability of each name that any of the photos is answered with; `alike` is the correlation a."""
    chances = own.pivot(index="query", columns="identity", values="probability")
    if NEW not in chances:
        chances[NEW] = np.nan
    left: pd.Series = (1 - chances.sum(axis=1)).clip(lower=0) / np.maximum(
        individuals + 1 - chances.notna().sum(axis=1), 1
    )
    filled = chances.apply(lambda column: column.fillna(left)).clip(lower=1e-12)
    weight = 1 / (1 + (photos - 1) * alike)
    logs = weight * np.log(filled).sum()
    unnamed = weight * np.log(left.clip(lower=1e-12)).sum()  # of an individual that no photo is answered with
    top = max(logs.max(), unnamed)
    total = np.exp(logs - top).sum() + max(individuals + 1 - len(logs), 0) * np.exp(unnamed - top)
    return np.exp(logs - top) / total


def _means(own: pd.DataFrame, photos: int) -> pd.Series:
    """Mean score of each name; a photo that is not answered with it counts as its least answer."""
    scores = own.pivot(index="query", columns="identity", values="score")
    return scores.apply(lambda column: column.fillna(scores.min(axis=1))).mean()
