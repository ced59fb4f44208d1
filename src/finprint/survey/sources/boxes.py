"""Tables of boxes in every form that people have: one table of corners comes out, and a count of its rows."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.store.tables import SIDES
from finprint.survey.sources.annotations import (
    is_coco_file,
    read_coco,
    read_json_boxes,
    read_via_table,
    read_xml_boxes,
)
from finprint.survey.sources.disk import BESIDE, LABELS, walk
from finprint.survey.sources.marks import NONE, Mark, PhotoNames, are_shares, boxes_in, numbers_in
from finprint.survey.sources.sheets import COMMAS, locate, read_sheet, read_text, refuse_blanks, require
from finprint.survey.sources.yolo_labels import is_label, photo_of, read_yolo

COLUMNS = list(Mark._fields)
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
NAMES = {".txt": "YOLO .txt", ".xml": "Pascal VOC .xml", ".json": ".json"}
COMMA = re.compile(r"^\s*([-+]?\d+),(\d+)\s*$")  # a decimal comma


def read_boxes(
    folder: Path, tables: Iterable[str], least: float, photos: Iterable[str]
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Read tables of boxes: `boxes.csv` where it is there, then those named.

    Args:
        folder: where they lie.
        tables: NAME or NAME:PART. A name is of a table, of a .json or .xml file or of a folder of labels; `.` means
            the labels beside the photos, which are called as their photos.
        least: boxes of less confidence are left out.
        photos: ids of the photos. A table may call a photo by the end of its path, or by a longer path.

    Returns:
        A table of `COLUMNS`, and for each table its rows, boxes, empty (no box in this photo), malformed and
        unsure (below `least`). Malformed ones stay in the table, without corners, and so do photos without a box.

    Raises:
        UserError: a table is missing, its form is unknown, nobody says what part it shows, or it has no usable box.
    """
    called = PhotoNames(photos)
    named = [f"{name}:".split(":")[:2] for name in tables]
    if locate(folder / "boxes.csv") and "boxes.csv" not in [name for name, _ in named]:
        named.insert(0, ["boxes.csv", ""])
    read, counts = [pd.DataFrame(columns=COLUMNS)], {}
    for name, part in named:
        table = read_table_of_boxes(folder / name, part, called, name.rstrip("/") == BESIDE)
        sure, counts[name] = count(table, least)
        _refuse_useless(folder / name, table, counts[name], called)
        read.append(sure)
    return pd.concat([table for table in read if len(table)] or read, ignore_index=True), counts


def _refuse_useless(path: Path, table: pd.DataFrame, counts: dict[str, int], photos: PhotoNames) -> None:
    """Raise a UserError where a table gives no box at all, or none of a photo that there is."""
    rows = tally({name: number for name, number in counts.items() if number and name != "boxes"})
    first = next(iter(table.loc[table["written"] != "", "written"]), "")
    looks = f"; the first box is written as {first!r}" if first else ""
    if not counts["boxes"]:
        why = " All are below prepare.box_confidence." if counts["unsure"] else ""
        raise UserError(
            f"{path} gives no usable box ({rows or 'it is empty'}{looks}).{why} {_beginning(path)}".strip()
        )
    boxed = table.loc[table["written"] != "", "image"].drop_duplicates()
    if len(photos) and not any(image in photos for image in boxed):
        raise UserError(
            f"{path} lists none of your photos: it has {boxed.iloc[0]!r}, and they have names like {photos.first()!r}"
        )


def _beginning(path: Path) -> str:
    """What a table, a file or the first file of a folder looks like."""
    if path.is_dir():
        path = next(one for one in sorted(path.rglob("*")) if one.suffix.lower() in LABELS and is_label(one, path))
    if path.suffix.lower() in LABELS:
        text = " ".join(read_text(path).split())
        return f"{path.name} begins with {text[:120]!r}" if text else f"{path.name} is empty"
    table = read_sheet(path, [])
    row = ", ".join("" if pd.isna(cell) else str(cell) for cell in table.iloc[0]) if len(table) else "none"
    return f"Its columns: {', '.join(table.columns)}; its first row: {row[:200]}"


def read_table_of_boxes(
    path: Path, part: str = "", photos: Iterable[str] | PhotoNames = (), beside: bool = False
) -> pd.DataFrame:
    """Read one table of boxes, as `read_boxes` does; photos without a box have a row without corners.

    Args:
        path: of the table, or of a folder of labels.
        part: what all boxes show; empty: as the table says.
        photos: ids of the photos.
        beside: the folder has the photos as well.
    """
    called = photos if isinstance(photos, PhotoNames) else PhotoNames(photos)
    if path.is_dir():
        marks = _folder(path, part, called, beside)
    elif path.suffix.lower() == ".xml" and path.exists():
        marks = read_xml_boxes(path)
    elif path.suffix.lower() == ".json" and path.exists() and not is_coco_file(path):
        marks = read_json_boxes(path)
    else:
        marks = _table(path, part)
    boxed = [mark for mark in marks if mark.written]
    if boxed and not part and all(pd.isna(mark.part) for mark in boxed):
        raise UserError(f"{path} does not say what its boxes show: write prepare.boxes as {path.name}:body or :fin")
    table = pd.DataFrame(marks, columns=COLUMNS)
    table["image"] = table["image"].map({image: called.only(image) for image in table["image"].unique()})
    if part:
        table["part"] = part
    return table


