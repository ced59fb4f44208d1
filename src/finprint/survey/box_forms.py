"""What the numbers of a table of boxes are, told by all its boxes and the sizes of its photos; never a silent guess."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.store.tables import SIDES
from finprint.survey.frames import OVERHANG
from finprint.survey.sources.marks import OWN, SLACK

LOST, SAVED = 0.2, 0.02  # shares of boxes that do not fit by custom, and at most by another form, to doubt the custom
CLEAR = 0.1  # share of boxes that must not fit one form, if nothing but the photos tells it from another
FEW = 3  # different boxes below which columns such as x_max are believed: some boxes may be wrong
MANY = 12  # boxes from which on their places tell whether they were drawn on copies of another size
OVER = 0.05  # of a photo's side, by which a box may reach outside of it without a doubt
QUARTER = 0.5  # of a photo's sides: the upper left quarter
PERCENT = 100  # numbers up to this are percent, not pixels, ...
LARGE = 500  # ... if half of the photos' shorter sides have so many px
WORDS = {"corners": "two corners", "size": "a corner, width and height", "centre": "a centre, width and height"}
TO_NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "corners": lambda c: c,
    "size": lambda c: np.hstack([c[:, :2], c[:, 2:] - c[:, :2]]),
    "centre": lambda c: np.hstack([(c[:, :2] + c[:, 2:]) / 2, c[:, 2:] - c[:, :2]]),
}

FROM_NUMBERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "corners": lambda n: n,
    "size": lambda n: np.hstack([n[:, :2], n[:, :2] + n[:, 2:]]),
    "centre": lambda n: np.hstack([n[:, :2] - n[:, 2:] / 2, n[:, :2] + n[:, 2:] / 2]),
}


class OtherForm(UserError):
    """Boxes fit their photos in other forms than that in which they were read.

    Attributes:
        entry: the table, as `Mark.told` has it.
        better: these forms.
    """

    def __init__(self, message: str, entry: str, better: list[str]) -> None:
        super().__init__(message)
        self.entry, self.better = entry, better


def settle(boxes: pd.DataFrame) -> pd.DataFrame:
    """Boxes whose numbers are what most of their table must be; those of each table are looked at together.

    Of `t.csv` with a column `bbox` nobody knows whether it holds corners, or a corner, width and height. Read in the
    wrong form, many boxes of a table are empty or reach outside of their photos.

    Args:
        boxes: table (told, form, share, corners as read, width and height of the photos in px, drawn_width,
            drawn_height), as `read_boxes` makes it, joined with the photos. Rows of photos that are missing have NaN.

    Raises:
        OtherForm: another form than that of custom fits.
        UserError: both forms fit, x and y are swapped, or numbers in pixels look like percent or were drawn on copies
            of another size.
    """
    with_photo = boxes[["width", *SIDES]].notna().all(axis=1) & boxes["told"].notna()
    settled = boxes.copy()
    for entry, table in boxes[with_photo].groupby("told", sort=False):
        doubtful = table[table["form"] != ""]
        for form, rows in doubtful.groupby("form", sort=False):
            settled.loc[rows.index, SIDES] = _settled(rows, str(form), str(entry))
        _refuse_other_pixels(settled.loc[table.index], str(entry))
    return settled


def _settled(rows: pd.DataFrame, form: str, entry: str) -> np.ndarray:
    """The corners of boxes of one table, read in the form that fits."""
    guessed, custom = form.endswith("?"), form.rstrip("?")
    numbers = TO_NUMBERS[custom](rows[SIDES].to_numpy(float))
    read = {one: make(numbers) for one, make in FROM_NUMBERS.items()}
    bad = {one: 1 - _fits(corners, rows).mean() for one, corners in read.items()}
    _refuse_swapped(rows, read, min(bad.values()), entry)
    if not guessed:
        better = [one for one in bad if bad[one] <= SAVED]
        few = custom == "corners" and len(rows[SIDES].drop_duplicates()) < FEW
        if bad[custom] >= LOST and better and not few:
            raise _wrong(rows, entry, custom, better, bad[custom])
        return np.asarray(rows[SIDES].to_numpy(float))
    one, other = sorted(("corners", "size"), key=lambda one: bad[one])
    if bad[one] >= LOST and bad["centre"] <= SAVED:
        raise _wrong(rows, entry, one, ["centre"], bad[one])
    if bad[other] - bad[one] < CLEAR:
        raise UserError(
            f"{_called(entry)}: are the four numbers of a box {WORDS['corners']}, or {WORDS['size']}? The "
            f"{counted(len(rows), 'box')} fit both, such as {rows['written'].iloc[0]!r}: "
            f"{_ask(entry, 'corners')} or {_ask(entry, 'size')}"
        )
    return read[one]


def _fits(corners: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    """Which boxes have an area and lie in the photo that they were drawn on."""
    drawn = rows[["drawn_width", "drawn_height"]].to_numpy(float)
    either_way = np.maximum(drawn, drawn[:, ::-1])  # that photo may not be turned yet
    frame = np.where(np.isnan(drawn), rows[["width", "height"]].to_numpy(float), either_way)
    share = rows["share"].to_numpy(bool)[:, None]
    frame, slack = np.where(share, 1, frame), np.where(share, SLACK, OVERHANG)
    inside = (corners[:, :2] >= -slack) & (corners[:, 2:] <= frame + slack) & (corners[:, :2] < corners[:, 2:])
    return np.asarray(inside.all(axis=1))


def _refuse_swapped(rows: pd.DataFrame, read: dict[str, np.ndarray], bad: float, entry: str) -> None:
    """Raise a UserError where boxes fit in no form, but would if x and y were the other way round."""
    swapped = [1 - _fits(corners[:, [1, 0, 3, 2]], rows).mean() for form, corners in read.items() if form != "centre"]
    if bad >= LOST and min(swapped) <= SAVED:
        raise UserError(
            f"{_called(entry)}: {bad:.0%} of the boxes are empty or reach outside of their photos, such as "
            f"{rows['written'].iloc[0]!r} of {rows['image'].iloc[0]}. With x and y the other way round they fit: write "
            "x before y"
        )


def _refuse_other_pixels(table: pd.DataFrame, entry: str) -> None:
    """Raise a UserError where numbers in pixels look like percent, or like those of a larger or smaller copy."""
    if "pixels" in entry.split(":")[2:] or table["drawn_width"].notna().any() or table["share"].any():
        return
    _refuse_percent(table, entry)
    if len(table[SIDES].drop_duplicates()) < MANY:
        return
    corners, size = table[SIDES].to_numpy(float), table[["width", "height"]].to_numpy(float)
    outside = ((corners[:, 2:] > (1 + OVER) * size) | (corners[:, :2] < -OVER * size)).any(axis=1).mean()
    inner = (corners[:, 2:] <= QUARTER * size).all() and np.median(size.min(axis=1)) >= LARGE
    if outside >= LOST or inner:
        where = "all boxes lie in the upper left quarter" if inner else f"{outside:.0%} of the boxes reach outside"
        other = "smaller" if inner else "larger"
        width, height = size[0]
        raise UserError(
            f"{_called(entry)}: {where} of their photos, such as {table['written'].iloc[0]!r} in one of {width:.0f} x "
            f"{height:.0f} px. Were they drawn on {other} copies? Then add columns width and height with the copies' "
            f"size; if not, {_ask(entry, 'pixels')}"
        )


def _refuse_percent(table: pd.DataFrame, entry: str) -> None:
    """Raise a UserError where boxes in pixels would all lie in a corner of large photos: they are percent."""
    corners = table[SIDES].to_numpy(float)
    if corners.max() <= PERCENT and table[["width", "height"]].min(axis=1).median() >= LARGE:
        width, height = table[["width", "height"]].iloc[0]
        raise UserError(
            f"{_called(entry)}: no number is above {PERCENT}, such as {table['written'].iloc[0]!r} in a photo of "
            f"{width:.0f} x {height:.0f} px. If they are percent of the sides, {_ask(entry, 'percent')}; if they are "
            f"pixels, {_ask(entry, 'pixels')}"
        )


def _wrong(rows: pd.DataFrame, entry: str, custom: str, better: list[str], share: float) -> OtherForm:
    forms = ", or as ".join(WORDS[form] for form in better)
    return OtherForm(
        f"{_called(entry)}: read as {WORDS[custom]}, {share:.0%} of the boxes are empty or reach outside of their "
        f"photos, such as {rows['written'].iloc[0]!r} of {rows['image'].iloc[0]}. Read as {forms}, they fit: "
        f"{' or '.join(_ask(entry, form) for form in better)}",
        entry,
        better,
    )


def _called(entry: str) -> str:
    return entry.partition(":")[0]


def _ask(entry: str, word: str) -> str:
    """What to write where a table's numbers are not told."""
    name, part, *words = f"{entry}:".split(":")
    if name == OWN:
        return f"set prepare.csv.{'box_form' if word in WORDS else 'box_unit'} to {word}"
    return f"write {':'.join([name, part, *(one for one in words if one), word])} in prepare.boxes"
