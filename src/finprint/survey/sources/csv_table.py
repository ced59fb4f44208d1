"""Any table of photos, its columns called as params say: a CSV, wildlife-datasets' metadata, COCO's JSON."""

import posixpath
from contextlib import suppress
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.survey.names import Nobody, letters, words
from finprint.survey.params import Csv, Prepare
from finprint.survey.sources.animals import tell_animals
from finprint.survey.sources.box_columns import Columns, joined, parse
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.coco import read_coco
from finprint.survey.sources.disk import Disk, inner, walk
from finprint.survey.sources.folders import query_photos, refuse_alike
from finprint.survey.sources.guess import COORDINATES, listed_beside
from finprint.survey.sources.marks import OWN
from finprint.survey.sources.meant import hints, meant
from finprint.survey.sources.one_hot import ONE_HOT, with_one_hot
from finprint.survey.sources.sheets import FORMS, forms_of, read_sheet, require, suffix_of
from finprint.survey.sources.source import (
    FACTS,
    Source,
    in_one_form,
    photos,
    table_names,
    without_background,
    without_identity,
)

SIZE = ["width", "height"]  # of the photo in COCO's JSON, in px
SHARES = frozenset(["val", "valid", "validation", "dev"])  # words of tables of the catalogue's other shares


def read_any_csv(folder: Path, params: Prepare) -> Source:
    """Read a table of photos, one row a photo, or one an animal where it has boxes.

    A photo's id is its path from the folder as the table has it. Where one photo has several rows with boxes, each an
    animal, the second is NAME#2; boxes of several parts of one animal are told apart from that (see `tell_animals`).
    Photos in the sub-folders `prepare.queries` that it does not name are to identify. Where there is none, they are
    those that another table lists, or else those without a name, or else those that it does not list, if no table has
    boxes.

    Args:
        folder: where the table lies, and the photos below it.
        params: the section `prepare`; `prepare.csv` says which table, and what its columns are called.

    Raises:
        UserError: the table, or a column that params name, is missing; it names a photo outside of the folder.
    """
    csv, path, disk = params.csv, folder / params.csv.file, walk(folder)
    shares = {csv.file: _read(path, csv)} | _further(disk, csv)
    table = pd.concat(shares.values(), ignore_index=True)
    asked = params.asked
    each = [_named(one, csv.model_copy(update={"file": name}), disk, asked) for name, one in shares.items()]
    named = pd.concat(each, ignore_index=True)
    sides = csv.box.split()
    catalogue = photos(named, disk)
    own = _own_boxes(table, catalogue["image"], csv).assign(told=f"{OWN}::{csv.box_unit}")
    test = table[csv.split].eq(csv.query_value).fillna(False) if csv.split else pd.Series(False, table.index)
    nobody = Nobody([*params.nobody, csv.unknown])
    if sides:
        nobodies = {name for name in catalogue["identity"].dropna().unique() if name in nobody}
        names = catalogue["identity"].mask(catalogue["identity"].isin(nobodies) | test)
        catalogue, own = tell_animals(catalogue, own, names, f"{path}, {csv.box}")
        test = test[catalogue.index]
    unnamed = [pd.isna(name) or name in nobody for name in catalogue["identity"]]
    nameless = pd.Series(unnamed, catalogue.index, dtype=bool)
    if not test.any():  # photos without a name that lie where those to identify do
        test = catalogue["image"].str.startswith(asked) & nameless
    if suffix_of(path) != ".json":
        own = own[own["written"] != ""]  # where a CSV tells no box, there may be an animal

    tables = [*table_names(params, folder, disk), *shares]
    queried, asked_for, beside, truth = _unlisted(disk, params, named, tables, bool(test.any()))
    used = set(named["image"])
    more, counts = read_boxes(folder, params.boxes, params.box_confidence, [*named["image"], *queried["image"]])
    if not len(queried) and not test.any() and not len(own) and not len(more):
        test = nameless  # nothing else is to identify, and no box says that they teach a detector
        if not test.any() and used and used <= disk.files.keys():
            asked_for = [name for name in without_background(disk.photos(), params) if name not in used]
            queried = photos(pd.DataFrame({"image": asked_for}, dtype="string"), disk)
    return Source(
        labelled=catalogue[~test],
        queries=pd.concat([without_identity(catalogue[test]), queried], ignore_index=True),
        boxes=pd.concat([table for table in (own, more) if len(table)] or [own]),
        truth=pd.concat([catalogue[test][["image", "identity"]].dropna(), truth], ignore_index=True),
        strays=disk.strays({*used, *asked_for}, [*tables, *beside], "on disk, but in no table"),
        counts=counts,
        barred=disk.unopened(used) | {disk.path(name): why for name, why in hints(used, disk).items()},
    )


