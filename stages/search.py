"""search: five names for every query, with `new_individual` placed by rules from validation."""

import pandas as pd

from finprint.answers.params import Search
from finprint.answers.results import remarks, search_all, summary
from finprint.base.cli import Input, Inputs, Output, run
from finprint.base.files import write_metrics
from finprint.base.params import load_sections
from finprint.keypoints.tables import read_local_scores
from finprint.matching.params import Fold
from finprint.store.tables import PHOTOS, read_table
from finprint.store.vectors import read_folds, read_vectors


def main(
    photos: Input, queries: Input, vectors: Inputs, folds: Input, matches: Input, answers: Output, metrics: Output
) -> None:
    params = load_sections(fold=Fold, search=Search)
    rounds = [read_vectors(folder) for folder in vectors]
    left_out = read_folds(folds, params.fold.left_out)
    asked = pd.read_csv(queries, dtype="string")["image"].tolist()
    looked = read_local_scores(matches)
    results = search_all(read_table(photos, PHOTOS), rounds, left_out, asked, params.search, looked)
    for line in remarks(results.answers):
        print(line)
    results.write(answers)
    write_metrics(metrics, summary(results))


if __name__ == "__main__":
    run(main)
