"""The plots of a run. They need no network; the same numbers are written as CSV for `dvc plots`."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finprint.matching.metrics import BINS, calibration_bins
from finprint.paper.figure import COLOURS, INK, new_figure, titled
from finprint.store.tables import TEST, VALIDATION

NAMES = {VALIDATION: "validation", TEST: "photos to identify"}
Z = 1.96  # standard deviations of a 95 % interval


def epochs_plot(rounds: Mapping[str, pd.DataFrame]) -> Figure:
    """Loss and validation MAP@5 by epoch, a line for each round.

    Args:
        rounds: by name, a table (epoch, loss, map5); map5 is missing where an epoch was not scored.
    """
    figure, (left, right) = new_figure(2)
    for colour, (name, table) in zip(COLOURS, rounds.items(), strict=False):
        left.plot(table["epoch"], table["loss"], color=colour, marker="o", markersize=3, label=name)
        if "map5" in table:
            scored = table.dropna(subset="map5")
            right.plot(scored["epoch"], scored["map5"], color=colour, marker="o", markersize=3, label=name)
    left.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="MAP@5", ylim=(0, 1))
    titled(left, "Training")
    titled(right, "Validation: nearest photo, best threshold")
    left.legend(frameon=False, fontsize=8)
    return figure


def answers_plot(metrics: pd.DataFrame, cmc: pd.DataFrame, threshold: pd.DataFrame, chosen: float) -> Figure:
    """Cumulative match curves, and MAP@5 on validation by threshold with the chosen one marked.

    Args:
        metrics: table of `judging.COLUMNS`, without the splits whose truth is not known.
        cmc: table (rank, a column for each split): shares answered rightly by rank 1 to 5.
        threshold: table (threshold, map5).
        chosen: score.
    """
    figure, (left, right) = new_figure(2)
    overall = metrics[metrics["by"] == "all"]
    for colour, (split, rows) in zip(COLOURS, overall.groupby("split", sort=False), strict=False):
        split = str(split)
        label = f"{NAMES[split]}, {rows['queries'].max()} queries"
        left.plot(cmc["rank"], cmc[split], color=colour, marker="o", markersize=4, label=label)
        for rank, metric in ((1, "top1"), (5, "top5")):
            for low, high in rows.loc[rows["metric"] == metric, ["low", "high"]].to_numpy(float):
                _interval(left, rank, low, high, colour)
    left.set(xlabel="rank", ylabel="share answered rightly by this rank", ylim=(0, 1.02), xticks=range(1, 6))
    titled(left, "Cumulative match, with 95 % intervals at 1 and 5")
    if left.get_legend_handles_labels()[0]:
        left.legend(frameon=False, loc="lower right", fontsize=8)
    if len(threshold):
        right.plot(threshold["threshold"], threshold["map5"], color=COLOURS[0])
    right.axvline(chosen, color=COLOURS[1], linestyle="--", label=f"chosen: {chosen:.3f}")
    right.set(xlabel="threshold for new individuals (score)", ylabel="MAP@5", ylim=(0, 1.02), xlim=(-0.2, 1))
    titled(right, "Validation: the choice of the threshold")
    right.legend(frameon=False, loc="lower left", fontsize=8)
    return figure


def calibration_plot(splits: Mapping[str, pd.DataFrame]) -> Figure:
    """Reliability: the share of first answers that were right by the probability they were given, and how many.

    The bars are 95 % intervals of a share of independent answers (Wilson, JASA 1927). Photos of one animal are not
    independent, so the true ones are wider.

    Args:
        splits: by name, a table (confidence, right, queries) of bins; empty where no truth is known.
    """
    splits = {name: table for name, table in splits.items() if len(table)}
    figure, (left, right) = new_figure(2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as promised")
    for place, (colour, (split, table)) in enumerate(zip(COLOURS, splits.items(), strict=False)):
        share, count = table["right"].to_numpy(float), table["queries"].to_numpy(float)
        side = 2 * place - 1  # or the two splits would cover each other
        x, label = table["confidence"].to_numpy(float), f"{NAMES[split]}, {int(count.sum())} queries"
        for at, low, high in zip(x + 0.005 * side, *wilson(share, count), strict=True):
            _interval(left, at, low, high, colour)
        left.plot(x + 0.005 * side, share, color=colour, marker="o", markersize=4, linestyle="none", label=label)
        middle = (calibration_bins(x) + 0.5) / BINS
        right.bar(middle + 0.22 / BINS * side, count, width=0.4 / BINS, color=colour)
    left.set(xlabel="probability of the first answer", ylabel="share of right answers", xlim=(0, 1), ylim=(-0.02, 1.02))
    right.set(xlabel="probability of the first answer", ylabel="queries", xlim=(0, 1))
    titled(left, "Reliability of the first answer, with 95 % intervals")
    titled(right, f"Queries in each of {BINS} bins")
    right.legend(*left.get_legend_handles_labels(), frameon=False, loc="upper left", fontsize=8)  # where there is room
    return figure


def wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the 95 % score interval of shares (N,) of counts (N,) (Wilson, JASA 1927)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return middle - half, middle + half


def rate_plot(rates: np.ndarray, losses: np.ndarray, suggested: float, now: float) -> Figure:
    """The loss by learning rate, with the rate suggested and the one in use.

    Args:
        rates: (S,) learning rates, climbing.
        losses: (S,) smoothed losses.
        suggested: where the loss falls fastest.
        now: as params.yaml has it.
    """
    figure, (axis,) = new_figure(1)
    axis.plot(rates, losses, color=COLOURS[0])
    axis.axvline(suggested, color=COLOURS[1], linestyle="--", label=f"falls fastest: {suggested:.1e}")
    axis.axvline(now, color=INK, linestyle=":", label=f"lr: {now:.1e}")
    axis.set(xscale="log", xlabel="learning rate of the backbone", ylabel="training loss, smoothed")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _interval(axis: Axes, x: float, low: float, high: float, colour: str) -> None:
    """A vertical line from the low to the high end of an interval; none where the interval is missing."""
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([x, x], [low, high], color=colour, linewidth=1.2, alpha=0.6)
