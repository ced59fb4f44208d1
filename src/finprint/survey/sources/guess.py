"""Which table in a folder lists its photos, and what its columns mean."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, kind_of
from finprint.survey.names import letters, words
from finprint.survey.params import Csv, Prepare
from finprint.survey.sources.box_columns import four_columns, has_boxes
from finprint.survey.sources.coco import is_coco_file, read_coco
from finprint.survey.sources.disk import Disk, plain_path, walk
from finprint.survey.sources.folders import asked_in, asks
from finprint.survey.sources.happywhale import SUBMISSION
from finprint.survey.sources.one_hot import ONE_HOT, with_one_hot
from finprint.survey.sources.photo_names import PhotoNames
from finprint.survey.sources.sheets import FORMS, forms_of, read_sheet, suffix_of
from finprint.survey.sources.source import FACTS

ANIMALS = (
    "dolphin", "whale", "seal", "turtle", "shark", "orca", "porpoise", "manatee", "dugong", "ray", "manta", "otter",
    "sea_lion", "tiger", "leopard", "jaguar", "cheetah", "lion", "zebra", "giraffe", "elephant", "bear", "wolf", "lynx",
    "antelope", "nyala", "deer", "newt", "salamander", "toad", "penguin", "chimp", "gorilla", "macaque", "lemur", "cat",
    "dog", "cow", "horse", "fish", "bird",
)  # fmt: skip
# What people and programs call the columns, the surest name first.
NAMES = {
    "image": (
        "path", "image", "file_name", "filename", "file", "image_path", "filepath", "file_path", "photo", "image_name",
        "image_file", "image_id", "img", "img_name", "photo_name", "photo_file", "photo_id", "picture", "picture_name",
        "foto", "bild", "datei", "fichier", "archivo", "imagen", "encounter.mediaasset0", "id",
    ),
    "identity": (
        "identity", "individual_id", "individual", "animal_id", "animal", "whale_id", "whaleid", "name",
        "attributes.individual", "attributes.identity", "attributes.individual_id", "attributes.name",
        "individual_name", "animal_name", "whale_name", "markedindividual.individualid", "marked_individual",
        *(f"{animal}_id" for animal in ANIMALS), *(f"{animal}_name" for animal in ANIMALS), *ANIMALS,
        "catalog_id", "catalogue_id", "catalog_number", "catalogue_number", "nickname", "tier", "individuum",
        "individu", "individuo", "nombre", "nom", "encounter.markedindividual.nickname", "id_code", "code", "ind",
        "label", "class", "class_name", "class_id", "labels", "category", "breed", "target", "id",
    ),
    "species": ("species",),
    "encounter": (
        "encounter", "encounter_id", "sighting", "sighting_id", "encounter.sightingid", "occurrence.occurrenceid",
        "occurrence_id",
    ),
    "date": (
        "date", "datetime", "date_time", "timestamp", "date_captured", "date_taken", "datetimeoriginal", "eventdate",
        "datum", "fecha",
    ),
    "viewpoint": (
        "viewpoint", "side", "flank", "orientation", "attributes.viewpoint", "attributes.orientation", "seite", "lado",
    ),
    "location": ("location", "place", "site"),
    "latitude": ("latitude", "lat", "decimallatitude", "decimal_latitude"),
    "longitude": ("longitude", "lon", "long", "lng", "decimallongitude", "decimal_longitude"),
    "split": ("split", "original_split", "reid_split", "partition", "set", "subset"),
    "box": ("bbox",),
}  # fmt: skip
# Further names of a column of classes, not of individuals.
CLASSES = (
    "species", "type", "kind", "genus", "taxon", "scientific_name", "common_name", "category_name", "diagnosis", "dx",
    ONE_HOT,
)  # fmt: skip
# ... and those of them that tell classes where folders seem to tell them as well, such as `part_1` and `site_B`.
SURE = (
    "label", "labels", "class", "class_name", "class_id", "category", "category_name", "species", "diagnosis", "dx",
    ONE_HOT,
)  # fmt: skip
# Columns of what belongs together, beside classes.
TOGETHER = (
    "patient", "patient_id", "lesion_id", "subject", "subject_id", "specimen", "specimen_id", "group", "group_id",
    "boat", "cruise", "trip", "trip_id", "slide", "slide_id", "plot", "plot_id",
)  # fmt: skip
# What a box shows, or the number of a row, are called so as well.
UNSURE = (
    "label", "class", "class_name", "class_id", "labels", "category", "breed", "target", "id", "id_code", "code", "ind",
)  # fmt: skip
QUERY = ("query", "queries", "test", "testing", "probe")  # values of the column `split`, marks of photos to identify
LATER = frozenset([*QUERY, "val", "valid", "validation", "submission"])  # words of tables that others stand before
OTHER = frozenset(name for table in ("boxes.csv", "decisions.csv", SUBMISSION) for name in forms_of(table))
FEW = 20  # tables in sub-folders, at most; more are labels, one for each photo
COORDINATES = re.compile(r"[-+]?\d+[.,]\d+(?:°?\s*[NSEWnsew]?[\s,;/]+[-+]?\d+[.,]\d+.*)?")
LOOKED_AT = 200  # rows whose photos are looked for on disk
NUMBERS = ("image_id", "imageid", "photo_id", "id")  # columns of photos, if nearly all of their cells are names of such
NEARLY = 0.9
_UNSURE, _CLASSES, _SURE, _TOGETHER, _NUMBERS = (
    frozenset(map(letters, names)) for names in (UNSURE, CLASSES, SURE, TOGETHER, NUMBERS)
)


def guess_table(folder: Path, csv: Csv, classes: bool = False) -> Csv | None:
    """The table that lists the photos of a folder with their individuals.

    Args:
        folder: where the table lies, and the photos below it.
        csv: `prepare.csv`. Its table, and those of its columns that the table has, are taken as they are.
        classes: it lists their classes instead; then what a box shows, or a species, is one.

    Returns:
        `prepare.csv` of that table; None if no table lists photos of the folder and names their individuals.

    Raises:
        UserError: the table that `csv` names is damaged.
    """
    disk = walk(folder)
    own, others = _tables(disk, csv)
    if ours := {name: table for name in own if (table := _read(folder / name)) is not None}:
        found = _listing(ours, csv, disk, classes, filled=False)
        return found.model_copy(update={"file": csv.file}) if found else csv  # reading it says what is missing
    outer = [name for name in others if "/" not in name]
    if found := _listing(_readable(folder, outer), csv, disk, classes):
        return found
    deeper = [name for name in others if "/" in name]
    tables = _readable(folder, deeper) if len(deeper) <= FEW else {}
    found = _listing(tables, csv, disk, classes)
    return found if found and _lists_most(tables[found.file][found.image], disk) else None


def listed_beside(
    disk: Disk, csv: Csv, photos: Sequence[str], own: Sequence[str], named: bool = False
) -> dict[str, pd.DataFrame]:
    """What other tables of a folder say of photos, such as those to identify in test.csv.

    Args:
        disk: where the tables lie.
        csv: `prepare.csv`, whose columns the other tables may have as well.
        photos: ids of photos that the table of `csv` does not name.
        own: names of the survey's own tables.
        named: do tables count that name individuals? Else they are of the catalogue, unless they are called `test` or
            the like.

    Returns:
        For each table that names some of these photos a row for each that no table before it names: image, and those of
        `FACTS` that a column tells. Its identity is the truth.
    """
    names = [name for name in disk.files if "/" not in name and name.lower().endswith(FORMS) and name not in own]
    tables = _readable(disk.folder, sorted(names)) if photos else {}
    left, found = PhotoNames(photos if tables else ()), {}
    for name, table in tables.items():
        image = _image_column(table, csv, disk.folder, [left])
        columns = _columns(table, csv, image, doubt=False)
        naming = not named and columns["identity"] in table and table[columns["identity"]].notna().any()
        if not image or (naming and set(QUERY).isdisjoint(words(name))):
            continue
        told = {"image": table[image].dropna().map(left.only)}
        told |= {fact: table[columns[fact]] for fact in FACTS if columns[fact] in table}
        rows = pd.DataFrame(told)
        rows = rows[rows["image"].isin([*left])].drop_duplicates("image", ignore_index=True)
        if len(rows):
            found[name] = rows
            left = PhotoNames({*left} - {*rows["image"]})
    return found


def _tables(disk: Disk, csv: Csv) -> tuple[list[str], list[str]]:
    """The tables in a folder and below it, as the disk has their names, without those of other things: those that `csv`
    may mean, and the others."""
    called = {name.casefold() for name in forms_of(csv.file)}
    names = [real for real in disk.files.values() if real.lower().endswith((*FORMS, ".json", ".json.gz"))]
    own = [name for name in names if name.casefold() in called]
    others = [name for name in names if name not in own and posixpath.basename(name).casefold() not in OTHER]
    return own, sorted(others, key=lambda name: (name.count("/"), name))


def _lists_most(column: pd.Series, disk: Disk) -> bool:
    """Does a column name at least half of the photos of the catalogue? A table in a sub-folder may be of this alone."""
    photos = _filed(disk)
    listed = {photos.only(name) for name in column.dropna().unique()}
    return 2 * sum(photo in listed for photo in photos) >= len(photos)


def _filed(disk: Disk) -> PhotoNames:
    """The photos that do not lie in a folder of those to identify."""
    return PhotoNames(name for name in disk.photos() if not asks(name.split("/")[0]))


def _readable(folder: Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Those of some files that are tables, by their names."""
    tables = {}
    for name in names:
        with suppress(UserError):  # it may be anything
            tables[name] = _read(folder / name)
    return {name: table for name, table in tables.items() if table is not None}


