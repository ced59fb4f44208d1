"""Plots as PNG bytes, which need no network; the same numbers are written as CSV for `dvc plots`."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from finprint.paper.figure import COLOURS, GRID, INK, new_figure, png


def epochs_plot(rounds: Mapping[str, pd.DataFrame]) -> bytes:
    """Loss and validation MAP@5 by epoch, a line a round.

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
    right.set(xlabel="epoch", ylabel="MAP@5 on validation", ylim=(0, 1))
    left.legend(frameon=False)
    return png(figure)


def answers_plot(curves: dict[str, np.ndarray], threshold: pd.DataFrame, chosen: float) -> bytes:
    """Cumulative match curves, and MAP@5 on validation by threshold with the chosen one marked.

    Args:
        curves: by name, (5,) shares answered rightly by rank 1 to 5.
        threshold: table (threshold, map5).
        chosen: score.
    """
    figure, (left, right) = new_figure(2)
    for colour, (name, shares) in zip(COLOURS, curves.items(), strict=False):
        left.plot(np.arange(1, 6), shares, color=colour, marker="o", label=name)
    left.set(xlabel="rank", ylabel="answered rightly by this rank", ylim=(0, 1.02), xticks=range(1, 6))
    if curves:
        left.legend(frameon=False, loc="lower right")
    if len(threshold):
        right.plot(threshold["threshold"], threshold["map5"], color=COLOURS[0])
    right.axvline(chosen, color=COLOURS[1], linestyle="--", label=f"chosen: {chosen:.3f}")
    right.set(
        xlabel="threshold for new individuals (score)", ylabel="MAP@5 on validation", ylim=(0, 1.02), xlim=(-0.2, 1)
    )
    right.legend(frameon=False, loc="lower left")
    return png(figure)


def calibration_plot(splits: Mapping[str, pd.DataFrame]) -> bytes:
    """Reliability: the share of first answers that were right by the probability they were given, and how many.

    Args:
        splits: by name, a table (confidence, right, queries) of bins; empty where no truth is known.
    """
    splits = {name: table for name, table in splits.items() if len(table)}
    figure, (left, right) = new_figure(2)
    left.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    for place, (colour, (name, table)) in enumerate(zip(COLOURS, splits.items(), strict=False)):
        left.plot(table["confidence"], table["right"], color=colour, marker="o", markersize=4, label=name)
        share = table["queries"] / max(1, table["queries"].sum())
        right.bar(table["confidence"] + 0.012 * (2 * place - 1), share, width=0.022, color=colour, label=name)
    left.set(xlabel="probability of the first answer", ylabel="share that was right", xlim=(0, 1), ylim=(0, 1.02))
    right.set(xlabel="probability of the first answer", ylabel="share of the queries", xlim=(0, 1))
    if splits:
        right.legend(frameon=False, loc="upper left")
    return png(figure)


def rate_plot(rates: np.ndarray, losses: np.ndarray, suggested: float, now: float) -> bytes:
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
    axis.legend(frameon=False)
    return png(figure)
