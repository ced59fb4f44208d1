"""The figures and the report of a finished run."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from finprint.answers.rules import TOO_FEW
from finprint.base.files import atomic
from finprint.evaluation.doubts import SURE, next_known, rivals
from finprint.evaluation.run import Run
from finprint.model.embedder import Embedder
from finprint.paper.figure import png, svg
from finprint.pictures.shards import Crops
from finprint.report.contact_sheet import contact_sheet
from finprint.report.matches import doubtful, heat_maps
from finprint.report.page import Report
from finprint.report.plotted import Plot
from finprint.store.tables import TEST, VALIDATION


def sheet_of(run: Run, confusing: pd.DataFrame, crops: Crops) -> Plot:
    """The contact sheet of the confusing photos (table of `Run.tables`)."""
    name, title = "confusing", "Labelled photos to look at again"
    if not len(confusing):
        why = (
            f"no answer has a probability, because there are {TOO_FEW}"
            if run.rules.too_few
            else (f"no labelled photo was contradicted with more than {SURE:.0%}, or left undecided")
        )
        return Plot(name, title, f"Not drawn, because {why}.")
    opinions = run.out_of_fold
    figure = contact_sheet(confusing, next_known(opinions), rivals(opinions, confusing), crops)
    return Plot(name, title, "Each pair: a labelled photo, and the one that it was confused with.", figure)


def write_figures(folder: Path, plots: Iterable[Plot]) -> None:
    """Write figures into a folder, atomically, each as PNG and SVG; those that would be empty are left out."""
    with atomic(folder) as draft:
        draft.mkdir()
        for plot in plots:
            if plot.figure is not None:
                (draft / f"{plot.name}.png").write_bytes(png(plot.figure))
                (draft / f"{plot.name}.svg").write_bytes(svg(plot.figure, plot.title))


def report_of(
    run: Run, breakdown: pd.DataFrame, plots: list[Plot], crops: Crops, embedder: Embedder, explained: int
) -> Report:
    """The report of a run.

    Args:
        breakdown: of `Run.tables`.
        plots: of `plots_of`.
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
        run.points,
        run.rules.threshold.interval,
        run.rules.too_few,
        run.rules.params.new.target,
        run.rejects,
    )
