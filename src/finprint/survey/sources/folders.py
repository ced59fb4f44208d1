"""A folder with a sub-folder for each individual."""

import difflib
import posixpath
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, kind_of
from finprint.survey.layout import loose, placed
from finprint.survey.names import Nobody, letters, one_form
from finprint.survey.params import Prepare
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.disk import UNPACK, Disk, inner, walk
from finprint.survey.sources.sheets import FORMS, read_sheet, refuse_blanks
from finprint.survey.sources.source import Source, photos, table_names, without_background

# Sub-folders called so hold photos to identify, and no animal is called so.
ASKED = frozenset({
    "query", "queries", "querys", "queryimages", "sourcequery", "test", "tests", "testimages", "testing", "testset",
    "testdata", "segtest", "toidentify", "toid", "toident", "tobeidentified", "toidentity", "identify", "tomatch",
    "match", "formatching", "forid", "foridentification", "newphotos", "probe", "probes", "unlabelled", "unlabeled",
    "toclassify", "topredict", "predict", "pred", "segpred", "zubestimmen", "aidentifier", "aclasser", "poridentificar",
})  # fmt: skip
PART = re.compile(r"(?:stage|stg|part)?\d+$")  # of test1, test_stg1


def read_folders(folder: Path, params: Prepare, nobody: Nobody) -> Source:
    """Read a folder of photos, each below the folder of its individual.

    Which folder names the individual is decided over the whole tree (see `layout.understand`): `NAME/photo` or
    `SPECIES/NAME/photo`, with folders for sides, years, cameras or encounters above or below. Or the file does. A
    photo's id is its path from the folder, since cameras call photos alike.

    Args:
        folder: the folder.
        params: the section `prepare`.
        nobody: names that mean nobody.

    Raises:
        UserError: there is no folder, no photo of an individual, it cannot be told which folders name individuals, or
            the folder of the photos to identify has another name; as `groups`.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: prepare.folder must name one with a sub-folder for each individual")
    disk = walk(folder)
    names = without_background(disk.photos(), params)
    asked = [name for name in names if name.startswith(params.asked)]
    filed = [name for name in names if not name.startswith(params.asked)]
    if not asked:
        refuse_alike(folder, params, filed, called=True)
    rows, strays = [], disk.strays(disk.photos(), table_names(params, folder, disk))
    for name, place in zip(filed, placed(filed, params.folders, nobody, folder), strict=True):
        if place.reason:
            strays.append((name, place.reason))
        else:
            rows.append((name, place.species, place.identity, place.viewpoint, place.encounter))
    if not rows:
        told = [(name, why) for name, why in strays if name in disk.barred or "/" in name or why.endswith(UNPACK)]
        why = f"; the first of {len(told)} that are not used: {told[0][0]}: {told[0][1]}" if told else ""
        tables = [name for name in disk.files if "/" not in name and name.lower().endswith(FORMS)]
        if tables:
            why += (
                f"; if {tables[0]} names them, set prepare.source to csv, prepare.csv.file to {tables[0]}, and "
                "prepare.csv.image and prepare.csv.identity to its columns"
            )
        raise UserError(
            f"{folder} has no photo in a sub-folder: give each individual a sub-folder with its photos, or set "
            f"prepare.folders.identity to file if the names of files begin with their names (A17_1.jpg){why}"
        )
    queried = query_photos(disk, params.asked, asked, (name for name, *_ in rows))
    boxes, counts = read_boxes(folder, params.boxes, params.box_confidence, [*filed, *queried["image"]])
    labelled = pd.DataFrame(rows, columns=["image", "species", "identity", "viewpoint", "encounter"])
    if params.folders.groups:
        labelled["encounter"] = groups(labelled["image"], folder, params.folders.groups)
    catalogue = photos(labelled, disk)
    known = set(catalogue["identity"].dropna())
    places = pd.Series([_place(name, params.asked) for name in asked], queried.index, dtype="string")
    truths = [sorted_by_name(images, known) for _, images in queried["image"].groupby(places)]
    return Source(
        labelled=catalogue,
        queries=queried,
        boxes=boxes,
        truth=pd.concat(truths or [sorted_by_name(queried["image"], known)], ignore_index=True),
        strays=strays,
        counts=counts,
    )


def sorted_by_name(images: pd.Series, names: set[str]) -> pd.DataFrame:
    """The truth (image, identity) of photos to identify that lie in folders of names, as in a share for tests.

    One level of the folders must name individuals, at least half of them those of the catalogue; the others are new
    ones. If a photo has no folder at that level, or one that reads like a side, a date or an encounter, nothing is
    known.

    Args:
        images: (N,) ids.
        names: of the catalogue.
    """
    spelled = {name.casefold(): name for name in names} | {name: name for name in names}
    written = [[one_form(folder).strip() for folder in image.split("/")[:-1]] for image in images]
    chains = [[spelled.get(name, spelled.get(name.casefold(), name)) for name in chain] for chain in written]
    levels = Counter(level for chain in chains for level, folder in enumerate(chain) if folder in names)
    level = levels.most_common(1)[0][0] if levels else 0
    told = {chain[level] if len(chain) > level else "" for chain in chains}
    known = told & names
    named = all(folder and kind_of(folder) == Kind.NAME for folder in told - known)
    rows = [(image, chain[level]) for image, chain in zip(images, chains, strict=True) if named and len(chain) > level]
    rows = rows if 2 * len(known) >= len(told) else []
    return pd.DataFrame(rows, columns=["image", "identity"], dtype="string")


def groups(images: pd.Series, folder: Path, told: str) -> pd.Series:
    """The group of each photo, by a table in the folder with the columns image and, say, boat.

    Args:
        images: (N,) ids.
        folder: the source's.
        told: `prepare.folders.groups`, TABLE:COLUMN.

    Returns:
        (N,) such as `boat 12`.

    Raises:
        UserError: the table or a column is missing, a cell is empty, or a photo has no row, or rows of two groups.
    """
    name, _, column = told.partition(":")
    path = folder / name
    table = read_sheet(path, [column, "image"])
    refuse_blanks(table, "image", path)
    rows = [
        inner(image, folder, f"{path} line {line + 2}") for line, image in zip(table.index, table["image"], strict=True)
    ]
    named = table.assign(image=rows)[["image", column]].drop_duplicates()
    if len(twice := named[named["image"].duplicated()]):
        raise UserError(f"{path}: {twice['image'].iloc[0]} has rows of two groups: keep one of them")
    of = images.map(named.set_index("image")[column]).astype("string")
    if len(missing := images[of.isna()]):
        raise UserError(
            f"{path} has no row for {missing.iloc[0]} ({len(missing)} of {len(images)} photos have none): add them, "
            f"each with its {column}, or with its own name if it belongs to no other photo"
        )
    return f"{column} " + of


def asks(name: str) -> bool:
    """Is a folder called so that photos to identify lie in it?"""
    return PART.sub("", letters(name)) in ASKED


def asked_in(folder: Path, params: Prepare) -> str:
    """`prepare.queries` of a folder: as it is if there is such a sub-folder, else those that are called so, else those
    of photos of nobody."""
    if any((folder / name).is_dir() for name in params.asked):
        return params.queries
    inside = sorted(one.name for one in folder.iterdir() if one.is_dir() and "," not in one.name)
    nobody = Nobody(params.nobody)
    meant = [name for name in inside if asks(name)] or [name for name in inside if name in nobody]
    return ", ".join(meant) or params.queries


def _place(name: str, asked: tuple[str, ...]) -> str:
    """The folder of photos to identify that one of them lies in."""
    return next(place for place in asked if name.startswith(place))


def refuse_alike(folder: Path, params: Prepare, names: Iterable[str], called: bool = False) -> None:
    """Raise a UserError where one of the folders of `names` looks as if it were meant by `prepare.queries`.

    Args:
        folder: the source's folder.
        params: the section `prepare`, whose `queries` names no folder with photos.
        names: photos in other folders.
        called: such a folder may also be called as `asks` tells.
    """
    wanted = [letters(posixpath.basename(place.strip("/"))) for place in params.asked]
    places = {posixpath.dirname(name) for name in names}
    for place in sorted({one.as_posix() for deep in places for one in [Path(deep), *Path(deep).parents][:-1]}):
        name = posixpath.basename(place)
        alike = (difflib.SequenceMatcher(None, letters(name), one, False).ratio() for one in wanted)
        if (called and asks(name)) or max(alike) >= 0.75:
            raise UserError(
                f"{folder} has no folder {params.queries}, but one called {place}: set prepare.queries to it, or "
                "rename it"
            )


def query_photos(disk: Disk, asked: tuple[str, ...], names: list[str], taken: Iterable[str]) -> pd.DataFrame:
    """The table of the photos in the sub-folders of those to identify.

    Args:
        disk: where they lie.
        asked: `Prepare.asked`.
        names: their paths.
        taken: ids of other photos. If there is one such folder, the ids of these leave its name out, unless one would
            then be taken.
    """
    places = [_place(name, asked) for name in names]
    inner = [name.removeprefix(place) for name, place in zip(names, places, strict=True)]
    told = [loose(tuple(name.split("/")[:-1])) for name in inner]
    met = [one.encounter and place + one.encounter for one, place in zip(told, places, strict=True)]
    images = inner if len(asked) == 1 and set(inner).isdisjoint(taken) else names
    table = pd.DataFrame({"image": images, "viewpoint": [place.viewpoint for place in told], "encounter": met})
    return photos(table.astype("string"), disk, [disk.path(name) for name in names])
