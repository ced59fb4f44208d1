"""A finished run: the answers that the search stage wrote, beside the truth."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finprint.answers.results import FOLDS, ROUND1
from finprint.answers.rules import Rules
from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.evaluation.doubts import confusing
from finprint.evaluation.judging import (
    Judged,
    both,
    breakdown,
    grouping_agreement,
    judged_test,
    judged_validation,
    label_precision,
)
from finprint.evaluation.params import Evaluate
from finprint.keypoints.tables import read_points
from finprint.matching.catalogue import Catalogue, build_catalogue, fold_as_validation
from finprint.store.tables import LABELS, PHOTOS, REJECTS, TEST, TRUTH, VALIDATION, read_table
from finprint.store.vectors import without_vectors

# What is read of the folder where the stages put their data
READ = ("photos.parquet", "truth.parquet", "rejects.csv", "crops", "pseudo_labels.parquet", "match", "search")


@dataclass(frozen=True)
class Run:
    """A run's answers, and what is true.

    Attributes:
        catalogue: the photos that were searched, without vectors.
        rules: by which the photos to identify were answered.
        splits: the answers of both rounds to the validation and the test photos, by "validation" and "test".
        round1: the same of round 1 alone.
        folds: answers to the training photos of each fold by the model that left it out.
        labels: table `LABELS`.
        proposed: table `PROPOSED`.
        truth: table `TRUTH`.
        points: table `POINTS` of the second look.
        rejects: table `REJECTS`.
    """

    catalogue: Catalogue
    rules: Rules
    splits: dict[str, Judged]
    round1: dict[str, Judged]
    folds: list[Judged]
    labels: pd.DataFrame
    proposed: pd.DataFrame
    truth: pd.DataFrame
    points: pd.DataFrame
    rejects: pd.DataFrame

    @property
    def out_of_fold(self) -> list[Judged]:
        """The answers to labelled photos that the models have not learned from."""
        return [self.splits[VALIDATION], *self.folds]

    def metrics(self) -> dict[str, Any]:
        """The content of metrics/evaluate.json."""
        metrics: dict[str, Any] = both(*self.splits.values())
        metrics["round1"] = both(*self.round1.values())
        return metrics | label_precision(self.labels, self.truth) | grouping_agreement(self.proposed, self.splits[TEST])

    def tables(self, params: Evaluate, seed: int) -> dict[str, pd.DataFrame]:
        """The tables that are written as CSV, by name.

        Returns:
            `breakdown`: metrics with intervals; `cmc`: shares answered rightly by rank, a column for each split;
            `reliability`: shares of right answers by their probability; `threshold`: MAP@5 on validation by threshold;
            `confusing`: labelled photos to look at again.
        """
        ranks = {"rank": np.arange(1, 6)}
        curves = {name: judged.cmc() for name, judged in self.splits.items() if len(judged.truth)}
        return {
            "breakdown": breakdown(self.splits, self.catalogue, params.bootstrap, seed),
            "cmc": pd.DataFrame(ranks | curves).reindex(columns=["rank", *self.splits]),
            "reliability": pd.concat(judged.reliability().assign(split=name) for name, judged in self.splits.items()),
            "threshold": self.rules.threshold.table(),
            "confusing": confusing(self.out_of_fold),
        }


def read_run(data: Path, images: pd.Series) -> Run:
    """Read what the stages before `evaluate` wrote.

    Args:
        data: the folder that holds `READ`.
        images: (N,) the photos that have crops, and so were searched.

    Raises:
        UserError: a file is missing or damaged.
    """
    photos, truth = read_table(data / "photos.parquet", PHOTOS), read_table(data / "truth.parquet", TRUTH)
    catalogue = build_catalogue(photos, without_vectors(images))
    folds = []
    for path in sorted((data / "search" / FOLDS).glob("*.parquet"), key=lambda path: int(path.stem)):
        held_out = build_catalogue(fold_as_validation(photos, int(path.stem)), without_vectors(images))
        folds.append(judged_validation(held_out, read_table(path, ANSWERS)))
    return Run(
        catalogue,
        Rules.load(data / "search"),
        _judged(catalogue, data / "search", truth),
        _judged(catalogue, data / "search" / ROUND1, truth),
        folds,
        read_table(data / "pseudo_labels.parquet", LABELS),
        read_table(data / "search" / "new_individuals.csv", PROPOSED),
        truth,
        read_points(data / "match"),
        read_rejects(data),
    )


def read_rejects(data: Path) -> pd.DataFrame:
    """What the stages `prepare` and `crop` could not use: table `REJECTS`."""
    paths = [path for path in (data / "rejects.csv", data / "crops" / "rejects.csv") if path.exists()]
    empty = pd.DataFrame(columns=list(REJECTS.columns), dtype="string")
    return pd.concat([empty, *(read_table(path, REJECTS) for path in paths)], ignore_index=True)


def _judged(catalogue: Catalogue, folder: Path, truth: pd.DataFrame) -> dict[str, Judged]:
    """The answers of a folder, by "validation" and "test"."""
    return {
        VALIDATION: judged_validation(catalogue, read_table(folder / "validation.parquet", ANSWERS)),
        TEST: judged_test(catalogue, read_table(folder / "answers.parquet", ANSWERS), truth),
    }
