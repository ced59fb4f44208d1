"""Confusing photos, each beside what it was taken for, as one picture."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finprint.paper.figure import COLOURS, GROUND, INK
from finprint.pictures.shards import Crops

SHOWN = 24  # photos on the contact sheet
PAIRS = 3  # in a row
CELL = (3.9, 1.95)  # inches, width and height of a pair with its caption
TITLE = 0.45  # inches, height
CAPTION = 0.3  # share of a cell's height
LETTERS = 34  # of a line that fit below a photo


def contact_sheet(listed: pd.DataFrame, next_known: pd.DataFrame, crops: Crops) -> Figure:
    """The first photos listed, each beside the photo that its answer comes from.

    Beside a photo that was answered `new_individual` is that of the known individual who came next.

    Args:
        listed: table of `doubts.COLUMNS`, of at least one row.
        next_known: by image of the photos listed, the columns `identity` and `match` of its best known individual.
    """
    shown = listed.head(SHOWN).to_dict("records")
    rows = -(-len(shown) // PAIRS)
    figure = Figure(figsize=(PAIRS * CELL[0], TITLE + rows * CELL[1]), dpi=110)
    head, body = figure.subfigures(2, 1, squeeze=False, height_ratios=[TITLE, rows * CELL[1]])[:, 0]
    head.text(0.01, 0.4, _title(listed), color=INK, fontsize=11)
    cells = body.subfigures(rows, PAIRS, squeeze=False).ravel()
    for cell, row in zip(cells, shown, strict=False):
        photo, match = cell.subplots(
            1, 2, gridspec_kw={"left": 0.02, "right": 0.98, "top": 0.98, "bottom": CAPTION, "wspace": 0.02}
        )
        colour = COLOURS[1] if row["why"] == "contradicted" else COLOURS[0]
        _show(photo, row["image"], crops)
        _caption(photo, [row["why"], f"labelled {row['identity']}", row["image"]], colour)
        told = [f"answered {row['answered']}, {100 * row['probability']:.0f} % sure"]
        if pd.notna(row["match"]):
            _show(match, row["match"], crops)
            _caption(match, [*told, row["match"]], colour)
        elif row["image"] in next_known.index:
            other = next_known.loc[row["image"]]
            _show(match, other["match"], crops)
            _caption(match, [*told, f"next: {other['identity']}", other["match"]], colour)
        else:
            _show(match, None, crops)
            _caption(match, told, colour)
    return figure


def _title(listed: pd.DataFrame) -> str:
    counts = listed["why"].value_counts()
    told = ", ".join(f"{counts[why]} {why}" for why in ("contradicted", "undecided") if why in counts)
    rest = f"; the first {SHOWN}" if len(listed) > SHOWN else ""
    return f"Labelled photos to look at again ({told}{rest}), each beside the photo that its answer comes from"


def _show(axis: Axes, image: str | None, crops: Crops) -> None:
    """A photo in a box of fixed size, or the reason why there is none."""
    axis.set(xticks=[], yticks=[], facecolor=GROUND)
    axis.spines[:].set_visible(False)
    if image is None:
        axis.text(0.5, 0.5, "nobody is known", color=INK, fontsize=8, ha="center", va="center")
        return
    axis.imshow(crops.pixels(int(crops.rows(pd.Series([image]))[0])), interpolation="bilinear")
    axis.set_adjustable("datalim")  # the box stays, with ground beside a photo of another shape


def _caption(axis: Axes, lines: list[str], colour: str) -> None:
    """Lines of text below a box, the first one in a colour; a name may hold dollars, which are no formula."""
    for number, line in enumerate(lines):
        short = line if len(line) <= LETTERS else f"…{line[1 - LETTERS :]}"
        text = axis.text(0, -0.04 - 0.13 * number, short, fontsize=7.5, va="top", transform=axis.transAxes)
        text.set(color=INK if number else colour, parse_math=False)
