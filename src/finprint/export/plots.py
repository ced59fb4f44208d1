"""Discovery curve and sighting frequencies, as figures."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from finprint.paper.figure import COLOURS, new_figure, titled


def sighting_plots(discovered: pd.Series, seen: pd.DataFrame) -> Figure:
    """How many individuals were known after each occasion, and on how many occasions each was seen.

    Args:
        discovered: numbers, by occasion.
        seen: (C, T) 0 or 1.
    """
    figure, (left, right) = new_figure(2)
    titled(left, f"{int(discovered.iloc[-1])} individuals on {len(discovered)} occasions")
    left.plot(range(1, len(discovered) + 1), discovered.to_numpy(), color=COLOURS[0], marker="o", markersize=3)
    ticks = range(1, len(discovered) + 1, max(1, len(discovered) // 6))
    left.set_xticks(list(ticks), [str(discovered.index[place - 1]) for place in ticks], rotation=30)
    left.set(xlabel="occasion", ylabel="individuals seen so far", ylim=(0, None))
    times = seen.sum(axis=1).value_counts().sort_index()
    titled(right, f"{int(times.get(1, 0))} individuals seen on one occasion alone")
    right.bar(times.index.to_numpy(), times.to_numpy(), color=COLOURS[0])
    right.set(xlabel="occasions on which seen", ylabel="individuals")
    for axis in (left.yaxis, right.xaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    return figure
