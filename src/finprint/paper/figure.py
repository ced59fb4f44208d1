"""How figures look, and how they become PNG and SVG with the same bytes each time."""

import io

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GRID, GROUND = "#1d3557", "#d8dee6", "#e9eef3"
COLOURS = ("#1d6fb8", "#e07a1f")
SMALL = 8  # points, of letters beside the axes' names
DOTS = 150  # an inch of a PNG, for screens; SVG is for print


def new_figure(panels: int) -> tuple[Figure, np.ndarray]:
    """A figure of panels side by side, and their axes (panels,)."""
    figure = Figure(figsize=(4.6 * panels, 3.4), dpi=110, layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels))
    for axis in axes:
        styled(axis)
    return figure, axes


def stacked_figure(*heights: float) -> tuple[Figure, np.ndarray]:
    """A figure of panels one above another that share their x axis, and their axes; heights in inches."""
    figure = Figure(figsize=(4.6, 0.9 + sum(heights)), dpi=110, layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis in axes:
        styled(axis)
    return figure, axes


def styled(axis: Axes) -> None:
    """Give a panel its grid, its letters and its two spines."""
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=INK, labelsize=SMALL)


def titled(axis: Axes, title: str) -> None:
    """Set the title of a panel."""
    axis.set_title(title, color=INK, fontsize=9, loc="left")


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    return _saved(figure, "png", {"Software": None})


def svg(figure: Figure, title: str | None = None) -> bytes:
    """The figure as SVG, with letters as outlines: it looks the same with any fonts.

    Args:
        title: of the document, for those who hear it read out.
    """
    with matplotlib.rc_context({"svg.hashsalt": "finprint"}):  # or ids would be random
        return _saved(figure, "svg", {"Date": None, "Creator": None} | ({"Title": title} if title else {}))


def _saved(figure: Figure, kind: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata, dpi=DOTS if kind == "png" else "figure")
    return buffer.getvalue()