def _unlisted(
    disk: Disk, params: Prepare, named: pd.DataFrame, tables: list[str], marked: bool
) -> tuple[pd.DataFrame, list[str], list[str], pd.DataFrame]:
    """Photos to identify that the tables of the catalogue do not list.

    Args:
        disk: of the folder.
        params: the section `prepare`.
        named: the photos that these tables list.
        tables: names of the survey's own tables.
        marked: do these tables mark photos to identify?

    Returns:
        A `Source` table of these photos, their names on disk, the other tables that tell of them, and the truth that
        these know (image, identity).
    """
    used = set(named["image"])
    free = [name for name in without_background(disk.photos(), params) if name not in used]
    loose = [name for name in free if name.startswith(params.asked)]
    beside = {} if marked and not loose else listed_beside(disk, params.csv, loose or free, tables)
    told = photos(pd.concat([*beside.values(), named.head(0)], ignore_index=True), disk)
    if not loose:
        if not len(told):
            refuse_alike(disk.folder, params, free)
        return without_identity(told), told["image"].tolist(), [*beside], told[["image", "identity"]].dropna()
    queried = query_photos(disk, params.asked, loose, used)
    facts = told.set_index("path").reindex(queried["path"])[FACTS].set_index(queried.index)
    queried[FACTS] = queried[FACTS].fillna(facts)
    return without_identity(queried), [*loose, *told["image"]], [*beside], queried[["image", "identity"]].dropna()


def _read(path: Path, csv: Csv) -> pd.DataFrame:
    """The table, with all the columns that params name and a photo in each row."""
    facts = (getattr(csv, fact) for fact in FACTS)
    columns = [csv.image, *(name for name in (csv.split, *facts, *csv.box.split()) if name)]
    required = [name for name in columns if name != ONE_HOT]
    table = with_one_hot(read_coco(path) if suffix_of(path) == ".json" else read_sheet(path, required), [csv.image])
    require(table, columns, path)
    if table[csv.image].isna().any():
        raise UserError(f"{path}: {csv.image} is empty in {counted(int(table[csv.image].isna().sum()), 'row')}")
    return table


def _further(disk: Disk, csv: Csv) -> dict[str, pd.DataFrame]:
    """Further shares of the catalogue, with the columns of its table: valid.csv beside train.csv, or valid/labels.csv
    beside train/labels.csv."""
    own, found = {name.casefold() for name in forms_of(csv.file)}, {}
    home, called = posixpath.split(csv.file)
    for name in disk.files:
        place, file = posixpath.split(name)
        share = place == home and not SHARES.isdisjoint(words(file))
        share |= (
            file == called
            and posixpath.dirname(place) == posixpath.dirname(home)
            and letters(posixpath.basename(place)) in SHARES
        )
        if share and file.lower().endswith((*FORMS, ".json")) and name.casefold() not in own:
            with suppress(UserError):  # it may be anything
                found[name] = _read(disk.folder / disk.files[name], csv)
    return found


def _named(table: pd.DataFrame, csv: Csv, disk: Disk, asked: tuple[str, ...]) -> pd.DataFrame:
    """The columns of a `Source` table, under their own names."""
    folder, path = disk.folder, disk.folder / csv.file
    files = meant(table[csv.image], disk, path, asked)
    what, rows = ("annotation", table.index + 1) if suffix_of(path) == ".json" else ("line", table.index + 2)
    images = [
        files.get(name) or inner(name, folder, f"{path} {what} {row}")
        for row, name in zip(rows, table[csv.image], strict=True)
    ]
    named = pd.DataFrame({"image": images}, index=table.index, dtype="string")
    for fact in FACTS:
        named[fact] = table[getattr(csv, fact)].astype("string") if getattr(csv, fact) else pd.NA
    named[FACTS] = in_one_form(named[FACTS])
    if numbers := [text for text in named["location"].dropna().unique() if COORDINATES.fullmatch(text)]:
        raise UserError(
            f"{path}: {csv.location} holds coordinates ({numbers[0]}), which differ from photo to photo: "
            "prepare.csv.location must be a column of names of places, or ''"
        )
    return named


def _own_boxes(table: pd.DataFrame, images: pd.Series, csv: Csv) -> pd.DataFrame:
    """The boxes that the table tells beside its photos; its column of parts, where it has one called `csv.part`."""
    sides = csv.box.split()
    none = pd.Series(pd.NA, table.index, dtype="string")
    text = joined(table[sides]) if len(sides) == 4 else table[sides[0]] if sides else none
    parts = table[csv.part] if csv.part in table else pd.Series(csv.part, table.index)
    drawn = table[SIZE] if csv.file.lower().endswith((".json", ".json.gz")) and set(SIZE) <= set(table) else None
    unit = "" if csv.box_unit == "auto" else csv.box_unit
    return parse(Columns(images, parts, text, drawn=drawn, doubt=csv.box_form), csv.box_form, unit)
