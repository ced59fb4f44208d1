"""evaluate: metrics, plots and the report. Only evaluate and judge read the truth of the test photos."""

from collections.abc import Callable

import pandas as pd

from finprint.base.cli import Input, Output, run
from finprint.base.files import write_csv, write_metrics
from finprint.base.params import Seed, load_sections
from finprint.base.unchanged import depend_on
from finprint.evaluation.changed import keep, last_time
from finprint.evaluation.params import Evaluate
from finprint.evaluation.run import READ, read_run
from finprint.model.embedder import load_model
from finprint.pictures.shards import Crops
from finprint.report.changed import tell_changed
from finprint.report.page import write_report
from finprint.report.plotted import plots_of
from finprint.report.results import report_of, sheet_of, write_figures


def main(data: Output, model: Input, metrics: Output) -> Callable[[], None]:
    params = load_sections(seed=Seed, evaluate=Evaluate)
    learned = {f"round {number}": metrics / f"round{number}_epochs.csv" for number in (1, 2)}
    for path in (*(data / name for name in READ), *learned.values()):
        depend_on(path)
    crops = Crops(data / "crops")
    finished = read_run(data, crops.index["image"])
    write_metrics(metrics / "evaluate.json", finished.metrics())
    tables = finished.tables(params.evaluate, params.seed)
    for name, table in tables.items():
        write_csv(metrics / f"{name}.csv", table)
    plots = plots_of(finished, tables, {name: pd.read_csv(path) for name, path in learned.items()})
    write_figures(metrics / "figures", [*plots, sheet_of(finished, tables["confusing"], crops)])
    embedder, _, _ = load_model(model)
    report = report_of(finished, tables["breakdown"], plots, crops, embedder, params.evaluate.explained)
    write_report(metrics / "report.html", report, crops)
    earlier, now = last_time(data, model)
    for line in tell_changed(metrics / "changed.html", "the last run", earlier, now) if earlier else ():
        print(line)
    return lambda: keep(now)


if __name__ == "__main__":
    run(main)
