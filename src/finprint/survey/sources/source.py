"""A survey as its owner wrote it down, and what the readers of every kind of source share."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from finprint.pictures.images import SUFFIXES

FACTS = ["species", "identity", "encounter", "date"]


@dataclass(frozen=True)
class Source:
    """A survey, unchecked against the disk.

    Attributes:
        labelled: table (image, path, species, identity, encounter, date) of the photos of the catalogue; what is
            unknown is missing. Where one photo shows several named animals, it has a row for each, and the image
            of the second is NAME#2.
        queries: the same columns for the photos to identify, in the order of the answers; no identities.
        boxes: table of `sources.boxes.COLUMNS`.
        truth: table (image, identity) of the queries, where the source knows it.
        strays: (name, why) of files on disk that are no photo of the survey.
        counts: of each table of boxes, what its rows were.
    """

    labelled: pd.DataFrame
    queries: pd.DataFrame
    boxes: pd.DataFrame
    truth: pd.DataFrame
    strays: list[tuple[str, str]]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)


def photos(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The columns of a `Source` table from any table with a column image, its file's name in `folder`."""
    found = table.rename(columns={"individual_id": "identity"}).reindex(columns=["image", *FACTS]).astype("string")
    paths = [(folder / image).as_posix() for image in found["image"]]
    found["identity"] = found["identity"].str.strip()
    found.insert(1, "path", pd.Series(paths, found.index, dtype="string"))
    return found


def without_tables(others: list[tuple[str, str]], tables: list[str]) -> list[tuple[str, str]]:
    """`walk`'s other files without the survey's own tables; NAME or NAME:PART, of a folder all that is in it."""
    own = {"boxes.csv", "decisions.csv", *(table.partition(":")[0] for table in tables)}
    return [(name, why) for name, why in others if not any(name == one or name.startswith(f"{one}/") for one in own)]


def whole_name(name: str) -> str:
    """An individual's name as answers have it, which are separated by spaces: `Old Tom` is `Old_Tom`."""
    return "_".join(name.split())


def without_identity(table: pd.DataFrame) -> pd.DataFrame:
    """A `Source` table of photos whose individuals nobody may know."""
    return table.assign(identity=pd.array([pd.NA] * len(table), dtype="string"))


def walk(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Photos below a folder by their suffix, as sorted relative names, and (name, why) of other files.

    Files and folders whose name begins with a dot are passed over.
    """
    found = os.walk(folder, followlinks=True)
    files = (Path(place, name).relative_to(folder) for place, _, names in found for name in names)
    shown = sorted(path.as_posix() for path in files if not any(part.startswith(".") for part in path.parts))
    suffixes = {name: Path(name).suffix for name in shown}
    why = "no photo by its name: {} files are not read"
    return (
        [name for name in shown if suffixes[name].lower() in SUFFIXES],
        [(name, why.format(suffixes[name] or "such")) for name in shown if suffixes[name].lower() not in SUFFIXES],
    )
