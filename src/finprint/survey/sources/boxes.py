"""Tables of boxes in every form that people publish: one table of corners comes out, and a count of its rows."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import read_json
from finprint.store.tables import SIDES
from finprint.survey.sources.source import read_csv, refuse_blanks, require

# share: the corners are shares of the photo's sides, not pixels; written: as it stood there, for messages.
COLUMNS = ["image", "part", *SIDES, "confidence", "share", "written"]
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NUMBERS = re.compile(rf"[\s\[(]*{NUMBER}(?:[\s,;\[\]()]+{NUMBER})*[\s\])]*")  # four, in whatever brackets
PHOTO = ("image", "filename", "file_name", "path", "image_id")  # what the column of the photo's name is called


def read_boxes(
    folder: Path, tables: Iterable[str], least: float, photos: Iterable[str]
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Read tables of boxes: `boxes.csv` where it is there, then those named.

    Args:
        folder: where they lie.
        tables: NAME or NAME:PART. A name is of a CSV (also .gz), of a COCO .json or of a folder of YOLO's .txt.
        least: boxes of less confidence are left out.
        photos: ids of the photos, for YOLO's files, which are called as their photo but for the suffix.

    Returns:
        A table of `COLUMNS`, and for each table its rows, boxes, empty (no box in this photo), malformed and
        unsure (below `least`). Malformed ones stay in the table, without corners.

    Raises:
        UserError: a table is missing, its form is unknown, or nobody says what part it shows.
    """
    named = [f"{name}:".split(":")[:2] for name in tables]
    if (folder / "boxes.csv").exists() and "boxes.csv" not in [name for name, _ in named]:
        named.insert(0, ["boxes.csv", ""])
    found, counts = [pd.DataFrame(columns=COLUMNS)], {}
    for name, part in named:
        table, counts[name] = count(read_table_of_boxes(folder / name, part, photos), least)
        found.append(table)
    return pd.concat([table for table in found if len(table)] or found, ignore_index=True), counts


def read_table_of_boxes(path: Path, part: str = "", photos: Iterable[str] = ()) -> pd.DataFrame:
    """Read one table of boxes, as `read_boxes` does; photos without a box have a row without corners."""
    if path.is_dir():
        return _yolo(path, part, photos)
    if not path.exists():
        raise UserError(f"{path} is missing: prepare.boxes names it")
    if path.suffix == ".json":
        table, form = read_coco(path).rename(columns={"category": "part"}), "size"
    else:
        table, form = read_csv(path, []), "corners"
    name = next((column for column in PHOTO if column in table), "")
    if not name:
        raise UserError(f"{path} has no column image (it has: {', '.join(table.columns)})")
    refuse_blanks(table, name, path)
    if set(SIDES) <= set(table):
        text = joined(table[SIDES])
    elif {"x", "y", "w", "h"} <= set(table):
        text, form = joined(table[["x", "y", "w", "h"]]), "size"
    elif "bbox" in table or "box" in table:
        text = table["bbox" if "bbox" in table else "box"]
    else:
        require(table, SIDES, path)
    if part:
        table["part"] = part
    elif "part" not in table:
        raise UserError(f"{path} says not what its boxes show: write prepare.boxes as {path.name}:body or :fin")
    return parse(table[name], table["part"], text, form, table.get("conf", table.get("confidence")))


def parse(
    image: pd.Series, part: pd.Series, text: pd.Series, form: str, confidence: pd.Series | None = None
) -> pd.DataFrame:
    """Boxes written as text, one photo a row, several boxes a cell or none.

    Args:
        image: the photos' names.
        part: what the boxes show.
        text: four numbers a box, in whatever brackets; missing: the photo has none.
        form: corners: x_min, y_min, x_max, y_max | size: x_min, y_min, width, height.
        confidence: numbers as text, one a box; None: 1.

    Returns:
        A table of `COLUMNS`, a row a box; corners are NaN where there are none.
    """
    sure = pd.Series(pd.NA, image.index) if confidence is None else confidence
    rows = []
    for one, shows, cell, conf in zip(image, part, text, sure, strict=True):
        numbers = _numbers(cell)
        corners = np.array(numbers if numbers and len(numbers) % 4 == 0 else [np.nan] * 4).reshape(-1, 4)
        if form == "size":
            corners = np.hstack([corners[:, :2], corners[:, :2] + corners[:, 2:]])
        written = "" if pd.isna(cell) else str(cell).strip("[]() ")
        confs = _numbers(conf) or [1.0]
        for k, box in enumerate(corners.tolist()):
            rows.append((one, shows, *box, confs[k] if k < len(confs) else confs[-1], False, written))
    return pd.DataFrame(rows, columns=COLUMNS)