def asked_beside(folder: Path, csv: Csv, params: Prepare) -> str:
    """`prepare.queries` beside a table that does not mark the photos to identify.

    It is that of `asked_in`, if the table names none of these photos; else as it is.

    Args:
        folder: where the table lies.
        csv: `prepare.csv` of that table.
        params: the section `prepare`.
    """
    places = asked_in(folder, params)
    if csv.split or places == params.queries or (table := _read(folder / csv.file)) is None or csv.image not in table:
        return params.queries
    asked = params.model_copy(update={"queries": places}).asked
    inside, outside = (
        PhotoNames(name for name in walk(folder).photos() if name.startswith(asked) == there) for there in (True, False)
    )
    listed = any(inside.called(name) and not outside.called(name) for name in table[csv.image].dropna())
    return params.queries if listed else places


def _read(path: Path) -> pd.DataFrame | None:
    """A table; None of a JSON file that is not COCO's."""
    if suffix_of(path) == ".json":
        return read_coco(path) if is_coco_file(path) else None
    return read_sheet(path, [])


def _listing(tables: dict[str, pd.DataFrame], csv: Csv, disk: Disk, classes: bool, filled: bool = True) -> Csv | None:
    """`prepare.csv` of the first of some tables that lists photos and names their individuals. A column with one of the
    names `UNSURE` may name them if no table has a surer one, and no folders do. `filled`: it must have a name."""
    photos = PhotoNames(disk.photos())
    filed = _filed(disk)  # a photo of the catalogue may have the name of one to identify
    are_sorted = _are_sorted(photos)
    images = {
        name: image
        for name, table in sorted(tables.items(), key=lambda one: not LATER.isdisjoint(words(one[0])))
        if (image := _image_column(table, csv, disk.folder, [photos, filed]))
    }
    named = {name: with_one_hot(tables[name], [image]) if classes else tables[name] for name, image in images.items()}
    for doubt in [False] if are_sorted and not classes else [False, True]:
        for name, image in images.items():
            table, columns = named[name], _columns(named[name], csv, image, doubt, classes)
            identity = columns["identity"]
            if identity not in table:
                continue
            if are_sorted and (doubt or _is_number(image)):
                told = classes and letters(identity) in _SURE and _crosses(table, image, identity, filed)
            else:
                told = not filled or (_repeats if are_sorted else _names)(table, image, identity)
            if told:
                return csv.model_copy(update=columns | {"file": name})
    return None


