"""Which table in a folder lists its photos, and what its columns mean."""

from contextlib import suppress
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, kind_of
from finprint.survey.names import letters
from finprint.survey.params import Csv, Prepare
from finprint.survey.sources.box_columns import has_boxes
from finprint.survey.sources.coco import is_coco_file, read_coco
from finprint.survey.sources.disk import plain_path, walk
from finprint.survey.sources.folders import ASKED, asked_in
from finprint.survey.sources.happywhale import SUBMISSION
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
OTHER = frozenset(name for table in ("boxes.csv", "decisions.csv", SUBMISSION) for name in forms_of(table))
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
    called = {name.casefold() for name in forms_of(csv.file)}
    own = {name for name in names if name.casefold() in called}
    if ours := {name: table for name in sorted(own) if (table := _read(folder / name)) is not None}:
        found = _listing(ours, csv, folder)
        return found.model_copy(update={"file": csv.file}) if found else csv  # reading it says what is missing
    others = {}
    for name in sorted(name for name in names - own if name.casefold() not in OTHER):
        with suppress(UserError):  # it may be anything
            others[name] = _read(folder / name)
    return _listing({name: table for name, table in others.items() if table is not None}, csv, folder)


def asked_beside(folder: Path, csv: Csv, params: Prepare) -> str:
    """The sub-folder of the photos to identify beside a table that does not mark them.

    It is that of `asked_in`, if the table names none of its photos; else `prepare.queries` as it is.

    Args:
        folder: where the table lies.
        csv: `prepare.csv` of that table.
        params: the section `prepare`.
    """
    place = asked_in(folder, params.queries)
    if csv.split or place == params.queries or (table := _read(folder / csv.file)) is None or csv.image not in table:
        return params.queries
    inside, outside = (
        PhotoNames(name for name in walk(folder).photos() if name.startswith(f"{place}/") == there)
        for there in (True, False)
    )
    listed = any(inside.called(name) and not outside.called(name) for name in table[csv.image].dropna())
    return params.queries if listed else place


def _read(path: Path) -> pd.DataFrame | None:
    """A table; None of a JSON file that is not COCO's."""
    if suffix_of(path) == ".json":
        return read_coco(path) if is_coco_file(path) else None
    return read_sheet(path, [])


def _listing(tables: dict[str, pd.DataFrame], csv: Csv, folder: Path) -> Csv | None:
    """`prepare.csv` of the first of some tables that lists photos and names their individuals. A column with one of the
    names `UNSURE` may name them if no table has a surer one, and no folders do."""
    photos = PhotoNames(walk(folder).photos())
    images = {name: _image_column(table, csv, folder, photos) for name, table in tables.items()}
    for doubt in [False] if _are_sorted(photos) else [False, True]:
        for name, image in images.items():
            columns = _columns(tables[name], csv, image, doubt)
            if image and columns["identity"]:
                return csv.model_copy(update=columns | {"file": name})
    return None


def _are_sorted(photos: PhotoNames) -> bool:
    """Do folders of several names hold the photos, so that these tell who is who?"""
    folders = {folder for name in photos for folder in name.split("/")[:-1] if letters(folder) not in ASKED}
    return sum(kind_of(folder) == Kind.NAME for folder in folders) > 1


def _image_column(table: pd.DataFrame, csv: Csv, folder: Path, photos: PhotoNames) -> str:
    """The column that names photos of a folder; '' if a table has none."""
    there = (column for column in _called(table, "image") if _names_photos(table[column], folder, photos))
    return csv.image if csv.image in table.columns else next(there, "")


def _columns(table: pd.DataFrame, csv: Csv, image: str, doubt: bool) -> dict[str, str]:
    """The name of each column of `prepare.csv` in a table; '' if the table has none.

    Args:
        image: the column of the photos, '' if there is none.
        doubt: may the identities stand in a column with one of the names `UNSURE`?
    """
    columns = {"image": image}
    for key in (key for key in NAMES if key != "image"):
        told = getattr(csv, key)
        there = _called(table, key)
        if key == "identity":
            unsure = [column for column in there if column.casefold() in UNSURE]
            there = [column for column in there if column not in unsure]
            there += _telling(table, image, unsure) if doubt and image else []
        columns[key] = told if told and set(told.split()) <= set(table.columns) else next(iter(there), "")
    if columns["split"]:
        values = set(table[columns["split"]].dropna())
        marks = [mark for mark in (csv.query_value, *QUERY) if mark in values]
        columns |= {"query_value": marks[0]} if marks else {"split": ""}
    if "category" in table and set(table["category"].dropna()) & {"body", "fin"}:
        columns["part"] = "category"
    return columns


def _called(table: pd.DataFrame, key: str) -> list[str]:
    """The columns of a table that are called like a key of `prepare.csv`, the surest first."""
    spelled = {column.casefold(): column for column in table.columns}
    return [spelled[name] for name in NAMES[key] if name in spelled]


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
