"""Tables of boxes in every form that people have: one table of corners comes out, and a count of its rows."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.store.tables import SIDES
from finprint.survey.params import BOX_FORMS, BOX_UNITS
from finprint.survey.sources.box_columns import COLUMNS, read_columns
from finprint.survey.sources.coco import is_coco_file, read_coco
from finprint.survey.sources.disk import BESIDE, LABELS, walk
from finprint.survey.sources.json_labels import read_json_boxes
from finprint.survey.sources.label_files import is_label, photo_of
from finprint.survey.sources.label_studio import read_task_table, region_columns
from finprint.survey.sources.marks import NOTHING_TOLD, SLACK, Mark, Told, numbers_in
from finprint.survey.sources.photo_names import PhotoNames
from finprint.survey.sources.sheets import locate, read_sheet, read_text, suffix_of
from finprint.survey.sources.text_labels import read_text_labels
from finprint.survey.sources.via import read_via_table
from finprint.survey.sources.xml_labels import read_xml_boxes

NAMES = {".txt": "YOLO .txt", ".xml": "Pascal VOC .xml", ".json": ".json"}


def read_boxes(
    folder: Path, tables: Iterable[str], least: float, photos: Iterable[str]
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """Read tables of boxes: `boxes.csv` where it is there, then those named.

    Args:
        folder: where they lie.
        tables: NAME, NAME:PART or NAME:PART:FORM. A name is of a table, of a .json or .xml file or of a folder of
            labels; `.` means the labels beside the photos, which are called as their photos. FORM tells what four
            numbers are: corners, size or centre; pixels or percent; or one of each, joined by a colon.
        least: boxes of less confidence are left out.
        photos: ids of the photos. A table may call a photo by the end of its path, or by a longer path.

    Returns:
        A table of `COLUMNS` and `told`, the entry of `tables`; and for each table its rows, boxes, empty (no box in
        this photo), malformed and unsure (below `least`). Malformed ones stay in the table, without corners, and so do
        photos without a box.

    Raises:
        UserError: a table is missing, its form is unknown, nobody says what part it shows, or it has no usable box.
    """
    called = PhotoNames(photos)
    entries = list(tables)
    if locate(folder / "boxes.csv") and "boxes.csv" not in [entry.partition(":")[0] for entry in entries]:
        entries.insert(0, "boxes.csv")
    read, counts = [pd.DataFrame(columns=[*COLUMNS, "told"])], {}
    for entry in entries:
        name, part, *words = f"{entry}:".split(":")
        said = Told(*(next((word for word in words if word in of), "") for of in (BOX_FORMS, BOX_UNITS)))
        usual = "body" if entry == "boxes.csv" else ""  # which nobody had to write anywhere
        table = read_table_of_boxes(folder / name, part, called, name.rstrip("/") == BESIDE, said, usual)
        sure, counts[name] = count(table, least)
        _refuse_useless(folder / name, table, counts[name], called)
        read.append(sure.assign(told=entry))
    return pd.concat([table for table in read if len(table)] or read, ignore_index=True), counts


def _refuse_useless(path: Path, table: pd.DataFrame, counts: dict[str, int], photos: PhotoNames) -> None:
    """Raise a UserError where a table gives no box at all, or none of a photo that there is."""
    rows = tally({name: number for name, number in counts.items() if number and name != "boxes"})
    first = next(iter(table.loc[table["written"] != "", "written"]), "")
    looks = f"; the first box is written as {first!r}" if first else ""
    if not counts["boxes"]:
        why = " All are below prepare.box_confidence." if counts["unsure"] else ""
        if path.is_dir() and max(numbers_in(str(first))[1:], default=0) > 1 + SLACK:
            why += " If they are pixels or percent, write NAME:PART:pixels or NAME:PART:percent in prepare.boxes."
        raise UserError(f"{path} gives no usable box ({rows or 'it is empty'}{looks}).{why} {_beginning(path)}".strip())
    boxed = table.loc[table["written"] != "", "image"].drop_duplicates()
    if len(photos) and not any(image in photos for image in boxed):
        raise UserError(
            f"{path} lists none of your photos: it has {boxed.iloc[0]!r}, and they have names like {photos.first()!r}"
        )


def _beginning(path: Path) -> str:
    """What a table, a file or the first file of a folder looks like."""
    if path.is_dir():
        path = next(one for one in sorted(path.rglob("*")) if one.suffix.lower() in LABELS and is_label(one, path))
    if suffix_of(path) in LABELS:
        text = " ".join(read_text(path).split())
        return f"{path.name} begins with {text[:120]!r}" if text else f"{path.name} is empty"
    table = read_sheet(path, [])
    row = ", ".join("" if pd.isna(cell) else str(cell) for cell in table.iloc[0]) if len(table) else "none"
    return f"Its columns: {', '.join(table.columns)}; its first row: {row[:200]}"


def read_table_of_boxes(
    path: Path,
    part: str = "",
    photos: Iterable[str] | PhotoNames = (),
    beside: bool = False,
    said: Told = NOTHING_TOLD,
    usual: str = "",
) -> pd.DataFrame:
    """Read one table of boxes, as `read_boxes` does; photos without a box have a row without corners.

    Args:
        path: of the table, or of a folder of labels.
        part: what all boxes show; empty: as the table says.
        photos: ids of the photos.
        beside: the folder has the photos as well.
        said: what the owner says about four numbers, in a table, in COCO or in YOLO's labels.
        usual: what the boxes show where neither the table nor `part` says it; empty: that is refused.
    """
    called = photos if isinstance(photos, PhotoNames) else PhotoNames(photos)
    if path.is_dir():
        marks = _folder(path, part, called, beside, said)
    elif suffix_of(path) == ".xml" and path.exists():
        marks = read_xml_boxes(path)
    elif suffix_of(path) == ".json" and path.exists() and not is_coco_file(path):
        marks = read_json_boxes(path)
    else:
        marks = _table(path, part, said)
    boxed = [mark for mark in marks if mark.written]
    part = part or (usual if boxed and all(pd.isna(mark.part) for mark in boxed) else "")
    if boxed and not part and all(pd.isna(mark.part) for mark in boxed):
        raise UserError(f"{path} does not say what its boxes show: write prepare.boxes as {path.name}:body or :fin")
    table = pd.DataFrame(marks, columns=COLUMNS)
    table["image"] = table["image"].map({image: called.only(image) for image in table["image"].unique()})
    if part:
        table["part"] = part
    return table


def _folder(folder: Path, part: str, photos: PhotoNames, beside: bool, said: Told) -> list[Mark]:
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
        return read_text_labels(folder, paths, part, photos, () if beside else (folder.parent,), said)
    marks = []
    for path in paths:
        these = _marks_of(path, said)
        images = {mark.image for mark in these}
        if len(images) == 1 and (beside or len(photos.called(images.pop())) != 1):
            own = photo_of(path, folder, photos)  # photos are renamed, and what a label says of itself is not
            these = [mark._replace(image=own) for mark in these] if own in photos else these
        marks += these
    return marks


def _marks_of(path: Path, said: Told) -> list[Mark]:
    if path.suffix.lower() == ".xml":
        return read_xml_boxes(path)
    return _table(path, "", said) if is_coco_file(path) else read_json_boxes(path)


def _table(path: Path, part: str, said: Told) -> list[Mark]:
    """The boxes of a table, or of COCO's annotations as one."""
    coco = suffix_of(path) == ".json" and path.exists()
    place = path if coco else locate(path)
    if place is None:
        raise UserError(f"{path} is missing: prepare.boxes names it")
    table = read_coco(path) if coco else read_sheet(place, [])
    if {"region_shape_attributes", "filename"} <= set(table):
        return read_via_table(table, place)
    if not coco and (regions := region_columns(table)):
        return read_task_table(table, regions, place)
    return read_columns(table, part, place, said, "size" if coco else "")


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
