"""What the answers are worth: metrics with intervals, overall, by species and by what the gallery holds."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from finprint.answers.params import Search
from finprint.answers.search import search
from finprint.matching.catalogue import Catalogue
from finprint.matching.metrics import Outcomes, agreement, cmc, figures, intervals, outcomes, reliability
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION

# Bands of how many gallery photos the right individual has: from, name.
BANDS = ((0, "none (new)"), (1, "1"), (2, "2-3"), (4, "4-9"), (10, "10 and more"))
COLUMNS = ["split", "by", "group", "metric", "value", "low", "high", "queries"]


@dataclass(frozen=True)
class Judged:
    """Answers beside the truth, which is empty where it is not known.

    Attributes:
        answers: table `ANSWERS`.
        truth: right answers by image: a name of the gallery, or `new_individual`.
        animals: the animals' own names by image; a new animal without a name has its photo's.
    """

    answers: pd.DataFrame
    truth: pd.Series
    animals: pd.Series

    @cached_property
    def outcomes(self) -> Outcomes:
        """What became of each query of `truth`."""
        return outcomes(self.answers, self.truth, self.animals)

    def metrics(self) -> dict[str, float]:
        """The number of queries and `metrics.figures` of them; empty without truth."""
        return {"queries": len(self.truth)} | figures(self.outcomes) if len(self.truth) else {}

    def cmc(self) -> np.ndarray:
        """(5,) share of queries answered rightly by rank 1 to 5; empty without truth."""
        return cmc(self.outcomes.place) if len(self.truth) else np.zeros(0)

    def reliability(self) -> pd.DataFrame:
        """`metrics.reliability` of the first answers; empty without truth or probabilities."""
        found = self.outcomes
        told = np.isfinite(found.confidence)
        return reliability(found.confidence[told], found.place[told] == 0)


def judge_round(known: Catalogue, truth: pd.DataFrame, params: Search) -> dict[str, dict[str, float]]:
    """The metrics of one round alone, from its vectors, searched as the search stage does."""
    found = search(known, params)
    return both(judged_validation(known, found.validation), judged_test(known, found.test, truth))


def both(validation: Judged, test: Judged) -> dict[str, dict[str, float]]:
    """{"validation": metrics, "test": metrics}, without those that no truth is known for."""
    return {name: judged.metrics() for name, judged in ((VALIDATION, validation), (TEST, test)) if len(judged.truth)}


def judged_validation(known: Catalogue, answers: pd.DataFrame) -> Judged:
    """Answers to the validation photos, searched among the training photos."""
    identity = known.photos.set_index("image")["identity"].iloc[known.validation]
    return Judged(answers, known.true_names(known.validation, known.train), identity)


def judged_test(known: Catalogue, answers: pd.DataFrame, truth: pd.DataFrame) -> Judged:
    """Answers to the test photos, searched among all labelled photos; `truth` is the table `TRUTH`."""
    told = truth.set_index("image")["identity"]
    told = told[told.index.isin(answers["query"])].astype(object)
    in_gallery = set(known.photos["identity"].iloc[known.where(TRAIN, VALIDATION)])
    return Judged(
        answers,
        told.where(told.isin(in_gallery), NEW),
        told.where(told != NEW, pd.Series(told.index, told.index)),
    )


def breakdown(parts: dict[str, Judged], known: Catalogue, draws: int, seed: int) -> pd.DataFrame:
    """Metrics with 95 % intervals, overall, by species, and by the gallery's photos of the right individual.

    Args:
        parts: by name of the split, "validation" and "test"; one without truth gives no rows.
        known: photos, whose table tells species and, for each split's gallery, the counts.
        draws: bootstrap samples.
        seed: of the draws.

    Returns:
        Table of `COLUMNS`.
    """
    rows = []
    for split, judged in parts.items():
        if not len(judged.truth):
            continue
        for by, group, mask in _groups(split, judged.truth, known):
            found = judged.outcomes[mask]
            spread = intervals(found, draws, seed)
            for metric, value in figures(found).items():
                low, high = spread.get(metric, (np.nan, np.nan))  # which no sample showed
                rows.append((split, by, group, metric, value, low, high, len(found)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _groups(split: str, truth: pd.Series, known: Catalogue) -> list[tuple[str, str, np.ndarray]]:
    """(by, name, (Q,) mask) of the groups of queries that a breakdown shows."""
    gallery = known.train if split == VALIDATION else known.where(TRAIN, VALIDATION)
    photos = known.photos["identity"].iloc[gallery].value_counts()
    held = photos.reindex(truth).fillna(0).to_numpy()
    edges = np.array([start for start, _ in BANDS])
    bands = np.array([name for _, name in BANDS])[np.searchsorted(edges, held, side="right") - 1]
    species = known.photos.set_index("image")["species"].reindex(truth.index).fillna("").to_numpy(str)
    groups = [("all", "all", np.ones(len(held), bool))]
    groups += [("species", name.replace("_", " "), species == name) for name in np.unique(species) if name]
    return groups + [("gallery photos", name, bands == name) for _, name in BANDS if (bands == name).any()]


def label_precision(labels: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    """{"pseudo_labels": how many of the table `LABELS` the table `TRUTH` tells about, and the share that is right};
    empty where it tells about none."""
    first = labels.drop_duplicates("image")  # a photo's likeliest name
    told = first.merge(truth, on="image", suffixes=("", "_true"))
    if not len(told):
        return {}
    right = (told["identity"] == told["identity_true"]).mean()
    return {"pseudo_labels": {"told": len(told), "precision": float(right)}}


def grouping_agreement(proposed: pd.DataFrame, judged: Judged) -> dict[str, dict[str, float]]:
    """{"unknowns": how well proposed new individuals agree with the true ones}, among the photos that really
    show new animals; empty where there are none."""
    really = proposed[proposed["image"].isin(judged.truth.index[judged.truth == NEW])]
    if len(really) < 2:
        return {}
    animals = judged.animals.loc[really["image"]].to_numpy(str)
    return {"unknowns": agreement(animals, really["proposed"].to_numpy(str))}
