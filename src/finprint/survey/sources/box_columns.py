"""Boxes in the columns of a table: which columns hold them, and what the numbers in a cell are."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources.marks import (
    FORMS,
    NONE,
    NOTHING_TOLD,
    NUMBER,
    Corners,
    Mark,
    Told,
    are_shares,
    boxes_in,
    drawn_on,
    in_percent,
    numbers_in,
)
from finprint.survey.sources.sheets import COMMAS, refuse_blanks, require

COLUMNS = list(Mark._fields)
LOOKED_AT = 200  # cells in which four numbers are looked for
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
FORM_OF_CELL = re.compile("(?:b?box(?:es)?)?(xyxy|ltrb|voc|xywh|ltwh|coco|cxcywh|xcycwh)")  # bbox_xywh
FORMS_OF_CELLS = {
    "xyxy": "corners", "ltrb": "corners", "voc": "corners", "xywh": "size", "ltwh": "size", "coco": "size",
    "cxcywh": "centre", "xcycwh": "centre",
}  # fmt: skip
DRAWN = tuple((f"{photo}width", f"{photo}height") for photo in ("image", "img", "photo", "original", ""))
NOTHING = frozenset(["nan", "na", "n/a", "none", "null", "-"])  # what programs write into an empty cell
# As Python writes numbers and lists of numpy and torch: np.int64(513), array([1., 2.], dtype=float32).
OF_NUMPY = re.compile(r"np\.\w+\(([^()\[\]]*)\)|\b(?:array|tensor)(?=\()|,\s*dtype=[\w.]+")
PERCENT = re.compile(rf"({NUMBER})\s*%")
COMMA = re.compile(r"^\s*([-+]?\d+),(\d+)\s*$")  # a decimal comma


def read_columns(table: pd.DataFrame, part: str, path: Path, said: Told = NOTHING_TOLD, custom: str = "") -> list[Mark]:
    """The boxes of a table, a row a photo; a photo without a box has a mark as well.

    Args:
        table: of strings.
        part: what the boxes show where the table has no such column.
        path: of the table, for messages.
        said: what the owner says about the numbers.
        custom: what four numbers in one column are in such files, as in `parse`; empty: as most of the rows tell.

    Raises:
        UserError: a column is missing, a cell of the photos' column is empty, or shares and pixels are mixed.
    """
    names = {name: _plain(name) for name in table.columns}
    photo = next((name for wanted in PHOTO for name in names if names[name] == wanted), "")
    if not photo:
        raise UserError(f"{path} has no column image (it has: {', '.join(table.columns)})")
    require(table, [photo], path)
    refuse_blanks(table, photo, path)
    by_name = _by_name(names)
    sure = next((table[name] for name in names if names[name] in CONFIDENCE), None)
    text, told, used = _texts(table, by_name, path)
    certain = bool(said.form) or bool(FORM_OF_CELL.fullmatch(_plain(used[0])))
    shows = _parts(table, by_name)
    if shows is None:
        shows = pd.Series(part or pd.NA, table.index, dtype="string")
    form = said.form or (told if told != "cell" else custom or _form_of(text))
    doubt = "" if certain else form if told != "cell" or custom else f"{form}?"
    sizes = ([by_name.get(side, "") for side in sides] for sides in DRAWN)
    drawn = next((table[size] for size in sizes if all(size) and not set(size) & set(used)), None)
    return _parse(Columns(table[photo], shows, text, sure, drawn, doubt), form, said.unit, str(path))[0]


def has_boxes(table: pd.DataFrame) -> bool:
    """Has a table columns for boxes, whatever their form? One that may hold points needs four numbers in a cell."""
    found = _which(_by_name({name: _plain(name) for name in table.columns}))
    if found is None or found[0] != "cell":
        return found is not None
    return any(len(numbers_in(cell)) >= 4 for cell in table[found[1][0]].dropna().head(LOOKED_AT))


def four_columns(table: pd.DataFrame) -> tuple[str, str]:
    """The names of four columns of boxes, with spaces between them, and their form; two empty texts if there are none.

    Columns whose own names have spaces cannot be told so.
    """
    form, used = _which(_by_name({name: _plain(name) for name in table.columns})) or ("", [])
    return (" ".join(used), form) if len(used) == 4 and not any(" " in name for name in used) else ("", "")


def _by_name(names: dict[str, str]) -> dict[str, str]:
    """The first column of each plain name."""
    by_name: dict[str, str] = {}
    for name, plain in names.items():
        by_name.setdefault(plain, name)
    return by_name


def _parts(table: pd.DataFrame, by_name: dict[str, str]) -> pd.Series | None:
    """The column that tells what boxes show. Numbers of classes tell it to nobody; a column `name` may stand beside."""
    told = [by_name[name] for name in PART if name in by_name]
    named = [name for name in told if not all(numbers_in(cell) for cell in table[name].dropna())]
    if told and not named and "name" in by_name:
        named = [by_name["name"]]
    return table[named[0]] if named else None


def _plain(name: str) -> str:
    """A column's name in small letters, without signs and a `bbox` before a side's name."""
    letters = re.sub(r"[^a-z0-9]", "", name.casefold())
    sides = {side for four in FOUR.values() for names in four for side in names}
    bare = re.sub("^b?box", "", letters)
    return bare if bare in sides else letters


def _texts(table: pd.DataFrame, by_name: dict[str, str], path: Path) -> tuple[pd.Series, str, list[str]]:
    """The boxes as text, their form (one of `FORMS`, or `cell` for one column of four numbers), and their columns."""
    form, used = _which(by_name) or ("corners", list(SIDES))
    require(table, used, path)
    return (joined(table[used]) if len(used) > 1 else table[used[0]]), form, used


def _which(by_name: dict[str, str]) -> tuple[str, list[str]] | None:
    """The form of a table's boxes (one of `FORMS`, or `cell` for one column of four numbers), and their columns; None
    if it has none."""
    for form, several in FOUR.items():
        for sides in several:
            if all(side in by_name for side in sides):
                return form, [by_name[side] for side in sides]
    for name, column in by_name.items():
        if form_of_cell := FORM_OF_CELL.fullmatch(name):
            return FORMS_OF_CELLS[form_of_cell[1]], [column]
    cell = next((by_name[name] for name in CELL if name in by_name), "")
    return ("cell", [cell]) if cell else None


def _form_of(text: pd.Series) -> str:
    """Are a column's boxes corners, or x, y, width, height? Corners, unless most of them would have none or no area."""
    fours = [numbers for cell in text.dropna() if len(numbers := numbers_in(cell)) == 4]
    good = sum(x < right and y < bottom for x, y, right, bottom in fours)
    return "corners" if 2 * good >= len(fours) else "size"


