"""Plots: what is drawn of which numbers, and files of the same bytes."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.stats import binomtest

from finprint.matching.metrics import Outcomes
from finprint.paper.figure import COLOURS, png, svg
from finprint.report.plots import calibration_plot, cmc_plot, map5_plot, roc_plot, scores_plot, threshold_plot, wilson

NONE = (np.nan, np.nan)


def _columns(picture: bytes, colour: str) -> np.ndarray:
    """Which columns of a picture hold a colour, a flag each."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return (np.abs(pixels - np.array(to_rgb(colour)) * 255).max(axis=2) < 12).any(axis=0)


def test_epochs_that_were_not_scored_leave_no_gap() -> None:
    """The line goes from one score to the next, through half of the picture and more."""
    told = pd.DataFrame({"epoch": range(1, 12), "loss": np.linspace(9, 1, 11), "map5": [0.1, *[np.nan] * 9, 0.9]})
    figure = map5_plot({"round 1": told}, 7)
    figure.axes[0].get_legend().remove()
    drawn = _columns(png(figure), COLOURS[0])
    places = np.flatnonzero(drawn)
    assert len(places) > len(drawn) / 2
    assert np.diff(places).max() == 1


def test_a_split_without_truth_is_not_in_the_legend() -> None:
    bins = pd.DataFrame({"confidence": [0.2, 0.8], "right": [0.3, 0.7], "queries": [5, 9]})
    drawn = png(calibration_plot({"validation": bins, "test": bins.iloc[:0]}))
    assert drawn == png(calibration_plot({"validation": bins}))
    assert not _columns(drawn, COLOURS[1]).any()
    assert _columns(png(calibration_plot({"validation": bins, "test": bins})), COLOURS[1]).any()


def test_wilson_against_scipy() -> None:
    right, count = np.array([0, 3, 7, 20]), np.array([5, 3, 9, 80])
    low, high = wilson(right / count, count)
    for k, n, ends in zip(right, count, zip(low, high, strict=True), strict=True):
        assert ends == pytest.approx(tuple(binomtest(k, n).proportion_ci(0.95, "wilson")), abs=1e-4)


def test_intervals_stand_where_the_metrics_have_some() -> None:
    """Of validation the interval at rank 1 alone; of test, whose truth is not known, nothing."""
    rows = [("validation", "all", "all", "top1", 0.6, 0.5, 0.7, 9), ("validation", "all", "all", "top5", 0.9, *NONE, 9)]
    metrics = pd.DataFrame(rows, columns=["split", "by", "group", "metric", "value", "low", "high", "queries"])
    cmc = pd.DataFrame({"rank": range(1, 6), "validation": 0.6, "test": np.nan})
    axis = cmc_plot(metrics, cmc).axes[0]
    lines = [line.get_xydata() for line in axis.get_lines()]
    (interval,) = [line for line in lines if len(line) == 2]
    assert interval[:, 1].tolist() == [0.5, 0.7]
    assert interval[:, 0] == pytest.approx([1, 1], abs=0.1)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["validation, 9 photos"]


def test_a_threshold_stands_in_its_interval_and_a_default_has_none() -> None:
    curve = pd.DataFrame({"threshold": [0.1, 0.2], "map5": [0.5, 0.6]})
    axis = threshold_plot(curve, 0.15, (0.12, 0.18), 44).axes[0]
    assert axis.get_title("left") == "The choice of the threshold, on 44 validation photos"
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    assert told == ["threshold 0.150", "95 % interval 0.120 to 0.180"]
    assert [patch.get_bbox().intervalx.tolist() for patch in axis.patches] == [pytest.approx([0.12, 0.18])]
    assert not threshold_plot(curve, 0.15, None, 44).axes[0].patches


def _told(new: list[int], best: list[float], says_new: list[int]) -> Outcomes:
    count = len(new)
    return Outcomes(
        np.zeros(count, int), np.array(new, bool), np.array(says_new, bool), np.array(best), np.full(count, 0.5),
        np.arange(count),
    )  # fmt: skip


def test_the_roc_curve_by_hand() -> None:
    """Two new animals score 0.1 and 0.4, two known ones 0.3 and 0.9: of 0.1 < 0.3 < 0.4 < 0.9 the new ones first."""
    told = _told([1, 0, 1, 0], [0.1, 0.3, 0.4, 0.9], [1, 1, 0, 0])
    areas = [("test", "all", "all", "auroc_new", 0.75, 0.5, 0.9, 4)]
    metrics = pd.DataFrame(areas, columns=["split", "by", "group", "metric", "value", "low", "high", "queries"])
    axis = roc_plot({"test": told}, metrics).axes[0]
    _, curve, point = axis.get_lines()
    assert {(0.0, 0.5), (0.5, 0.5), (0.5, 1.0)} <= set(map(tuple, curve.get_xydata().tolist()))
    assert point.get_xydata().tolist() == [[0.5, 0.5]]
    assert (
        axis.get_legend().get_texts()[1].get_text()
        == "photos to identify, 2 new and 2 known:\narea 0.75 (0.50 to 0.90)"
    )


def test_scores_are_counted_by_kind() -> None:
    told = _told([1, 0, 1, 0, 0], [0.1, 0.3, 0.4, 0.9, 0.9], [0] * 5)
    figure = scores_plot({"validation": told}, 0.35, None)
    axis = figure.axes[0]
    assert axis.get_title("left") == "Validation: 3 photos of known, 2 of new animals"
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert [sum(kind) for kind in heights] == [3, 2]
    assert max(heights[0]) == 2


def test_files_have_the_same_bytes_each_time_and_tell_no_date() -> None:
    bins = pd.DataFrame({"confidence": [0.2, 0.8], "right": [0.3, 0.7], "queries": [5, 9]})
    one, two = (calibration_plot({"validation": bins}) for _ in range(2))
    assert png(one) == png(two)
    assert svg(one) == svg(two)
    assert b"date" not in svg(one)
    assert b"<title>A &amp; B</title>" in svg(one, "A & B")
    assert b"Matplotlib" not in svg(one)
