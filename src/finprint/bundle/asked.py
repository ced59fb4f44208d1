"""The photos that a person wants identified: a folder, a table or single files."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes
from finprint.base.progress import bar
from finprint.bundle.tables import COORDINATES, TOLD
from finprint.pictures.images import ACROSS, BadPhoto, date_taken, decode, read_photo
from finprint.store.tables import SIDES

TABLES = (".csv", ".tsv", ".xlsx", ".gz")
# What a column may be called, in small letters.
CALLED = {
    "image": ("image", "photo", "file", "filename", "file_name", "file name", "path"),
    "encounter": ("encounter", "encounter_id", "sighting", "sighting_id"),
    "viewpoint": ("viewpoint", "side", "flank"),
    "date": ("date", "datetime", "taken"),
    "species": ("species",),
    "place": ("place", "location", "site"),
    "latitude": ("latitude", "lat", "decimallatitude", "decimal_latitude"),
    "longitude": ("longitude", "lon", "long", "lng", "decimallongitude", "decimal_longitude"),
    **{side: (side,) for side in SIDES},
}


@dataclass(frozen=True)
class Asked:
    """Photos to identify.

    Attributes:
        folder: which the photos' names are relative to.
        photos: columns image (its id), path (from `folder`), `TOLD`, `COORDINATES`, and the `SIDES` of a box where it
            is told; what is not told is missing.
    """

    folder: Path
    photos: pd.DataFrame


def asked(given: Sequence[Path]) -> Asked:
    """The photos that are given: one folder, one table, or files.

    A table needs a column with the photos' paths from the table's folder, called image, photo, file or path. It may
    have encounter, side, date, species, place and a box, x_min to y_max in px.

    Raises:
        UserError: a path is missing, there is no photo, or the table has no such column.
    """
    if missing := [path for path in given if not path.exists()]:
        raise UserError(f"{missing[0]} is missing")
    if len(given) == 1 and given[0].is_dir():
        named, folder, what = _of_folder(given[0]), given[0], f"{given[0]} holds no photo"
    elif len(given) == 1 and given[0].suffix.lower() in TABLES:
        named, folder, what = _of_table(given[0]), given[0].parent, f"{given[0]} names no photo"
    elif folders := [path for path in given if path.is_dir()]:
        raise UserError(f"{folders[0]} is a folder: give one folder alone, or single photos")
    else:
        folder = Path(os.path.commonpath([path.absolute().parent for path in given]))
        folder = Path(os.path.relpath(folder)) if not given[0].is_absolute() else folder
        named = pd.DataFrame({"image": [Path(os.path.relpath(path, folder)).as_posix() for path in given]})
        what = "no photo is given"
    if not len(named):
        raise UserError(what)
    return Asked(folder, _each_animal(with_columns(named)))


def with_columns(photos: pd.DataFrame) -> pd.DataFrame:
    """The photos with all columns of `Asked.photos`; what is not told is missing, but the path, which is the id."""
    texts, numbers = ("image", "path", *TOLD), (*COORDINATES, *SIDES)
    table = photos.reindex(columns=[*texts, *numbers])
    table = table.astype(dict.fromkeys(texts, "string") | dict.fromkeys(numbers, float))
    return table.assign(path=table["path"].fillna(table["image"]))


def _each_animal(photos: pd.DataFrame) -> pd.DataFrame:
    """A row a photo; of several boxes in a photo, a row a box, the second called NAME#2."""
    boxed = photos["image"].isin(photos.loc[photos[SIDES].notna().all(axis=1), "image"])
    kept = photos[~boxed | photos[SIDES].notna().all(axis=1)].drop_duplicates(["image", *SIDES], ignore_index=True)
    number = kept.groupby("image").cumcount() + 1
    return kept.assign(image=kept["image"].where(number == 1, kept["image"] + "#" + number.astype("string")))


def _of_folder(folder: Path) -> pd.DataFrame:
    """The photos below a folder, with the sides and encounters that sub-folders tell, as the pipeline reads them."""
    from finprint.survey.layout import loose  # this room imports openpyxl, which takes half a second
    from finprint.survey.sources.disk import walk

    names = walk(folder).photos()
    places = [loose(tuple(name.split("/")[:-1])) for name in names]
    told = {what: [getattr(place, what) for place in places] for what in ("viewpoint", "encounter")}
    return pd.DataFrame({"image": names} | told)