def read_coco(path: Path) -> pd.DataFrame:
    """COCO's annotations as a table of strings: a row an annotation, its photo's columns and `category` beside it.

    Photos without an annotation have a row as well.

    Raises:
        UserError: the file is no JSON, or not in COCO's form.
    """
    try:
        content = read_json(path)
        images = _texts(content["images"]).rename(columns={"id": "image_id"})
        marks = _texts(content.get("annotations") or [{"image_id": None}])
        names = {str(category["id"]): category["name"] for category in content.get("categories", [])}
        marks["category"] = marks["category_id"].map(names) if "category_id" in marks else pd.NA
        table = images.merge(marks.drop(columns="id", errors="ignore"), on="image_id", how="left", suffixes=("", "_2"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is not in COCO's form (images, annotations, categories): {error!r}") from None
    return table.astype("string")


def _texts(rows: list[dict[str, object]]) -> pd.DataFrame:
    """A table of strings: a number must not become a float because another row lacks it."""
    return pd.DataFrame([{key: None if value is None else str(value) for key, value in row.items()} for row in rows])


def _yolo(folder: Path, part: str, photos: Iterable[str]) -> pd.DataFrame:
    """YOLO's labels: a .txt a photo, `class x_centre y_centre width height [confidence]` a line, as shares.

    A label belongs to the photo of its path below `folder`, else to the only photo that is called so.
    """
    classes = folder / "classes.txt"
    names = classes.read_text(encoding="utf-8").split() if classes.exists() else []
    if not names and not part:
        raise UserError(f"{folder} has no classes.txt: write prepare.boxes as {folder.name}:body or :fin")
    rows = []
    called: dict[str, set[str]] = {}
    for photo in photos:
        for name in (str(Path(photo).with_suffix("")), Path(photo).stem):
            called.setdefault(name, set()).add(photo)
    for path in sorted(set(folder.rglob("*.txt")) - {classes}):
        name = path.relative_to(folder).with_suffix("").as_posix()
        of = sorted(called.get(name, {name}))
        if len(of) > 1:
            raise UserError(f"{path}: {len(of)} photos are called so, {of[0]} and {of[1]}: file labels as their photos")
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        for line in [line for line in lines if line] or [""]:
            number, *values = _numbers(line) or [np.nan]
            good = len(values) in (4, 5) and (part or number in range(len(names)))
            x, y, w, h, sure = [*values, 1.0][:5] if good else [np.nan] * 4 + [1.0]
            shows = part or (names[int(number)] if good else "?")
            corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            rows.append((of[0], shows, *corners, sure, True, line))
    return pd.DataFrame(rows, columns=COLUMNS)


def count(table: pd.DataFrame, least: float) -> tuple[pd.DataFrame, dict[str, int]]:
    """A table of `COLUMNS` without photos that have no box and without unsure boxes, and the counts of `read_boxes`."""
    lacks = table[SIDES].isna().any(axis=1)
    empty = lacks & (table["written"] == "")
    unsure = ~lacks & (table["confidence"] < least)
    counts = {
        "rows": len(table), "boxes": int((~lacks & ~unsure).sum()), "empty": int(empty.sum()),
        "malformed": int((lacks & ~empty).sum()), "unsure": int(unsure.sum()),
    }  # fmt: skip
    return table[~empty & ~unsure], counts


def _numbers(text: object) -> list[float]:
    """The numbers of a text that has nothing else but brackets, commas and spaces; else none."""
    if not isinstance(text, str) or not NUMBERS.fullmatch(text):
        return []
    return [float(number) for number in re.findall(NUMBER, text)]


def joined(sides: pd.DataFrame) -> pd.Series:
    """Four columns as one text; missing where all four are."""
    text = sides.fillna("?").agg(", ".join, axis=1) if len(sides) else pd.Series(dtype="string")
    return text.astype("string").mask(sides.isna().all(axis=1))
