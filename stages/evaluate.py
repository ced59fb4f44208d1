"""evaluate: metrics, plots and the report; the only stage that reads the truth of the test photos."""

import pandas as pd

from finprint.cli import Place, run
from finprint.confusing import confusing, contact_sheet, out_of_fold
from finprint.evaluation import (
    both,
    breakdown,
    grouping_agreement,
    judge_round,
    judged_test,
    judged_validation,
    label_precision,
)
from finprint.files import atomic, read_json, write_csv, write_metrics
from finprint.matches import doubtful, heat_maps
from finprint.model import load_model
from finprint.params import load_params
from finprint.plots import answers_plot, calibration_plot, epochs_plot
from finprint.report import Figures, write_report
from finprint.shards import Crops
from finprint.tables import ANSWERS, LABELS, PHOTOS, PROPOSED, TEST, TRUTH, VALIDATION, read_table
from finprint.vectors import catalogue, read_folds, read_vectors


def main(
    photos: Place,
    truth: Place,
    crops: Place,
    labels: Place,
    model: Place,
    round1: Place,
    folds: Place,
    answers: Place,
    curve: Place,
    search: Place,
    epochs1: Place,
    epochs2: Place,
    metrics: Place,
    intervals: Place,
    cmc: Place,
    reliability: Place,
    doubts: Place,
    figures: Place,
    report: Place,
) -> None:
    params = load_params()
    told = read_table(truth, TRUTH)
    table = read_table(photos, PHOTOS)
    known = catalogue(table, read_vectors(round1))
    validation = judged_validation(known, read_table(answers / "validation.parquet", ANSWERS))
    test = judged_test(known, read_table(answers / "answers.parquet", ANSWERS), told)
    numbers = both(validation, test) | {"round1": judge_round(known, told, params.search)}
    proposed = read_table(answers / "new_individuals.csv", PROPOSED)
    mined = label_precision(read_table(labels, LABELS), told)
    write_metrics(metrics, numbers | mined | grouping_agreement(proposed, test))

    parts = {VALIDATION: validation, TEST: test}
    found = breakdown(parts, known, params.evaluate.bootstrap, params.seed)
    write_csv(intervals, found)
    curves = {name: judged.cmc() for name, judged in parts.items() if len(judged.truth)}
    write_csv(cmc, pd.DataFrame({"rank": range(1, 6)} | curves).reindex(columns=["rank", *parts]))
    calibrated = {name: judged.reliability() for name, judged in parts.items()}
    write_csv(reliability, pd.concat(part.assign(split=name) for name, part in calibrated.items()))
    threshold = read_json(search)["threshold"]
    plots = {
        "training": epochs_plot({"round 1": pd.read_csv(epochs1), "round 2": pd.read_csv(epochs2)}),
        "answers": answers_plot(curves, pd.read_csv(curve), threshold),
        "calibration": calibration_plot(calibrated),
    }
    stored = Crops(crops)
    left_out = params.fold.left_out
    asked = zip(left_out, read_folds(folds, left_out), strict=True)
    listed = confusing([validation, *(out_of_fold(table, vectors, fold, params.search) for fold, vectors in asked)])
    write_csv(doubts, listed)
    sheets = {"confusing": contact_sheet(listed, stored)} if len(listed) else {}
    with atomic(figures) as part:
        part.mkdir()
        for name, png in (plots | sheets).items():
            (part / f"{name}.png").write_bytes(png)
    embedder, _, _ = load_model(model)
    explained = heat_maps(embedder, stored, doubtful([test, validation], params.evaluate.explained))
    shown = Figures(found, list(plots.items()), threshold)
    with atomic(report) as part:
        write_report(
            part, shown, test, validation, known.photos, stored, proposed.set_index("image")["proposed"], explained
        )


if __name__ == "__main__":
    run(main)
