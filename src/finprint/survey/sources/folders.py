"""A folder with a sub-folder for each individual."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.source import Source, photos, walk, whole_name, without_tables


def read_folders(folder: Path, queries: str, boxes: Sequence[str] = (), least: float = 0.0) -> Source:
    """Read a folder of photos, each in the sub-folder of its individual: `NAME/photo` or `SPECIES/NAME/photo`.

    A photo's id is its path from the folder, since cameras call photos alike. Spaces in an individual's name become
    underscores.

    Args:
        folder: the folder.
        queries: name of the sub-folder with the photos to identify.
        boxes: tables of boxes in the folder, see `read_boxes`; they name photos by their ids.
        least: confidence below which their boxes are left out.

    Raises:
        UserError: there is no folder, no sub-folder of an individual, or that of the queries is called nearly so.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: prepare.folder must name one with a sub-folder for each individual")
    names, others = walk(folder)
    asked = [name for name in names if name.startswith(f"{queries}/")]
    filed = [name for name in names if not name.startswith(f"{queries}/")]
    like = next((name.split("/")[0] for name in names if name.lower().startswith(f"{queries}/".lower())), queries)
    if not asked and like != queries:
        raise UserError(f"{folder} has no {queries}, but {like}: set prepare.queries to it, or rename the folder")
    strays = without_tables(others, list(boxes))
    of: dict[str, str] = {}  # individual -> its folder
    rows = []
    for name in filed:
        *above, identity, _ = ["", *name.split("/")]
        if identity and len(above) <= 2:
            species = above[1] if len(above) == 2 else None
            called, home = whole_name(identity), name.rpartition("/")[0]
            if of.setdefault(called, home) != home:
                raise UserError(f"{folder}: {of[called]} and {home} are both individual {called}: rename one of them")
            rows.append((name, species, called))
        else:
            why = "lies deeper than SPECIES/INDIVIDUAL/photo" if above[1:] else "lies in no individual's folder"
            strays.append((name, why))
    if not rows:
        raise UserError(f"{folder} has no photo in a sub-folder: each individual has one with its photos")
    queried = query_photos(folder, queries, asked)
    found, counts = read_boxes(folder, boxes, least, [*filed, *queried["image"]])
    return Source(
        labelled=photos(pd.DataFrame(rows, columns=["image", "species", "identity"]), folder),
        queries=queried,
        boxes=found,
        truth=pd.DataFrame(columns=["image", "identity"], dtype="string"),
        strays=strays,
        counts=counts,
    )


def query_photos(folder: Path, queries: str, names: list[str]) -> pd.DataFrame:
    """The table of the photos in the sub-folder `queries`; their ids leave its name out."""
    found = [name.removeprefix(f"{queries}/") for name in names]
    return photos(pd.DataFrame({"image": found}, dtype="string"), folder / queries)
