"""Which table in a folder lists its photos, and what its columns mean."""

from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.params import Csv
from finprint.survey.sources.box_columns import has_boxes
from finprint.survey.sources.coco import is_coco_file, read_coco
from finprint.survey.sources.disk import plain_path, walk
from finprint.survey.sources.photo_names import PhotoNames
from finprint.survey.sources.sheets import FORMS, forms_of, read_sheet, suffix_of

# What people and programs call the columns, the surest name first.
NAMES = {
    "image": ("path", "image", "file_name", "filename", "file", "image_path", "filepath", "file_path", "photo"),
    "identity": (
        "identity", "individual_id", "individual", "animal_id", "animal", "whale_id", "whaleid", "name",
        "attributes.individual", "attributes.identity", "attributes.individual_id", "attributes.name",
        "label", "class", "class_name", "id",
    ),
    "species": ("species",),
    "encounter": ("encounter", "encounter_id", "sighting", "sighting_id"),
    "date": ("date", "datetime", "timestamp", "date_captured"),
    "viewpoint": ("viewpoint", "side", "flank"),
    "location": ("location", "place", "site"),
    "latitude": ("latitude", "lat", "decimallatitude", "decimal_latitude"),
    "longitude": ("longitude", "lon", "long", "lng", "decimallongitude", "decimal_longitude"),
    "split": ("split", "original_split", "set", "subset"),
    "box": ("bbox",),
}  # fmt: skip
UNSURE = ("label", "class", "class_name", "id")  # what a box shows, or the number of a row, are called so as well
QUERY = ("query", "queries", "test")  # values of the column `split` that mark a photo to identify
OTHER = frozenset(name for table in ("boxes.csv", "decisions.csv") for name in forms_of(table))
LOOKED_AT = 200  # rows whose photos are looked for on disk


def guess_table(folder: Path, csv: Csv) -> Csv | None:
    """The table that lists the photos of a folder with their individuals.

    Args:
        folder: where the table lies, and the photos below it.
        csv: `prepare.csv`. Its table, and those of its columns that the table has, are taken as they are.

    Returns:
        `prepare.csv` of that table; None if no table lists photos of the folder and names their individuals.

    Raises:
        UserError: the table that `csv` names is damaged.
    """
    tables = {
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith((*FORMS, ".json", ".json.gz"))
    }
    photos = PhotoNames(walk(folder).photos())
    called = {name.casefold() for name in forms_of(csv.file)}
    own = {name for name in tables if name.casefold() in called}
    for name in [*sorted(own), *sorted(name for name in tables - own if name.casefold() not in OTHER)]:
        try:
            table = _read(folder / name)
        except UserError:
            if name in own:
                raise
            continue  # it may be anything
        if table is None:
            continue
        columns = _columns(table, csv, folder, photos)
        if columns["image"] and columns["identity"]:
            return csv.model_copy(update=columns | {"file": csv.file if name in own else name})
        if name in own:
            return csv  # reading it says what is missing
    return None


def _read(path: Path) -> pd.DataFrame | None:
    """A table; None of a JSON file that is not COCO's."""
    if suffix_of(path) == ".json":
        return read_coco(path) if is_coco_file(path) else None
    return read_sheet(path, [])


def _columns(table: pd.DataFrame, csv: Csv, folder: Path, photos: PhotoNames) -> dict[str, str]:
    """The name of each column of `prepare.csv` in a table; '' if the table has none."""
    spelled = {column.casefold(): column for column in table.columns}
    columns = {}
    for key, names in NAMES.items():
        told = getattr(csv, key)
        there = [spelled[name] for name in names if name in spelled]
        if key == "image":
            there = [column for column in there if _names_photos(table[column], folder, photos)]
        if key == "identity":
            there = [column for column in there if column.casefold() not in UNSURE or _tells(table, column)]
        columns[key] = told if told and set(told.split()) <= set(table.columns) else next(iter(there), "")
    if columns["split"]:
        values = set(table[columns["split"]].dropna())
        marks = [mark for mark in (csv.query_value, *QUERY) if mark in values]
        columns |= {"query_value": marks[0]} if marks else {"split": ""}
    if "category" in table and set(table["category"].dropna()) & {"body", "fin"}:
        columns["part"] = "category"
    return columns


def _tells(table: pd.DataFrame, column: str) -> bool:
    """Can a column that is called like many others tell classes or individuals?"""
    return not has_boxes(table) and bool(table[column].dropna().duplicated().any())


def _names_photos(column: pd.Series, folder: Path, photos: PhotoNames) -> bool:
    """Does a column name photos that lie in a folder?"""
    names = column.dropna().head(LOOKED_AT)
    return any((folder / plain_path(name, folder)).is_file() or len(photos.called(name)) == 1 for name in names)
