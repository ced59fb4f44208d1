"""Boxes in the columns of a table: which columns hold them, and what the numbers in a cell are."""

import re
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources.marks import NONE, Mark, are_shares, boxes_in, numbers_in
from finprint.survey.sources.sheets import COMMAS, refuse_blanks, require

COLUMNS = list(Mark._fields)
# What columns are called, in small letters and without signs and a `bbox` or `box` in front.
# What columns are called, in small letters and without signs and a `bbox` or `box` in front.
PHOTO = ("image", "filename", "file", "path", "imageid", "imagename", "imagepath", "filepath", "img", "relativepath")
PART = ("part", "category", "label", "class", "classname", "labelname")
CONFIDENCE = ("conf", "confidence", "score")
FOUR = {
    "corners": (
        ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"),
        ("left", "top", "right", "bottom"), ("minx", "miny", "maxx", "maxy"), ("xtl", "ytl", "xbr", "ybr"),
        ("xtopleft", "ytopleft", "xbottomright", "ybottomright"),
    ),
    "centre": tuple(
        (x, y, *sides) for sides in (("w", "h"), ("width", "height"))
        for x, y in (("xcenter", "ycenter"), ("xcentre", "ycentre"), ("cx", "cy"), ("xc", "yc"), ("centerx", "centery"))
    ),
    "size": tuple(
        (x, y, *sides) for sides in (("w", "h"), ("width", "height"))
        for x, y in (("x", "y"), ("xmin", "ymin"), ("left", "top"), ("x1", "y1"), ("x0", "y0"))
    ),
}  # fmt: skip
CELL = ("bbox", "box", "boundingbox", "bndbox", "boxes", "bboxes", "polygon", "segmentation", "points", "coordinates")
COMMA = re.compile(r"^\s*([-+]?\d+),(\d+)\s*$")  # a decimal comma


def read_columns(table: pd.DataFrame, part: str, path: Path, form: str = "") -> list[Mark]:
    """The boxes of a table, a row a photo; a photo without a box has a mark as well.

    Args:
        table: of strings.
        part: what the boxes show where the table has no such column.
        path: of the table, for messages.
        form: what four numbers in one column are, as in `parse`; empty: as most of the rows tell.

    Raises:
        UserError: a column is missing, a cell of the photos' column is empty, or shares and pixels are mixed.
    """
    names = {name: _plain(name) for name in table.columns}
    photo = next((name for wanted in PHOTO for name in names if names[name] == wanted), "")
    if not photo:
        raise UserError(f"{path} has no column image (it has: {', '.join(table.columns)})")
    require(table, [photo], path)
    refuse_blanks(table, photo, path)
    sure = next((table[name] for name in names if names[name] in CONFIDENCE), None)
    text, told = _texts(table, names, path)
    shows = next((table[name] for wanted in PART for name in names if names[name] == wanted), None)
    if shows is None:
        shows = pd.Series(part or pd.NA, table.index, dtype="string")
    if told == "cell":
        told = form or _form_of(text)
    return _parse(table[photo], shows, text, told, sure, str(path))[0]


def _plain(name: str) -> str:
    """A column's name in small letters, without signs and a `bbox` before a side's name."""
    letters = re.sub(r"[^a-z0-9]", "", name.casefold())
    sides = {side for four in FOUR.values() for names in four for side in names}
    bare = re.sub("^b?box", "", letters)
    return bare if bare in sides else letters


def _texts(table: pd.DataFrame, names: dict[str, str], path: Path) -> tuple[pd.Series, str]:
    """The boxes as text, and their form: one of `FORMS`, or `cell` for one column of four numbers."""
    by_name: dict[str, str] = {}
    for name, plain in names.items():
        by_name.setdefault(plain, name)
    for form, several in FOUR.items():
        for sides in several:
            if all(side in by_name for side in sides):
                return joined(table[[by_name[side] for side in sides]]), form
    cell = next((by_name[name] for name in CELL if name in by_name), "")
    if not cell:
        require(table, SIDES, path)
    return table[cell], "cell"


def _form_of(text: pd.Series) -> str:
    """Are a column's boxes corners, or x, y, width, height? Corners, unless most of them would have none or no area."""
    fours = [numbers for cell in text.dropna() if len(numbers := numbers_in(cell)) == 4]
    good = sum(x < right and y < bottom for x, y, right, bottom in fours)
    return "corners" if 2 * good >= len(fours) else "size"


def parse(
    image: pd.Series, part: pd.Series, text: pd.Series, form: str, confidence: pd.Series | None = None
) -> pd.DataFrame:
    """Boxes written as text, one photo a row, several boxes a cell or none.

    Args:
        image: the photos' names.
        part: what the boxes show.
        text: four numbers a box, in whatever brackets; six and more are the points of a polygon, of which eight are a
            turned box, and the box is the upright one around them. Missing: the photo has none.
        form: corners: x_min, y_min, x_max, y_max | size: x_min, y_min, width, height | centre: x and y of the centre,
            width, height.
        confidence: numbers as text, one a box; None: 1.

    Returns:
        A table of `COLUMNS`, a row a box, whose index is the number of the row it stood in; corners are NaN where there
        are none. They are shares of the photo's sides where all of them lie between 0 and 1.

    Raises:
        UserError: some boxes are shares, and others are pixels.
    """
    marks, rows = _parse(image, part, text, form, confidence, "the column of boxes")
    return pd.DataFrame(marks, columns=COLUMNS, index=rows)


def _parse(
    image: pd.Series, part: pd.Series, text: pd.Series, form: str, confidence: pd.Series | None, told: str
) -> tuple[list[Mark], list[int]]:
    """Marks, and the number of the row that each stood in."""
    sure = pd.Series(pd.NA, image.index) if confidence is None else confidence
    commas = bool(text.attrs.get(COMMAS))
    marks, rows = [], []
    for row, (one, shows, cell, conf) in enumerate(zip(image, part, text, sure, strict=True)):
        confs = numbers_in(_with_points(conf) if commas else conf) or [1.0]
        written = "" if pd.isna(cell) else str(cell).strip("[]() ")
        plain = _four_with_points(written) if commas else str(cell)
        for k, corners in enumerate(boxes_in(plain, form, len(confs)) or [NONE]):
            marks.append(Mark(one, shows, *corners, confs[k] if k < len(confs) else confs[-1], False, written))
            rows.append(row)
    shares = are_shares(marks, told)
    return [mark._replace(share=True) for mark in marks] if shares else marks, rows


def _with_points(text: object) -> object:
    """A number's decimal comma as a point."""
    return COMMA.sub(r"\1.\2", text) if isinstance(text, str) else text


def _four_with_points(text: str) -> str:
    """Four numbers with decimal commas in one cell; "" where four commas might be those between x and y, too."""
    cells = text.replace(";", " ").split()
    if len(cells) != 4 or not any(COMMA.match(cell) for cell in cells):
        return text
    return "" if all(COMMA.match(cell) for cell in cells) else " ".join(str(_with_points(cell)) for cell in cells)


def joined(sides: pd.DataFrame) -> pd.Series:
    """Four columns as one text; missing where all four are."""
    if sides.attrs.get(COMMAS):
        sides = sides.apply(lambda column: column.map(_with_points, na_action="ignore"))
    text = sides.fillna("?").agg(", ".join, axis=1) if len(sides) else pd.Series(dtype="string")
    return text.astype("string").mask(sides.isna().all(axis=1))
