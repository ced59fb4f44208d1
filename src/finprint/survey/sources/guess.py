"""Which table in a folder lists its photos, and what its columns mean."""

from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, kind_of
from finprint.survey.names import letters
from finprint.survey.params import Csv
from finprint.survey.sources.box_columns import has_boxes
from finprint.survey.sources.coco import is_coco_file, read_coco
from finprint.survey.sources.disk import plain_path, walk
from finprint.survey.sources.folders import ASKED
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
OTHER = frozenset(name for table in ("boxes.csv", "decisions.csv", "sample_submission.csv") for name in forms_of(table))
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
    names = {
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith((*FORMS, ".json", ".json.gz"))
    }
    photos = PhotoNames(walk(folder).photos())
    called = {name.casefold() for name in forms_of(csv.file)}
    own = {name for name in names if name.casefold() in called}
    tables: dict[str, pd.DataFrame] = {}
    for name in [*sorted(own), *sorted(name for name in names - own if name.casefold() not in OTHER)]:
        try:
            table = _read(folder / name)
        except UserError:
            if name in own:
                raise
            continue  # it may be anything
        if table is not None:
            tables[name] = table
    doubts = [False] if _are_sorted(photos) else [False, True]
    ours = [name for name in tables if name in own]
    for some in (ours, [name for name in tables if name not in own]):
        for doubt in doubts:
            for name in some:
                columns = _columns(tables[name], csv, folder, photos, doubt)
                if columns["image"] and columns["identity"]:
                    return csv.model_copy(update=columns | {"file": csv.file if name in own else name})
        if ours:
            return csv  # reading it says what is missing
    return None


def _read(path: Path) -> pd.DataFrame | None:
    """A table; None of a JSON file that is not COCO's."""
    if suffix_of(path) == ".json":
        return read_coco(path) if is_coco_file(path) else None
    return read_sheet(path, [])


def _are_sorted(photos: PhotoNames) -> bool:
    """Do folders of several names hold the photos, so that these tell who is who?"""
    folders = {folder for name in photos for folder in name.split("/")[:-1] if letters(folder) not in ASKED}
    return sum(kind_of(folder) == Kind.NAME for folder in folders) > 1


def _columns(table: pd.DataFrame, csv: Csv, folder: Path, photos: PhotoNames, doubt: bool) -> dict[str, str]:
    """The name of each column of `prepare.csv` in a table; '' if the table has none.

    Args:
        doubt: may the identities stand in a column with one of the names `UNSURE`?
    """
    spelled = {column.casefold(): column for column in table.columns}
    columns: dict[str, str] = {}
    for key, names in NAMES.items():
        told = getattr(csv, key)
        there = [spelled[name] for name in names if name in spelled]
        if key == "image":
            there = [column for column in there if _names_photos(table[column], folder, photos)]
        if key == "identity":
            unsure = [column for column in there if column.casefold() in UNSURE]
            there = [column for column in there if column not in unsure]
            there += _telling(table, columns["image"], unsure) if doubt and columns["image"] else []
        columns[key] = told if told and set(told.split()) <= set(table.columns) else next(iter(there), "")
    if columns["split"]:
        values = set(table[columns["split"]].dropna())
        marks = [mark for mark in (csv.query_value, *QUERY) if mark in values]
        columns |= {"query_value": marks[0]} if marks else {"split": ""}
    if "category" in table and set(table["category"].dropna()) & {"body", "fin"}:
        columns["part"] = "category"
    return columns


def _telling(table: pd.DataFrame, image: str, columns: list[str]) -> list[str]:
    """Those of some columns that can tell classes or individuals: several, one of which has several photos. Names come
    before numbers. In a table of boxes they tell what a box shows."""

    def tells(column: str) -> bool:
        photos = table[[image, column]].dropna().drop_duplicates()[column].value_counts()
        return len(photos) > 1 and bool(photos.iloc[0] > 1)

    good = [] if has_boxes(table) else [column for column in columns if tells(column)]
    return sorted(good, key=lambda column: bool(table[column].dropna().str.fullmatch(r"\d+").all()))


def _names_photos(column: pd.Series, folder: Path, photos: PhotoNames) -> bool:
    """Does a column name photos that lie in a folder?"""
    names = column.dropna().head(LOOKED_AT)
    return any((folder / plain_path(name, folder)).is_file() or len(photos.called(name)) == 1 for name in names)
