"""The figures and the report of a finished run."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from finprint.base.files import atomic
from finprint.evaluation.doubts import next_known
from finprint.evaluation.run import Run
from finprint.model.embedder import Embedder
from finprint.paper.figure import png, svg
from finprint.pictures.shards import Crops
from finprint.report.contact_sheet import contact_sheet
from finprint.report.matches import doubtful, heat_maps
from finprint.report.page import Report
from finprint.report.plots import answers_plot, calibration_plot, epochs_plot
from finprint.store.tables import TEST, VALIDATION


def draw_plots(run: Run, tables: Mapping[str, pd.DataFrame], epochs: Mapping[str, pd.DataFrame]) -> dict[str, Figure]:
    """The plots that the report shows, by name.

    Args:
        tables: of the run (`Run.tables`).
        epochs: by the name of a round, its table of epochs.
    """
    bins = tables["reliability"]
    return {
        "training": epochs_plot(epochs),
        "answers": answers_plot(tables["breakdown"], tables["cmc"], tables["threshold"], run.rules.threshold.value),
        "calibration": calibration_plot({split: bins[bins["split"] == split] for split in run.splits}),
    }


def draw_sheets(run: Run, confusing: pd.DataFrame, crops: Crops) -> dict[str, Figure]:
    """The contact sheet of the confusing photos (table of `Run.tables`), by its name; none where there are none."""
    return {"confusing": contact_sheet(confusing, next_known(run.out_of_fold), crops)} if len(confusing) else {}


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write figures into a folder, atomically, each as PNG and SVG."""
    with atomic(folder) as draft:
        draft.mkdir()
        for name, figure in figures.items():
            (draft / f"{name}.png").write_bytes(png(figure))
            (draft / f"{name}.svg").write_bytes(svg(figure))


def report_of(
    run: Run, breakdown: pd.DataFrame, plots: dict[str, Figure], crops: Crops, embedder: Embedder, explained: int
) -> Report:
    """The report of a run.

    Args:
        breakdown: of `Run.tables`.
        plots: of `draw_plots`.
        embedder: the model whose heat maps are shown.
        explained: how many matches get heat maps, the wrong and the least sure ones first.
    """
    test, validation = run.splits[TEST], run.splits[VALIDATION]
    pairs = doubtful([test, validation], explained)
    return Report(
        {TEST: test, VALIDATION: validation},
        breakdown,
        {name: png(figure) for name, figure in plots.items()},
        run.rules.threshold.value,
        run.catalogue.photos,
        run.proposed.set_index("image")["proposed"],
        heat_maps(embedder, crops, pairs),
        run.points,
        run.rules.threshold.interval,
        run.rules.too_few,
    )
