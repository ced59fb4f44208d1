"""How figures look, and figures as PNG."""

import io

import numpy as np
from matplotlib.figure import Figure

INK, GRID = "#1d3557", "#d8dee6"


COLOURS = ("#1d6fb8", "#e07a1f")


def new_figure(panels: int) -> tuple[Figure, np.ndarray]:
    """A figure of panels side by side, and their axes (panels,)."""
    figure = Figure(figsize=(4.6 * panels, 3.2), dpi=110, layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels))
    for axis in axes:
        axis.grid(color=GRID, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=INK, labelsize=8)
    return figure, axes


def png(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