@dataclass(frozen=True)
class Columns:
    """The columns of a table of boxes, a row a photo with several boxes in a cell or none.

    Attributes:
        image: the photos' names.
        part: what the boxes show.
        text: four numbers a box, in whatever brackets; six and more are the points of a polygon, of which eight are a
            turned box, and the box is the upright one around them. Missing: the photo has none.
        confidence: numbers as text, one a box; None: 1.
        drawn: width and height of the photo that the boxes were drawn on, in px; None where the table does not tell.
        doubt: the `form` of its marks.
    """

    image: pd.Series
    part: pd.Series
    text: pd.Series
    confidence: pd.Series | None = None
    drawn: pd.DataFrame | None = None
    doubt: str = ""


def parse(columns: Columns, form: str, unit: str = "") -> pd.DataFrame:
    """Boxes written as text.

    Args:
        columns: of the table.
        form: corners: x_min, y_min, x_max, y_max | size: x_min, y_min, width, height | centre: x and y of the centre,
            width, height.
        unit: pixels or percent; empty: as the numbers tell.

    Returns:
        A table of `COLUMNS`, a row a box, whose index is the number of the row it stood in; corners are NaN where there
        are none. They are shares of the photo's sides where all of them lie between 0 and 1.

    Raises:
        UserError: some boxes are shares, and others are pixels.
    """
    marks, rows = _parse(columns, form, unit, "the column of boxes")
    return pd.DataFrame(marks, columns=COLUMNS, index=rows)


def _parse(columns: Columns, form: str, unit: str, told: str) -> tuple[list[Mark], list[int]]:
    """Marks, and the number of the row that each stood in; `told` is the table, for messages."""
    index = columns.text.index
    sure = pd.Series(pd.NA, index) if columns.confidence is None else columns.confidence
    sizes = [(None, None)] * len(index) if columns.drawn is None else columns.drawn.itertuples(index=False, name=None)
    commas = bool(columns.text.attrs.get(COMMAS))
    marks, rows = [], []
    for row, (image, part, cell, conf, size) in enumerate(
        zip(columns.image, columns.part, columns.text, sure, sizes, strict=True)
    ):
        confs = numbers_in(_with_points(conf) if commas else conf) or [1.0]
        written = "" if pd.isna(cell) or str(cell).strip().casefold() in NOTHING else str(cell).strip("[]() ")
        plain = _four_with_points(written) if commas else str(cell)
        plain = _without_percent(OF_NUMPY.sub(r"\1", plain))
        boxes = boxes_in(plain, form, len(confs)) or _named_sides(plain) or [NONE]
        doubt = columns.doubt if len(numbers_in(plain)) == 4 * len(boxes) else ""
        these = [
            Mark(image, part, *corners, confs[k] if k < len(confs) else confs[-1], False, written, form=doubt)
            for k, corners in enumerate(boxes if written else [NONE])
        ]
        marks += drawn_on(these, *size)
        rows += [row] * len(these)
    if unit == "percent":
        marks = [in_percent(mark) for mark in marks]
    elif not unit and are_shares(marks, told):
        marks = [mark._replace(share=True) for mark in marks]
    return marks, rows


def _without_percent(text: str) -> str:
    """Numbers in percent as shares; as they are where only some have the sign."""
    signs = text.count("%")
    if not signs or signs != len(re.findall(NUMBER, text)):
        return text
    return PERCENT.sub(lambda number: repr(float(number[1]) / 100), text)


def _named_sides(text: str) -> list[Corners]:
    """The box of a cell that names its numbers as JSON or Python do: {"x": 1, "y": 2, "width": 3, "height": 4}."""
    if not text.strip().startswith("{"):
        return []
    try:
        sides = {_plain(str(name)): float(value) for name, value in ast.literal_eval(text.strip()).items()}
    except (ValueError, SyntaxError, TypeError, AttributeError):
        return []
    fits = [(form, names) for form, several in FOUR.items() for names in several if sides.keys() >= {*names}]
    return [FORMS[form]([sides[name] for name in names]) for form, names in fits[:1]]


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
    commas = sides.attrs.get(COMMAS)
    sides = sides.apply(
        lambda column: column.mask(column.str.strip().str.casefold().isin(NOTHING).fillna(False).astype(bool))
    )
    if commas:
        sides = sides.apply(lambda column: column.map(_with_points, na_action="ignore"))
    text = sides.fillna("?").agg(", ".join, axis=1) if len(sides) else pd.Series(dtype="string")
    return text.astype("string").mask(sides.isna().all(axis=1))
