"""evaluate: metrics, plots and the report; the only stage that reads the truth of the test photos."""

import pandas as pd

from finprint.cli import Place, run
from finprint.evaluation import Judged, both, judge_round, test_truth, validation_truth
from finprint.files import atomic, read_json, write_metrics
from finprint.params import load_params
from finprint.plots import answers_plot, epochs_plot
from finprint.report import Figures, write_report
from finprint.shards import Crops
from finprint.tables import ANSWERS, PHOTOS, TRUTH, read_table
from finprint.vectors import catalogue, read_vectors


def main(
    photos: Place,
    truth: Place,
    crops: Place,
    round1: Place,
    round2: Place,
    answers: Place,
    curve: Place,
    search: Place,
    epochs1: Place,
    epochs2: Place,
    metrics: Place,
    cmc: Place,
    figures: Place,
    report: Place,
) -> None:
    params = load_params()
    table, told = read_table(photos, PHOTOS), read_table(truth, TRUTH)
    known = catalogue(table, read_vectors(round2))
    found = read_table(answers / "answers.parquet", ANSWERS)
    test = Judged(found, test_truth(known, told, found))
    validation = Judged(read_table(answers / "validation.parquet", ANSWERS), validation_truth(known))
    first = judge_round(catalogue(table, read_vectors(round1)), told, params.search)
    numbers = both(validation, test) | {"round1": first}
    write_metrics(metrics, numbers)

    curves = {name: judged.cmc() for name, judged in (("validation", validation), ("test", test)) if len(judged.truth)}
    with atomic(cmc) as part:
        pd.DataFrame({"rank": range(1, 6)} | curves).round(6).to_csv(part, index=False, lineterminator="\n")
    threshold = read_json(search)["threshold"]
    plots = {
        "training": epochs_plot({"round 1": pd.read_csv(epochs1), "round 2": pd.read_csv(epochs2)}),
        "answers": answers_plot(curves, pd.read_csv(curve), threshold),
    }
    with atomic(figures) as part:
        part.mkdir()
        for name, png in plots.items():
            (part / f"{name}.png").write_bytes(png)
    shown = Figures(numbers, list(plots.items()), threshold)
    with atomic(report) as part:
        write_report(part, shown, test, validation, table, Crops(crops), params.evaluate.sheets, params.seed)


if __name__ == "__main__":
    run(main)
