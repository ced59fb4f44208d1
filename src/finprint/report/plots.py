"""The plots of a run. They need no network; the same numbers are written as CSV for `dvc plots`."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finprint.matching.metrics import BINS, Outcomes, calibration_bins
from finprint.paper.figure import COLOURS, INK, SMALL, new_figure, stacked_figure, titled
from finprint.store.tables import TEST, VALIDATION

NAMES = {VALIDATION: "validation", TEST: "photos to identify"}
Z = 1.96  # standard deviations of a 95 % interval
APART = 0.04  # ranks between the intervals of two splits, which would cover each other


def loss_plot(rounds: Mapping[str, pd.DataFrame]) -> Figure:
    """The training loss by epoch, a line for each round.

    Args:
        rounds: by name, a table (epoch, loss, map5).
    """
    figure, (axis,) = new_figure(1)
    for colour, (name, table) in zip(COLOURS, rounds.items(), strict=False):
        axis.plot(table["epoch"], table["loss"], color=colour, marker="o", markersize=3, label=name)
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0, None))
    titled(axis, "Training loss")
    axis.legend(frameon=False, fontsize=SMALL)
    return figure


def map5_plot(rounds: Mapping[str, pd.DataFrame], queries: int) -> Figure:
    """MAP@5 on validation by epoch, a line for each round.

    Args:
        rounds: by name, a table (epoch, loss, map5); map5 is missing where an epoch was not scored.
        queries: validation photos.
    """
    figure, (axis,) = new_figure(1)
    for colour, (name, table) in zip(COLOURS, rounds.items(), strict=False):
        scored = table.dropna(subset="map5") if "map5" in table else table.iloc[:0].assign(map5=0.0)
        if len(scored):
            axis.plot(scored["epoch"], scored["map5"], color=colour, marker="o", markersize=3, label=name)
    axis.set(xlabel="epoch", ylabel="MAP@5", ylim=(0, 1))
    titled(axis, f"MAP@5 on {queries} validation photos, by the nearest photo")
    axis.legend(frameon=False, fontsize=SMALL, loc="lower right")
    return figure


def cmc_plot(metrics: pd.DataFrame, cmc: pd.DataFrame) -> Figure:
    """Cumulative match curves with intervals at rank 1 and 5.

    Args:
        metrics: table of `judging.COLUMNS`, without the splits whose truth is not known.
        cmc: table (rank, a column for each split): shares answered rightly by rank 1 to 5.
    """
    figure, (axis,) = new_figure(1)
    overall = metrics[metrics["by"] == "all"]
    for place, (colour, (split, rows)) in enumerate(zip(COLOURS, overall.groupby("split", sort=False), strict=False)):
        split, aside = str(split), APART * (2 * place - 1)
        label = f"{NAMES[split]}, {rows['queries'].max()} photos"
        axis.plot(cmc["rank"] + aside, cmc[split], color=colour, marker="o", markersize=4, label=label)
        for rank, metric in ((1, "top1"), (5, "top5")):
            for low, high in rows.loc[rows["metric"] == metric, ["low", "high"]].to_numpy(float):
                _interval(axis, rank + aside, low, high, colour)
    axis.set(xlabel="rank", ylabel="share answered rightly by this rank", ylim=(0, 1.02), xticks=range(1, 6))
    titled(axis, "Cumulative match, with 95 % intervals at 1 and 5")
    axis.legend(frameon=False, loc="lower right", fontsize=SMALL)
    return figure


def threshold_plot(curve: pd.DataFrame, chosen: float, interval: tuple[float, float] | None, queries: int) -> Figure:
    """MAP@5 on validation by threshold, with the chosen one and its interval.

    Args:
        curve: table (threshold, map5), of at least one row.
        chosen: score.
        interval: of the chosen threshold, 95 %.
        queries: validation photos.
    """
    figure, (axis,) = new_figure(1)
    axis.plot(curve["threshold"], curve["map5"], color=COLOURS[0])
    _threshold(axis, chosen, interval)
    axis.set(xlabel="threshold for new individuals (score)", ylabel="MAP@5", ylim=(0, 1.02))
    titled(axis, f"The choice of the threshold, on {queries} validation photos")
    axis.legend(frameon=False, loc="lower left", fontsize=SMALL)
    return figure


def calibration_plot(splits: Mapping[str, pd.DataFrame]) -> Figure:
    """Reliability: the share of first answers that were right by the probability they were given, and how many.

    The bars are 95 % intervals of a share of independent answers (Wilson, JASA 1927). Photos of one animal are not
    independent, so the true ones are wider.

    Args:
        splits: by name, a table (confidence, right, queries) of bins; empty where no truth is known.
    """
    splits = {name: table for name, table in splits.items() if len(table)}
    figure, (top, bottom) = stacked_figure(2.9, 1.1)
    top.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as promised")
    for place, (colour, (split, table)) in enumerate(zip(COLOURS, splits.items(), strict=False)):
        share, count = table["right"].to_numpy(float), table["queries"].to_numpy(float)
        side = 2 * place - 1  # or the two splits would cover each other
        x, label = table["confidence"].to_numpy(float), f"{NAMES[split]}, {int(count.sum())} photos"
        for at, low, high in zip(x + 0.005 * side, *wilson(share, count), strict=True):
            _interval(top, at, low, high, colour)
        top.plot(x + 0.005 * side, share, color=colour, marker="o", markersize=4, linestyle="none", label=label)
        middle = (calibration_bins(x) + 0.5) / BINS
        bottom.bar(middle + 0.22 / BINS * side, count, width=0.4 / BINS, color=colour)
    top.set(ylabel="share of right answers", xlim=(0, 1), ylim=(-0.02, 1.02))
    bottom.set(xlabel="probability of the first answer", ylabel=f"photos\n(of {BINS} bins)")
    titled(top, "Reliability of the first answer, with 95 % intervals")
    _legend_below(figure, top)
    return figure


def roc_plot(splits: Mapping[str, Outcomes], metrics: pd.DataFrame) -> Figure:
    """How well the best score tells new animals from known ones: a ROC curve for each split.

    The point on a curve, or beside it, is what was answered: the threshold and the probabilities decide together.

    Args:
        splits: by name, what became of queries of new and of known animals.
        metrics: table of `judging.COLUMNS`; gives the areas with their intervals.
    """
    from sklearn.metrics import roc_curve  # takes a second to import

    figure, (axis,) = new_figure(1)
    axis.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="by chance")
    areas = metrics[(metrics["by"] == "all") & (metrics["metric"] == "auroc_new")].set_index("split")
    for colour, (split, told) in zip(COLOURS, splits.items(), strict=False):
        false, true, _ = roc_curve(told.new, -told.best)
        value, low, high = areas.loc[split, ["value", "low", "high"]].to_numpy(float)
        spread = f" ({low:.2f} to {high:.2f})" if np.isfinite([low, high]).all() else ""
        label = f"{NAMES[split]}, {told.new.sum()} new and {(~told.new).sum()} known:\narea {value:.2f}{spread}"
        axis.plot(false, true, color=colour, label=label)
        answered = (told.says_new[~told.new].mean(), told.says_new[told.new].mean())
        axis.plot(*answered, color=colour, marker="o", markersize=6, markeredgecolor="white", linestyle="none")
    axis.set(xlabel="share of known animals' photos called new", ylabel="share of new animals' photos called new")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    titled(axis, "Telling new animals, with 95 % intervals; points: as answered")
    axis.legend(frameon=False, loc="lower right", fontsize=SMALL)
    return figure


def scores_plot(
    splits: Mapping[str, Outcomes], chosen: float, interval: tuple[float, float] | None, bins: int = 30
) -> Figure:
    """The score of the best individual, for photos of known and of new animals, a panel for each split.

    Args:
        splits: by name, what became of queries.
        chosen: threshold, and its 95 % interval.
    """
    figure, axes = stacked_figure(*[1.8] * len(splits))
    every = np.concatenate([told.best for told in splits.values()])
    edges = np.linspace(every.min(), max(every.max(), every.min() + 0.01), bins + 1)
    for axis, (split, told) in zip(axes, splits.items(), strict=True):
        for colour, kind, rows in zip(COLOURS, ("known", "new"), (~told.new, told.new), strict=True):
            axis.hist(told.best[rows], edges, color=colour, alpha=0.65, label=f"{kind} animals")
        _threshold(axis, chosen, interval)
        axis.set(ylabel="photos")
        counts = f"{(~told.new).sum()} photos of known, {told.new.sum()} of new animals"
        titled(axis, f"{NAMES[split].capitalize()}: {counts}")
    axes[-1].set(xlabel="score of the best individual")
    _legend_below(figure, axes[0])
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
    axis.legend(frameon=False, fontsize=SMALL)
    return figure


def _legend_below(figure: Figure, axis: Axes) -> None:
    """The legend of a panel below all panels, where it covers nothing."""
    figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside lower left", ncols=2, fontsize=SMALL)


def _threshold(axis: Axes, chosen: float, interval: tuple[float, float] | None) -> None:
    """A vertical line at the threshold, and a band over its interval."""
    axis.axvline(chosen, color=INK, linestyle="--", linewidth=1, label=f"threshold {chosen:.3f}")
    if interval:
        low, high = interval
        axis.axvspan(low, high, color=INK, alpha=0.1, linewidth=0, label=f"95 % interval {low:.3f} to {high:.3f}")


def _interval(axis: Axes, x: float, low: float, high: float, colour: str) -> None:
    """A vertical line from the low to the high end of an interval; none where the interval is missing."""
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([x, x], [low, high], color=colour, linewidth=1.2, alpha=0.6)