def _of_table(path: Path) -> pd.DataFrame:
    """The table's rows under our names of the columns; sides are left or right, however they are written."""
    from finprint.survey.degrees import MOST, read_numbers
    from finprint.survey.names import side  # this room imports openpyxl, which takes half a second
    from finprint.survey.sources.sheets import read_sheet
    from finprint.survey.sources.source import in_one_form

    table = read_sheet(path, [])
    small = {str(column).strip().casefold(): column for column in reversed(list(table.columns))}
    columns = {
        name: small[called] for name, all_called in CALLED.items() for called in reversed(all_called) if called in small
    }
    if "image" not in columns:
        raise UserError(f"{path} has no column {', '.join(CALLED['image'])} (it has: {', '.join(table.columns)})")
    named = pd.DataFrame({name: table[column] for name, column in columns.items()})
    if named["image"].isna().any():
        raise UserError(f"{path} line {named.index[named['image'].isna()][0] + 2}: {columns['image']} is empty")
    for what in [what for what in (*SIDES, *COORDINATES) if what in named]:
        numbers, wrong = read_numbers(named[what], MOST.get(what, np.inf))
        for row in wrong.index[wrong.notna()][:1]:
            raise UserError(f"{path} line {row + 2}: {what} is {named[what][row]!r}, {wrong[row]}")
        named[what] = numbers
    _check_boxes(named, path)
    told = [name for name in TOLD if name in named]
    named[told] = in_one_form(named[told].astype("string"))
    if "viewpoint" in told:
        read = named["viewpoint"].map(side, na_action="ignore").astype("string")
        named["viewpoint"] = read.fillna(named["viewpoint"]).mask(read == "both")
    if "date" in told:
        named["date"] = _iso(named["date"], path)
    return named.reset_index(drop=True)


def _check_boxes(named: pd.DataFrame, path: Path) -> None:
    """Refuse a box that lacks a side, or has a side in the wrong place.

    Raises:
        UserError: names the line.
    """
    sides = named.reindex(columns=SIDES)
    halves = sides.notna().any(axis=1) & sides.isna().any(axis=1)
    empty = (sides["x_min"] >= sides["x_max"]) | (sides["y_min"] >= sides["y_max"])
    for wrong, why in ((halves, "a box needs x_min, y_min, x_max and y_max"), (empty, "its box is empty")):
        if wrong.any():
            raise UserError(f"{path} line {wrong.index[wrong][0] + 2}: {why}")


def _iso(dates: pd.Series, path: Path) -> pd.Series:
    """Dates as ISO 8601 writes them.

    Raises:
        UserError: one cannot be read, or may have the day or the month first.
    """
    from finprint.survey.dates import read_dates

    rows = {text: f"{path} line {row + 2}" for row, text in reversed(list(dates.dropna().items()))}
    try:
        read = read_dates(rows, "auto")
    except UserError as error:
        raise UserError(f"{str(error).rpartition(': ')[0]}: write dates as 2026-06-01") from None
    for text, date in read.items():
        if date.when is None:
            raise UserError(f"{rows[text]}: {text!r} {date.reason}")
    return dates.map(lambda text: str(read[text].when), na_action="ignore").astype("string")


@dataclass(frozen=True)
class Header:
    """What a photo's file says before it is decoded: `problem` is empty for one that can be used."""

    problem: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    date: str | None = None


def headers(paths: Sequence[Path]) -> list[Header]:
    """What the photos' files say, in order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing releases the interpreter lock
        return list(bar("reading photos", len(paths), "photo", pool.map(header, paths)))


def header(path: Path) -> Header:
    """What one photo's file says. A JPEG is not decoded for it."""
    try:
        content = read_photo(path)
        width, height = _size(path, content)
        taken = date_taken(content)
        return Header("", sha256_bytes(content), width, height, taken.isoformat(" ") if taken else None)
    except BadPhoto as bad:
        return Header(str(bad))


def _size(path: Path, content: bytes) -> tuple[int, int]:
    """Width and height of a photo that stands upright, px."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format in ("JPEG", "MPO"):
                return image.size[::-1] if image.getexif().get(0x0112) in ACROSS else image.size
    except Exception:  # `decode` meets it too, and names it
        pass
    return decode(path, 1, content)[1]
