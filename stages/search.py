"""search: five names for every query, with `new_individual` placed by a threshold from validation."""

import pandas as pd

from finprint.cli import Place, run
from finprint.files import atomic, write_metrics
from finprint.params import load_params
from finprint.search import search, submission
from finprint.tables import ANSWERS, PHOTOS, read_table, write_table
from finprint.vectors import blend, catalogue, read_vectors


def main(
    photos: Place, queries: Place, round1: Place, round2: Place, answers: Place, curve: Place, metrics: Place
) -> None:
    params = load_params().search
    table = read_table(photos, PHOTOS)
    known = catalogue(table, blend(read_vectors(round1), read_vectors(round2), params.round1_share))
    found = search(known, params)
    if params.new_threshold == "fit" and not found.fitted:
        print(f"validation shows no new individual, or none but new: search.new_default {params.new_default} is used")
    asked = pd.read_csv(queries, dtype="string")["image"].tolist()
    with atomic(answers) as part:
        part.mkdir()
        write_table(part / "answers.parquet", found.test, ANSWERS)
        write_table(part / "validation.parquet", found.validation, ANSWERS)
        submission(found.test, table, asked).to_csv(part / "submission.csv", index=False, lineterminator="\n")
    with atomic(curve) as part:
        thinned = pd.DataFrame(found.threshold.curve, columns=["threshold", "map5"]).round(6)
        thinned.iloc[:: max(1, len(thinned) // 500)].to_csv(part, index=False, lineterminator="\n")
    write_metrics(
        metrics,
        {
            "threshold": found.threshold.value,
            "fitted": int(found.fitted),
            "gallery": int((known.photos["code"] >= 0).sum()),
            "individuals": len(known.names),
            "queries": len(asked),
            "answered_by_default": len(asked) - found.test["query"].nunique(),
        },
    )


if __name__ == "__main__":
    run(main)
