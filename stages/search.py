"""search: five names for every query, with `new_individual` placed by rules from validation."""

import pandas as pd

from finprint.answers.params import Search
from finprint.answers.search import propose, search, submission, summary, write_gallery
from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.cli import Input, Inputs, Output, run
from finprint.base.files import atomic, write_csv, write_metrics
from finprint.base.params import load_sections
from finprint.matching.catalogue import catalogue
from finprint.matching.params import Fold
from finprint.store.tables import NEW, PHOTOS, read_table, write_table
from finprint.store.vectors import read_folds, read_vectors


def main(
    photos: Input,
    queries: Input,
    vectors: Inputs,
    folds: Input,
    answers: Output,
    curve: Output,
    metrics: Output,
) -> None:
    params = load_sections(fold=Fold, search=Search)
    table = read_table(photos, PHOTOS)
    rounds = [read_vectors(folder) for folder in vectors]
    known = catalogue(table, *rounds, *read_folds(folds, params.fold.left_out))
    found = search(known, params.search)
    if not found.rules.fitted and params.search.new.target != "fixed":
        print(
            "validation shows no new individual, or none but new: "
            f"search.new.default {params.search.new.default} is used"
        )
    if len(found.test) and not (found.test["identity"].eq(NEW) & found.test["rank"].eq(1)).any():
        print(f"no photo is called new at this threshold ({found.rules.threshold.value:.3f}); see search.new")
    proposed, numbers = propose(known, found)
    asked = pd.read_csv(queries, dtype="string")["image"].tolist()
    with atomic(answers) as part:
        part.mkdir()
        write_table(part / "answers.parquet", found.test, ANSWERS)
        write_table(part / "validation.parquet", found.validation, ANSWERS)
        write_table(part / "new_individuals.csv", proposed, PROPOSED)
        submission(found.test, table, asked).to_csv(part / "submission.csv", index=False, lineterminator="\n")
        write_gallery(part, known, found.shares, params.search)
    drawn = pd.DataFrame(found.rules.threshold.curve, columns=["threshold", "map5"])
    write_csv(curve, drawn.iloc[:: max(1, len(drawn) // 500)])
    write_metrics(metrics, summary(known, found, params.search, asked) | numbers)


if __name__ == "__main__":
    run(main)
