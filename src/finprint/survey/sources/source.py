"""A survey as its owner wrote it down, and what the readers of every kind of source share."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.hygiene import Finding
from finprint.survey.names import one_form
from finprint.survey.params import Prepare
from finprint.survey.sources.disk import BESIDE, Disk, walk
from finprint.survey.sources.label_files import CONFIGS, LISTS
from finprint.survey.sources.marks import NONE, Mark
from finprint.survey.sources.sheets import locate

FACTS = ["species", "identity", "encounter", "date", "viewpoint", "location", "latitude", "longitude"]


@dataclass(frozen=True)
class Source:
    """A survey, unchecked against the disk.

    Attributes:
        labelled: table (image, path, and `FACTS`) of the photos of the catalogue; what is unknown is missing. Where
            one photo shows several named animals, it has a row for each, and the image of the second is NAME#2.
        queries: the same columns for the photos to identify, in the order of the answers; no identities.
        boxes: table of `sources.box_columns.COLUMNS`.
        truth: table (image, identity) of the queries, where the source knows it.
        strays: (name, why) of files on disk that are no photo of the survey.
        counts: of each table of boxes, what its rows were.
        barred: paths of photos that must not be opened, and why.
        findings: what looks wrong in the tables themselves.
        before: the individual in each photo before the log of reviews was applied; None: no log was asked for.
    """

    labelled: pd.DataFrame
    queries: pd.DataFrame
    boxes: pd.DataFrame
    truth: pd.DataFrame
    strays: list[tuple[str, str]]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    barred: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    before: dict[str, str] | None = None

    def paths(self) -> dict[str, str]:
        """Where each photo lies, by its image."""
        named = pd.concat([self.labelled, self.queries])
        return dict(zip(named["image"], named["path"], strict=True))


def photos(table: pd.DataFrame, disk: Disk, paths: list[str] | None = None) -> pd.DataFrame:
    """The columns of a `Source` table from any table with a column image.

    Args:
        table: with some of the columns `FACTS`; Kaggle's individual_id is the identity.
        disk: the photos' folder.
        paths: of the photos; None: they lie in `disk` by their image.
    """
    wanted = table.rename(columns={"individual_id": "identity"}).reindex(columns=["image", *FACTS]).astype("string")
    wanted[FACTS] = in_one_form(wanted[FACTS])
    places = [disk.path(image) for image in wanted["image"]] if paths is None else paths
    wanted.insert(1, "path", pd.Series(places, wanted.index, dtype="string"))
    return wanted


def in_one_form(table: pd.DataFrame) -> pd.DataFrame:
    """A table of strings without spaces around them, in the form in which names are compared; "" is missing."""
    written = table.apply(lambda column: column.map(lambda text: one_form(text).strip(), na_action="ignore"))
    return written.astype("string").replace({"": pd.NA})


def background(params: Prepare) -> str:
    """What the ids of photos in the folder `prepare.background` begin with; empty where there is no such folder."""
    return f"{params.background.strip('/')}/" if params.background else ""


def without_background(names: list[str], params: Prepare) -> list[str]:
    """The photos that do not lie in the folder `prepare.background`."""
    return [name for name in names if not (params.background and name.startswith(background(params)))]


def with_background(source: Source, params: Prepare, folder: Path) -> Source:
    """The source with the photos in the folder `prepare.background`: nobody's, and listed without a box.

    Raises:
        UserError: the folder holds no photo.
    """
    if not params.background:
        return source
    disk = walk(folder)
    names = [name for name in disk.photos() if name.startswith(background(params))]
    if not names:
        raise UserError(f"{folder}/{params.background} holds no photo: prepare.background must name a folder of photos")
    listed = set(source.labelled["image"]) | set(source.queries["image"])
    if twice := [name for name in names if name in listed]:
        raise UserError(f"{twice[0]} lies in prepare.background, whose photos show no animal, but a table lists it")
    more = photos(pd.DataFrame({"image": names}, dtype="string"), disk)
    marks = pd.DataFrame([Mark(name, None, *NONE, 1.0, False, "") for name in names], columns=list(Mark._fields))
    return replace(
        source,
        labelled=pd.concat([source.labelled, more], ignore_index=True),
        boxes=pd.concat([source.boxes, marks] if len(source.boxes) else [marks], ignore_index=True),
        strays=[stray for stray in source.strays if stray[0] not in names],
    )


def without_identity(table: pd.DataFrame) -> pd.DataFrame:
    """A `Source` table of photos whose individuals nobody may know."""
    return table.assign(identity=pd.array([pd.NA] * len(table), dtype="string"))


def _labels_beside(disk: Disk) -> list[str]:
    """The labels beside the photos, and the lists of their classes."""
    lists = [name for name in disk.files if name.rpartition("/")[2].casefold() in {*LISTS, *CONFIGS}]
    return [*disk.labels(), *lists]


def table_names(params: Prepare, folder: Path, disk: Disk | None = None) -> list[str]:
    """The survey's own tables in its folder, each as it is there; of a folder of labels its name.

    Args:
        params: the section `prepare`.
        folder: the survey's folder.
        disk: what lies in it: then labels beside the photos are listed as well, where they are read.
    """
    own = [params.csv.file] if params.source == "csv" else []
    own += [params.folders.groups.partition(":")[0]] if params.source == "folder" and params.folders.groups else []
    named = ["boxes.csv", "decisions.csv", *own, *(name.partition(":")[0].rstrip("/") for name in params.boxes)]
    beside = _labels_beside(disk) if disk and BESIDE in named else []
    named = [name for name in named if name != BESIDE]
    places = [(name, locate(folder / name)) for name in named]
    inner = [(name, place if place and place.is_relative_to(folder) else None) for name, place in places]
    return [*(place.relative_to(folder).as_posix() if place else name for name, place in inner), *beside]
