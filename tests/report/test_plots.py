"""Plots: what is drawn of which numbers, and files of the same bytes."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.stats import binomtest

from finprint.paper.figure import COLOURS, png, svg
from finprint.report.plots import answers_plot, calibration_plot, epochs_plot, wilson

NONE = (np.nan, np.nan)


def _columns(picture: bytes, colour: str) -> np.ndarray:
    """Which columns of a picture hold a colour, a flag each."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return (np.abs(pixels - np.array(to_rgb(colour)) * 255).max(axis=2) < 12).any(axis=0)


def test_epochs_that_were_not_scored_leave_no_gap() -> None:
    """The line goes from one score to the next, through the right half of the picture."""
    told = pd.DataFrame({"epoch": range(1, 12), "loss": np.linspace(9, 1, 11), "map5": [0.1, *[np.nan] * 9, 0.9]})
    drawn = _columns(png(epochs_plot({"round 1": told})), COLOURS[0])
    places = np.flatnonzero(drawn[len(drawn) // 2 :])
    assert len(places) > len(drawn) / 4
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
    threshold = pd.DataFrame({"threshold": [0.1, 0.2], "map5": [0.5, 0.6]})
    left = answers_plot(metrics, cmc, threshold, 0.15).axes[0]
    lines = [line.get_xydata().tolist() for line in left.get_lines()]
    assert [line for line in lines if len(line) == 2] == [[[1, 0.5], [1, 0.7]]]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["validation, 9 queries"]
    nothing = answers_plot(metrics.iloc[:0], cmc, threshold.iloc[:0], 0.15)
    assert not nothing.axes[0].get_lines()


def test_files_have_the_same_bytes_each_time_and_tell_no_date() -> None:
    bins = pd.DataFrame({"confidence": [0.2, 0.8], "right": [0.3, 0.7], "queries": [5, 9]})
    one, two = (calibration_plot({"validation": bins}) for _ in range(2))
    assert png(one) == png(two)
    assert svg(one) == svg(two)
    assert b"date" not in svg(one)
    assert b"Matplotlib" not in svg(one)