def _folder(folder: Path, part: str, photos: PhotoNames, beside: bool) -> list[Mark]:
    """The boxes of a folder of labels, all of them in one form."""
    files: dict[str, list[Path]] = {}
    disk = walk(folder)
    for path in [folder / disk.files[name] for name in (disk.labels() if beside else disk.files)]:
        if path.suffix.lower() in LABELS and is_label(path, folder):
            files.setdefault(path.suffix.lower(), []).append(path)
    if {".txt", ".json"} == files.keys() and all(path.name in ("notes.json", "info.json") for path in files[".json"]):
        del files[".json"]  # Label Studio's, beside its YOLO labels
    if not files:
        called = " that is called as a photo beside it" if beside else ""
        raise UserError(f"{folder} holds no labels: no .txt of YOLO, no .xml of Pascal VOC, no .json{called}")
    if len(files) > 1:
        forms = " and ".join(f"{len(paths)} {NAMES[form]}" for form, paths in files.items())
        what = "keep one of the forms" if beside else "give each a folder of its own"
        raise UserError(f"{folder} holds labels in several forms ({forms}): {what}")
    ((form, paths),) = files.items()
    if form == ".txt":
        return read_yolo(folder, paths, part, photos, () if beside else (folder.parent,))
    marks = []
    for path in paths:
        these = _marks_of(path)
        images = {mark.image for mark in these}
        if len(images) == 1 and (beside or len(photos.called(images.pop())) != 1):
            own = photo_of(path, folder, photos)  # photos are renamed, and what a label says of itself is not
            these = [mark._replace(image=own) for mark in these] if own in photos else these
        marks += these
    return marks


def _marks_of(path: Path) -> list[Mark]:
    if path.suffix.lower() == ".xml":
        return read_xml_boxes(path)
    return _table(path, "") if is_coco_file(path) else read_json_boxes(path)


def _table(path: Path, part: str) -> list[Mark]:
    """The boxes of a table, or of COCO's annotations as one."""
    coco = path.suffix.lower() == ".json" and path.exists()
    place = path if coco else locate(path)
    if place is None:
        raise UserError(f"{path} is missing: prepare.boxes names it")
    table = read_coco(path) if coco else read_sheet(place, [])
    names = {name: _plain(name) for name in table.columns}
    if {"region_shape_attributes", "filename"} <= set(table):
        return read_via_table(table, place)
    photo = next((name for wanted in PHOTO for name in names if names[name] == wanted), "")
    if not photo:
        raise UserError(f"{place} has no column image (it has: {', '.join(table.columns)})")
    require(table, [photo], place)
    refuse_blanks(table, photo, place)
    sure = next((table[name] for name in names if names[name] in CONFIDENCE), None)
    text, form = _texts(table, names, place)
    shows = next((table[name] for wanted in PART for name in names if names[name] == wanted), None)
    if shows is None:
        shows = pd.Series(part or pd.NA, table.index, dtype="string")
    if not coco and form == "cell":
        form = _form_of(text)
    return _parse(table[photo], shows, text, "size" if form == "cell" else form, sure, str(place))[0]


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


def count(table: pd.DataFrame, least: float) -> tuple[pd.DataFrame, dict[str, int]]:
    """A table of `COLUMNS` without unsure boxes, and the counts of `read_boxes`. Photos without a box stay in it."""
    lacks = table[SIDES].isna().any(axis=1)
    empty = lacks & (table["written"] == "")
    unsure = ~lacks & (table["confidence"] < least)
    counts = {
        "rows": len(table), "boxes": int((~lacks & ~unsure).sum()), "empty": int(empty.sum()),
        "malformed": int((lacks & ~empty).sum()), "unsure": int(unsure.sum()),
    }  # fmt: skip
    return table[~unsure], counts


def tally(counts: Mapping[str, int]) -> str:
    """The counts of a table of boxes in words: `2 rows, 1 box, 1 empty`."""
    nouns = {"rows": "row", "boxes": "box"}
    return ", ".join(
        counted(number, nouns[name]) if name in nouns else f"{number} {name}" for name, number in counts.items()
    )


def joined(sides: pd.DataFrame) -> pd.Series:
    """Four columns as one text; missing where all four are."""
    if sides.attrs.get(COMMAS):
        sides = sides.apply(lambda column: column.map(_with_points, na_action="ignore"))
    text = sides.fillna("?").agg(", ".join, axis=1) if len(sides) else pd.Series(dtype="string")
    return text.astype("string").mask(sides.isna().all(axis=1))
