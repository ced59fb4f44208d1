import io

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from PIL import Image

from finprint.paper.figure import COLOURS
from finprint.report.plots import calibration_plot, epochs_plot


def _columns(png: bytes, colour: str) -> np.ndarray:
    """Which columns of a picture hold a colour, a flag each."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return (np.abs(pixels - np.array(to_rgb(colour)) * 255).max(axis=2) < 12).any(axis=0)


def test_epochs_that_were_not_scored_leave_no_gap() -> None:
    """The line goes from one score to the next, through the right half of the picture."""
    told = pd.DataFrame({"epoch": range(1, 12), "loss": np.linspace(9, 1, 11), "map5": [0.1, *[np.nan] * 9, 0.9]})
    drawn = _columns(epochs_plot({"round 1": told}), COLOURS[0])
    places = np.flatnonzero(drawn[len(drawn) // 2 :])
    assert len(places) > len(drawn) / 4
    assert np.diff(places).max() == 1


def test_a_split_without_truth_is_not_in_the_legend() -> None:
    bins = pd.DataFrame({"confidence": [0.2, 0.8], "right": [0.3, 0.7], "queries": [5, 9]})
    png = calibration_plot({"validation": bins, "test": bins.iloc[:0]})
    assert png == calibration_plot({"validation": bins})
    assert not _columns(png, COLOURS[1]).any()
    assert _columns(calibration_plot({"validation": bins, "test": bins}), COLOURS[1]).any()