def _crosses(table: pd.DataFrame, image: str, identity: str, photos: PhotoNames) -> bool:
    """Has a table names for most photos, and most of these lie in folders whose photos have several? Then the folders
    do not name them."""
    rows = pd.DataFrame({"photo": table[image].dropna().map(photos.only), "name": table[identity]}).dropna()
    rows = rows[rows["photo"].isin([*photos])]
    each = rows.groupby(rows["photo"].map(posixpath.dirname))["name"].transform("nunique")
    return bool(2 * (each > 1).sum() >= len(photos))


def _are_sorted(photos: PhotoNames) -> bool:
    """Do folders of several names hold the photos, so that these tell who is who?"""
    folders = {folder for name in photos for folder in name.split("/")[:-1] if not asks(folder)}
    return sum(kind_of(folder) == Kind.NAME for folder in folders) > 1


def _image_column(table: pd.DataFrame, csv: Csv, folder: Path, photos: Sequence[PhotoNames]) -> str:
    """The column that names photos of a folder; '' if a table has none. `photos`: as for `_names_photos`."""
    there = (column for column in _called(table, "image") if _names_photos(table[column], folder, photos))
    return csv.image if csv.image in table.columns else next(there, "")


def _columns(table: pd.DataFrame, csv: Csv, image: str, doubt: bool, classes: bool = False) -> dict[str, str]:
    """The name of each column of `prepare.csv` in a table; '' if the table has none.

    Args:
        image: the column of the photos, '' if there is none.
        doubt: may the identities stand in a column with one of the names `UNSURE`?
        classes: are classes meant, which may stand in a column with one of the names `CLASSES` as well?
    """
    columns = {"image": image}
    for key in (key for key in NAMES if key != "image"):
        told = getattr(csv, key)
        there = [column for column in _called(table, key) if column != image]
        if key == "identity":
            unsure = [column for column in there if letters(column) in _UNSURE]
            there = [column for column in there if column not in unsure and ONE_HOT not in table]
            unsure += [name for name in table.columns if classes and letters(name) in _CLASSES]
            there += _telling(table, image, unsure, classes) if doubt and image else []
        if key == "encounter" and classes:
            there += [name for name in table.columns if letters(name) in _TOGETHER and table[name].notna().all()]
        columns[key] = told if told and set(told.split()) <= set(table.columns) else next(iter(there), "")
    if columns["location"] and table[columns["location"]].dropna().str.strip().str.fullmatch(COORDINATES).any():
        columns["location"] = ""  # of each photo its own place, and no name of a place
    splits = [columns["split"], *_called(table, "split")] if columns["split"] else []
    marked = ({"split": name, "query_value": mark} for name in splits for mark in _marks(table[name], csv))
    columns |= next(marked, {"split": ""})
    if not columns["box"] and (four := four_columns(table))[0]:
        columns |= {"box": four[0], "box_form": four[1]}
    if "category" in table and set(table["category"].dropna()) & {"body", "fin"}:
        columns["part"] = "category"
    return columns


