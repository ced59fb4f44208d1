"""What wrong answers do to the number of animals: it is counted many times, by names drawn from the probabilities."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from finprint.export.sightings import ANSWERED
from finprint.matching.ranking import ANSWERS as RANKS
from finprint.store.tables import NEW
from finprint.survey.splits import chains, group

DRAWS = 1000


def doubt(
    sightings: pd.DataFrame,
    answers: pd.DataFrame,
    count: Callable[[pd.DataFrame], float],
    seed: int,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """A 95 % interval of a number of animals, by the calibrated probabilities of the answers that nobody confirmed.

    In each draw, every such photo shows one of its five names or, with the rest of the probability, somebody whom
    nothing else shows. Photos of one encounter, or of one proposed new individual, are drawn together: they succeed and
    fail together, so drawing each for itself would understate the doubt. The interval tells of wrong names alone; it
    does not tell how the number would differ had other animals come by.

    Args:
        sightings: of `sightings.COLUMNS`.
        answers: table `ANSWERS` of those whose status is answered.
        count: of sightings.
        seed: of the draws.
        draws: how many.

    Returns:
        Lower and upper bound; NaN without probabilities.
    """
    asked = sightings[sightings["status"] == ANSWERED]
    mine = answers[answers["query"].isin(asked["image"])]
    if len(mine) and mine["probability"].isna().any():
        return float("nan"), float("nan")
    lots = _together(asked, mine)
    names, sums = _choices(asked, mine, lots)
    drawn, individuals = sightings.copy(), sightings["individual"].astype(object).to_numpy(copy=True)
    places, rows = sightings.index.get_indexer(asked.index), np.arange(len(asked))
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chances = rng.random(len(asked))[lots]
        individuals[places] = names[rows, (sums <= chances[:, None]).sum(axis=1)]
        drawn["individual"] = individuals
        values.append(count(drawn))
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def _choices(asked: pd.DataFrame, answers: pd.DataFrame, lots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 6) whom each photo may show, a stranger last, and (N, 5) the sums of the probabilities of the first five.

    Args:
        asked: N sightings.
        answers: to them.
        lots: (N,) int, of `_together`.
    """
    told, chances = (
        answers.pivot(index="query", columns="rank", values=column).reindex(
            index=asked["image"], columns=range(1, RANKS + 1)
        )
        for column in ("identity", "probability")
    )
    names, called = told.astype(object).to_numpy(), asked["individual"].tolist()
    strangers = np.array(
        [
            name if first == NEW else f"? {lot} {name}"  # two animals of one encounter stay two
            for first, lot, name in zip(names[:, 0], lots, called, strict=True)
        ],
        object,
    )
    names = np.where(names == NEW, strangers[:, None], names)
    return np.column_stack([names, strangers]), chances.fillna(0.0).to_numpy(float).cumsum(axis=1)


def _together(asked: pd.DataFrame, answers: pd.DataFrame) -> np.ndarray:
    """(N,) int, equal for photos that are drawn together: a chain of encounters and proposed individuals joins them.

    A photo that is of no encounter is drawn with those of its name.

    Args:
        asked: N sightings.
        answers: to them.
    """
    new = answers.loc[(answers["rank"] == 1) & (answers["identity"] == NEW), "query"]
    alone = asked["encounter"].isna() | asked["image"].isin(new)
    told = (asked["encounter"], asked["individual"].where(alone))
    return group(len(asked), np.concatenate([chains(one) for one in told]))
