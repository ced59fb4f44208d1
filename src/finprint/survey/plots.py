"""The long tail of a collection, as a figure."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from finprint.paper.figure import COLOURS, new_figure, png


def tail_plot(photos: np.ndarray) -> bytes:
    """The long tail: photos of each individual, most first, and how many individuals have so many photos.

    Args:
        photos: (C,) photos of each individual.
    """
    figure, (left, right) = new_figure(2)
    ordered = np.sort(photos)[::-1]
    left.fill_between(np.arange(1, len(ordered) + 1), ordered, step="mid", color=COLOURS[0], alpha=0.8, linewidth=0)
    left.set(
        title=f"{photos.sum():,} photos of {len(photos):,} individuals",
        xlabel="individual, most photographed first",
        ylabel="photos",
        ylim=(0, None),
        xlim=(0.5, len(ordered) + 0.5),
    )
    most = min(int(ordered[0]), 20)
    counts = np.bincount(np.minimum(ordered, most), minlength=most + 1)[1:]
    right.bar(np.arange(1, most + 1), counts, color=COLOURS[0])
    for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):  # all of them count
        axis.set_major_locator(MaxNLocator(integer=True))
    right.set(
        title=f"individuals with one photo: {(photos == 1).sum():,}",
        xlabel=f"photos ({most}: {most} or more)" if ordered[0] > most else "photos",
        ylabel="individuals",
    )
    return png(figure)