def _called(table: pd.DataFrame, key: str) -> list[str]:
    """The columns of a table that are called like a key of `prepare.csv`, the surest first."""
    spelled = {letters(column): column for column in reversed(table.columns)}
    found = (spelled.get(letters(name)) for name in NAMES[key])
    return [*dict.fromkeys(column for column in found if column)]


def _telling(table: pd.DataFrame, image: str, columns: list[str], classes: bool) -> list[str]:
    """Those of some columns that can tell classes or individuals: several, one of which has several photos. Names come
    before numbers. In a table of boxes they tell what a box shows, which is no individual."""

    good = [] if has_boxes(table) and not classes else [column for column in columns if _repeats(table, image, column)]
    return sorted(good, key=lambda column: bool(table[column].dropna().str.fullmatch(r"\d+").all()))


def _repeats(table: pd.DataFrame, image: str, column: str) -> bool:
    """Has a column several names, one of which has several photos?"""
    photos = table[[image, column]].dropna().drop_duplicates()[column].value_counts()
    return len(photos) > 1 and bool(photos.iloc[0] > 1)


def _names(table: pd.DataFrame, image: str, column: str) -> bool:
    """Has a column a name for any photo?"""
    return bool(table[[image, column]].notna().all(axis=1).any())


def _is_number(column: str) -> bool:
    """Is a column of photos called as one of numbers is?"""
    return letters(column) in _NUMBERS


def _marks(column: pd.Series, csv: Csv) -> list[str]:
    """The values of a column that mark photos to identify, the surest first."""
    values = {letters(value): value for value in sorted(column.dropna().unique(), reverse=True)}
    return [values[letters(mark)] for mark in (csv.query_value, *QUERY) if letters(mark) in values]


def _names_photos(column: pd.Series, folder: Path, photos: Sequence[PhotoNames]) -> bool:
    """Does a column name photos that lie in a folder: all of them, or without those that are to identify?"""
    names = column.dropna().head(LOOKED_AT)
    fit = [
        (folder / plain_path(name, folder)).is_file() or any(len(some.called(name)) == 1 for some in photos)
        for name in names
    ]
    return any(fit) and (not _is_number(str(column.name)) or sum(fit) >= NEARLY * len(fit))
