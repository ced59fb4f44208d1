"""What the answers are worth: metrics with intervals, overall, by species and by what the gallery holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from finprint.matching.catalogue import Catalogue
from finprint.matching.metrics import Outcomes, agreement, cmc, intervals, measure, outcomes, reliability
from finprint.store.tables import NEW, TEST, VALIDATION

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
        """The number of queries and what `measure` gives of them; empty without truth."""
        return {"queries": len(self.truth)} | measure(self.outcomes) if len(self.truth) else {}

    def cmc(self) -> np.ndarray:
        """(5,) share of queries answered rightly by rank 1 to 5; empty without truth."""
        return cmc(self.outcomes.place) if len(self.truth) else np.zeros(0)

    def reliability(self) -> pd.DataFrame:
        """`metrics.reliability` of the first answers; empty without truth or probabilities."""
        queries = self.outcomes
        told = np.isfinite(queries.confidence)
        return reliability(queries.confidence[told], queries.place[told] == 0)


def both(validation: Judged, test: Judged) -> dict[str, dict[str, float]]:
    """{"validation": metrics, "test": metrics}, without those that no truth is known for."""
    return {name: judged.metrics() for name, judged in ((VALIDATION, validation), (TEST, test)) if len(judged.truth)}


def judged_validation(catalogue: Catalogue, answers: pd.DataFrame) -> Judged:
    """Answers to the validation photos, searched among the training photos."""
    identity = catalogue.photos.set_index("image")["identity"].iloc[catalogue.validation]
    return Judged(answers, catalogue.true_names(catalogue.validation, catalogue.train), identity)


def judged_test(catalogue: Catalogue, answers: pd.DataFrame, truth: pd.DataFrame) -> Judged:
    """Answers to the test photos, searched among all labelled photos; `truth` is the table `TRUTH`."""
    told = truth.set_index("image")["identity"]
    told = told[told.index.isin(answers["query"])].astype(object)
    in_gallery = set(catalogue.photos["identity"].iloc[catalogue.labelled])
    return Judged(
        answers,
        told.where(told.isin(in_gallery), NEW),
        told.where(told != NEW, pd.Series(told.index, told.index)),
    )


def breakdown(splits: Mapping[str, Judged], catalogue: Catalogue, draws: int, seed: int) -> pd.DataFrame:
    """Metrics with 95 % intervals, overall, by species, by viewpoint, and by gallery photos of the right individual.

    Args:
        splits: by name, "validation" and "test"; one without truth gives no rows.
        catalogue: its table of photos tells species and viewpoint and, for each split's gallery, the counts.
        draws: bootstrap samples.
        seed: of the draws.

    Returns:
        Table of `COLUMNS`; an interval is missing where no sample showed the metric.
    """
    rows = []
    for split, judged in splits.items():
        if not len(judged.truth):
            continue
        for by, group, mask in _groups(split, judged.truth, catalogue):
            queries = judged.outcomes[mask]
            spread = intervals(queries, draws, seed)
            for metric, value in measure(queries).items():
                low, high = spread.get(metric, (np.nan, np.nan))
                rows.append((split, by, group, metric, value, low, high, len(queries)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _groups(split: str, truth: pd.Series, catalogue: Catalogue) -> list[tuple[str, str, np.ndarray]]:
    """(by, name, (Q,) mask) of the groups of queries that a breakdown shows."""
    gallery = catalogue.train if split == VALIDATION else catalogue.labelled
    photos = catalogue.photos["identity"].iloc[gallery].value_counts()
    held = photos.reindex(truth).fillna(0).to_numpy()
    edges = np.array([start for start, _ in BANDS])
    bands = np.array([name for _, name in BANDS])[np.searchsorted(edges, held, side="right") - 1]
    groups = [("all", "all", np.ones(len(held), bool))]
    for by in ("species", "viewpoint"):
        told = catalogue.photos.set_index("image")[by].reindex(truth.index).fillna("").to_numpy(str)
        groups += [(by, name.replace("_", " "), told == name) for name in np.unique(told) if name]
    return groups + [("gallery photos", name, bands == name) for _, name in BANDS if (bands == name).any()]


def label_precision(labels: pd.DataFrame, truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    """How right the pseudo-labels are.

    Args:
        labels: table `LABELS`.
        truth: table `TRUTH`.

    Returns:
        {"pseudo_labels": the number of labelled photos whose truth is told, and the share that is named rightly};
        empty where the truth of none is told.
    """
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
