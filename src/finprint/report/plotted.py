"""Which plots a run has, with their captions; and for one that would be empty, why it is not drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from finprint.answers.rules import TOO_FEW
from finprint.base.words import counted
from finprint.evaluation.judging import Judged
from finprint.evaluation.run import Run
from finprint.report.plots import (
    NAMES,
    calibration_plot,
    cmc_plot,
    loss_plot,
    map5_plot,
    roc_plot,
    scores_plot,
    threshold_plot,
)
from finprint.store.tables import TEST, VALIDATION


@dataclass(frozen=True)
class Plot:
    """A plot of the report.

    Attributes:
        name: of its files.
        title: for people.
        caption: what it shows; of one that is not drawn, why.
        figure: None: it would be empty.
    """

    name: str
    title: str
    caption: str
    figure: Figure | None = None


def plots_of(run: Run, tables: Mapping[str, pd.DataFrame], epochs: Mapping[str, pd.DataFrame]) -> list[Plot]:
    """The plots that the report shows.

    Args:
        tables: of the run (`Run.tables`).
        epochs: by the name of a round, its table of epochs.
    """
    return [
        _answers(run.splits, tables),
        _calibration(run, tables["reliability"]),
        _roc(run.splits, tables["breakdown"]),
        _scores(run),
        _threshold(run, tables["threshold"]),
        *_training(epochs, len(run.splits[VALIDATION].truth)),
    ]


def _answers(splits: Mapping[str, Judged], tables: Mapping[str, pd.DataFrame]) -> Plot:
    name, title = "cmc", "How often the right individual is among the first answers"
    why = _untold(splits)
    if len(why) == len(splits):
        return _missing(name, title, why)
    told = "The share of photos whose right answer stands at this rank or above."
    return Plot(name, title, told + _left_out(why), cmc_plot(tables["breakdown"], tables["cmc"]))


def _calibration(run: Run, bins: pd.DataFrame) -> Plot:
    name, title = "calibration", "Whether probabilities hold"
    if run.rules.too_few:
        return _missing(name, title, [f"there are {TOO_FEW}, so no answer has a probability"])
    why = _untold(run.splits)
    if len(why) == len(run.splits):
        return _missing(name, title, why)
    told = (
        "Of the first answers with a probability near 0.8, about eight in ten should be right: points on the dotted "
        "line. The bars below count the photos. Intervals are Wilson's, for independent photos; those of one "
        "animal are not independent, so the true ones are wider."
    )
    figure = calibration_plot({split: bins[bins["split"] == split] for split in run.splits})
    return Plot(name, title, told + _left_out(why), figure)


def _threshold(run: Run, curve: pd.DataFrame) -> Plot:
    name, title = "threshold", "The choice of the threshold"
    threshold, validation = run.rules.threshold, len(run.splits[VALIDATION].truth)
    if not len(curve):
        why = f"there are {TOO_FEW}" if validation else "there is no validation photo"
        return _missing(name, title, [f"{why}, so the threshold of {threshold.value:.3f} is a default"])
    told = (
        "How good the answers to validation are at each threshold. The chosen one is the score at which an animal is "
        "as likely new as known, or as search.new.target wants it."
    )
    return Plot(name, title, told, threshold_plot(curve, threshold.value, threshold.interval, validation))


def _scores(run: Run) -> Plot:
    name, title, why = "scores", "Scores of known and of new animals", _untold(run.splits)
    told_of = {split: judged.outcomes for split, judged in run.splits.items() if len(judged.truth)}
    if not told_of:
        return _missing(name, title, why)
    told = "The further apart the two kinds lie, the better new animals are told."
    figure = scores_plot(told_of, run.rules.threshold.value, run.rules.threshold.interval)
    return Plot(name, title, told + _left_out(why), figure)


def _roc(splits: Mapping[str, Judged], breakdown: pd.DataFrame) -> Plot:
    name, title, why = "roc", "How well new animals are told", _untold(splits)
    told_of = {split: judged.outcomes for split, judged in splits.items() if len(judged.truth)}
    both = {split: outcomes for split, outcomes in told_of.items() if outcomes.new.any() and not outcomes.new.all()}
    for split in told_of.keys() - both.keys():
        lacks = "known" if told_of[split].new.any() else "new"
        hint = " (prepare.new_share)" if split == VALIDATION and lacks == "new" else ""
        why.append(
            f"none of the {counted(len(told_of[split]), 'photo')} of {NAMES[split]} shows a {lacks} animal{hint}"
        )
    if not both:
        return _missing(name, title, why)
    told = (
        "By the score of the best individual alone: the lower it is, the rather the animal is new. A point off its "
        "curve shows that probabilities decided, not the threshold alone."
    )
    return Plot(name, title, told + _left_out(why), roc_plot(both, breakdown))


def _training(epochs: Mapping[str, pd.DataFrame], queries: int) -> list[Plot]:
    loss, map5 = ("loss", "Training"), ("map5", "Validation while training")
    trained = {name: table for name, table in epochs.items() if len(table)}
    if not trained:
        return [_missing(*loss, ["no epoch was trained"]), _missing(*map5, ["no epoch was trained"])]
    plots = [Plot(*loss, "The mean loss of an epoch's photos.", loss_plot(trained))]
    if any("map5" in table and table["map5"].notna().any() for table in trained.values()):
        told = (
            "MAP@5 of validation after an epoch, by the nearest photo and the best threshold. The answers blend more."
        )
        return [*plots, Plot(*map5, told, map5_plot(trained, queries))]
    why = "there is no validation photo" if not queries else "no epoch was scored on validation"
    return [*plots, _missing(*map5, [why])]


def _untold(splits: Mapping[str, Judged]) -> list[str]:
    """Of each split whose right answers are not known, why."""
    none = {VALIDATION: "there is no validation photo", TEST: "there is no photo to identify"}
    return [
        none[split] if not len(judged.answers) else f"the right answers to the {NAMES[split]} are not known"
        for split, judged in splits.items()
        if not len(judged.truth)
    ]


def _missing(name: str, title: str, why: list[str]) -> Plot:
    return Plot(name, title, f"Not drawn, because {', and '.join(why)}.")


def _left_out(why: list[str]) -> str:
    """A sentence on the split that is not shown."""
    return f" One set alone is shown, because {why[0]}." if why else ""
