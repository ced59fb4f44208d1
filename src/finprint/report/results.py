"""The figures and the report of a finished run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.base.files import atomic
from finprint.evaluation.run import Run
from finprint.model.embedder import Embedder
from finprint.pictures.shards import Crops
from finprint.report.contact_sheet import contact_sheet
from finprint.report.matches import doubtful, heat_maps
from finprint.report.page import Report
from finprint.report.plots import answers_plot, calibration_plot, epochs_plot
from finprint.store.tables import TEST, VALIDATION


def draw_plots(run: Run, tables: Mapping[str, pd.DataFrame], epochs: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """The plots that the report shows, PNGs by name.

    Args:
        tables: of the run (`Run.tables`).
        epochs: by the name of a round, its table of epochs.
    """
    curves = {split: np.asarray(tables["cmc"][split]) for split, judged in run.splits.items() if len(judged.truth)}
    bins = tables["reliability"]
    return {
        "training": epochs_plot(epochs),
        "answers": answers_plot(curves, tables["threshold"], run.rules.threshold.value),
        "calibration": calibration_plot({split: bins[bins["split"] == split] for split in run.splits}),
    }


def write_figures(folder: Path, plots: dict[str, bytes], confusing: pd.DataFrame, crops: Crops) -> None:
    """Write the plots, and a contact sheet of the confusing photos where there are any, into a folder, atomically."""
    sheets = {"confusing": contact_sheet(confusing, crops)} if len(confusing) else {}
    with atomic(folder) as draft:
        draft.mkdir()
        for name, png in (plots | sheets).items():
            (draft / f"{name}.png").write_bytes(png)


def report_of(
    run: Run, breakdown: pd.DataFrame, plots: dict[str, bytes], crops: Crops, embedder: Embedder, explained: int
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
        plots,
        run.rules.threshold.value,
        run.catalogue.photos,
        run.proposed.set_index("image")["proposed"],
        heat_maps(embedder, crops, pairs),
    )
