"""evaluate: metrics, plots and the report; the only stage that reads the truth of the test photos."""

import pandas as pd

from finprint.answers.params import Search
from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.cli import Input, Output, run
from finprint.base.files import atomic, read_json, write_csv, write_metrics
from finprint.base.params import Seed, load_sections
from finprint.evaluation.doubts import confusing, out_of_fold
from finprint.evaluation.judging import (
    both,
    breakdown,
    grouping_agreement,
    judge_round,
    judged_test,
    judged_validation,
    label_precision,
)
from finprint.evaluation.params import Evaluate
from finprint.matching.catalogue import catalogue
from finprint.matching.params import Fold
from finprint.model.embedder import load_model
from finprint.pictures.shards import Crops
from finprint.report.contact_sheet import contact_sheet
from finprint.report.matches import doubtful, heat_maps
from finprint.report.page import Figures, write_report
from finprint.report.plots import answers_plot, calibration_plot, epochs_plot
from finprint.store.tables import LABELS, PHOTOS, TEST, TRUTH, VALIDATION, read_table
from finprint.store.vectors import read_folds, read_vectors


def main(
    photos: Input,
    truth: Input,
    crops: Input,
    labels: Input,
    model: Input,
    round1: Input,
    folds: Input,
    answers: Input,
    curve: Input,
    search: Input,
    epochs1: Input,
    epochs2: Input,
    metrics: Output,
    intervals: Output,
    cmc: Output,
    reliability: Output,
    doubts: Output,
    figures: Output,
    report: Output,
) -> None:
    params = load_sections(seed=Seed, fold=Fold, search=Search, evaluate=Evaluate)
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
