"""Confusing photos, each beside what it was taken for, as one picture."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finprint.paper.figure import COLOURS, GROUND, INK
from finprint.pictures.shards import Crops
from finprint.store.tables import NEW

SHOWN = 24  # photos on the contact sheet
PAIRS = 3  # in a row
CELL = (3.9, 1.95)  # inches, width and height of a pair with its caption
TITLE = 0.45  # inches, height
CAPTION = 0.3  # share of a cell's height
LETTERS = 34  # of a line that fit below a photo


def contact_sheet(listed: pd.DataFrame, next_known: pd.DataFrame, rivals: pd.DataFrame, crops: Crops) -> Figure:
    """The first photos listed, each beside the photo that it was confused with.

    That is the photo that a wrong answer comes from. Beside a photo that was answered `new_individual` it is that of
    the known individual who came next; beside one that was answered rightly but without being sure, that of the best
    other answer.

    Args:
        listed: table of `doubts.COLUMNS`, of at least one row.
        next_known: by image of the photos listed, the columns `identity` and `match` of its best known individual.
        rivals: by image, `identity`, `probability` and `match` of its best answer that is not its label.
    """
    shown = listed.head(SHOWN).to_dict("records")
    rows = -(-len(shown) // PAIRS)
    figure = Figure(figsize=(PAIRS * CELL[0], TITLE + rows * CELL[1]), dpi=110)
    head, body = figure.subfigures(2, 1, squeeze=False, height_ratios=[TITLE, rows * CELL[1]])[:, 0]
    head.text(0.01, 0.4, _title(listed), color=INK, fontsize=11)
    cells = body.subfigures(rows, PAIRS, squeeze=False).ravel()
    for cell, row in zip(cells, shown, strict=False):
        match, told = _confused(row, next_known, rivals)
        colour = COLOURS[1] if row["why"] == "contradicted" else COLOURS[0]
        axes = cell.subplots(
            1, 2 if match else 1,
            gridspec_kw={"left": 0.02, "right": 0.98, "top": 0.98, "bottom": CAPTION, "wspace": 0.02}, squeeze=False,
        )[0]  # fmt: skip
        captions = [[f"{row['why']}: labelled", row["identity"], row["image"]], told]
        if not match:
            captions = [[f"{row['why']}: labelled {row['identity']}", *told, row["image"]]]
        for axis, image, lines in zip(axes, (row["image"], match), captions, strict=False):
            _show(axis, image, crops)
            _caption(axis, lines, colour)
    return figure


def _confused(
    row: Mapping[Hashable, Any], next_known: pd.DataFrame, rivals: pd.DataFrame
) -> tuple[str | None, list[str]]:
    """The photo that a listed photo was confused with, and the lines below it; no photo where nobody is known."""
    image, sure = row["image"], f"{100 * row['probability']:.0f} %"
    if row["answered"] == row["identity"] and image in rivals.index:
        rival = rivals.loc[image]
        other = f"{100 * rival['probability']:.0f} %"
        if rival["identity"] == NEW:
            return row["match"], [f"answered so, {sure}; or new, {other}", row["identity"], row["match"]]
        return rival["match"], [f"answered so, {sure}; or, {other},", rival["identity"], rival["match"]]
    if row["answered"] != NEW:
        return row["match"], [f"answered, {sure} sure", row["answered"], row["match"]]
    if image not in next_known.index:
        return None, [f"answered new, {sure} sure; nobody is known"]
    other = next_known.loc[image]
    return other["match"], [f"answered new, {sure}; most like", other["identity"], other["match"]]


def _title(listed: pd.DataFrame) -> str:
    counts = listed["why"].value_counts()
    told = ", ".join(f"{counts[why]} {why}" for why in ("contradicted", "undecided") if why in counts)
    rest = f"; the first {SHOWN}" if len(listed) > SHOWN else ""
    return f"Labelled photos to look at again ({told}{rest}), each beside what it was confused with"


def _show(axis: Axes, image: str, crops: Crops) -> None:
    """A photo in a box of fixed size."""
    axis.set(xticks=[], yticks=[], facecolor=GROUND)
    axis.spines[:].set_visible(False)
    axis.imshow(crops.pixels(int(crops.rows(pd.Series([image]))[0])), interpolation="bilinear")
    axis.set_adjustable("datalim")  # the box stays, with ground beside a photo of another shape


def _caption(axis: Axes, lines: list[str], colour: str) -> None:
    """Lines of text below a box, the first one in a colour; a name may hold dollars, which are no formula."""
    for number, line in enumerate(lines):
        short = line if len(line) <= LETTERS else f"…{line[1 - LETTERS :]}"
        text = axis.text(0, -0.04 - 0.13 * number, short, fontsize=7.5, va="top", transform=axis.transAxes)
        text.set(color=INK if number else colour, parse_math=False)
