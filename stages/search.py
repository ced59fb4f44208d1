"""search: five names for every query, with `new_individual` placed by rules from validation."""

from dataclasses import dataclass

import pandas as pd

from finprint.answers.params import Search
from finprint.answers.results import Evidence, remarks, search_all, summary
from finprint.answers.species import with_species
from finprint.base.cli import Input, Inputs, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.engine.params import Engine
from finprint.keypoints.tables import read_local_scores
from finprint.matching.params import Fold
from finprint.store.tables import PHOTOS, read_table
from finprint.store.vectors import read_folds, read_vectors


@dataclass(frozen=True)
class Paths:
    photos: Input
    queries: Input
    vectors: Inputs
    folds: Input
    matches: Input
    species: Input
    answers: Output
    metrics: Output


def main(paths: Paths) -> None:
    params = load_sections(fold=Fold, search=Search, engine=Engine)
    folds = read_folds(paths.folds, params.fold.left_out)
    evidence = Evidence([*map(read_vectors, paths.vectors)], folds, read_local_scores(paths.matches))
    asked = pd.read_csv(paths.queries, dtype="string")["image"].tolist()
    photos = with_species(read_table(paths.photos, PHOTOS), paths.species)
    results = search_all(photos, evidence, asked, params.search, params.engine)
    print("".join(f"{line}\n" for line in remarks(results.answers)), end="")
    results.write(paths.answers)
    write_metrics(paths.metrics, summary(results))


if __name__ == "__main__":
    run(main)
