"""Any table of photos, its columns called as params say: a CSV, wildlife-datasets' metadata, COCO's JSON."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.params import Csv
from finprint.survey.sources.animals import tell_animals
from finprint.survey.sources.annotations import read_coco
from finprint.survey.sources.boxes import joined, parse, read_boxes
from finprint.survey.sources.folders import query_photos
from finprint.survey.sources.sheets import read_sheet, require
from finprint.survey.sources.source import Source, photos, walk, without_identity, without_tables

OPTIONAL = ("identity", "species", "encounter", "date")


def read_any_csv(folder: Path, csv: Csv, queries: str, boxes: Sequence[str] = (), least: float = 0.0) -> Source:
    """Read a table of photos, one row a photo, or one an animal where it has boxes.

    A photo's id is what the table calls it. Where one photo has several rows with boxes, each an animal, the
    second is NAME#2; boxes of several parts of one animal are told apart from that (see `tell_animals`).

    Args:
        folder: where the table lies, and the photos below it.
        csv: which table, and what its columns are called.
        queries: sub-folder with photos to identify that the table does not name.
        boxes: further tables of boxes in the folder, see `read_boxes`.
        least: confidence below which their boxes are left out.

    Raises:
        UserError: the table, or a column that params name, is missing.
    """
    path = folder / csv.file
    table = read_coco(path) if path.suffix == ".json" else read_sheet(path, [csv.image])
    sides = csv.box.split()
    asked = [name for name in (csv.split, *(getattr(csv, fact) for fact in OPTIONAL), *sides) if name]
    require(table, [csv.image, *asked], path)
    if table[csv.image].isna().any():
        raise UserError(f"{path}: {table[csv.image].isna().sum()} rows have no {csv.image}")
    named = pd.DataFrame({"image": table[csv.image].map(_plain)}, dtype="string")
    for fact in OPTIONAL:
        named[fact] = table[getattr(csv, fact)] if getattr(csv, fact) else pd.NA
    identity = named["identity"].str.strip()
    named["identity"] = identity.mask(identity.eq(csv.unknown).fillna(False))
    found = photos(named, folder)
    none = pd.Series(pd.NA, table.index, dtype="string")
    text = joined(table[sides]) if len(sides) == 4 else table[sides[0]] if sides else none
    shows = table[csv.part] if csv.part in table else pd.Series(csv.part, table.index)
    own = parse(found["image"], shows, text, csv.box_form)
    if sides:
        found, own = tell_animals(found, own, f"{path}, {csv.box}")
    if path.suffix != ".json":
        own = own[own["written"] != ""]  # where a CSV tells no box, there may be an animal
    test = table[csv.split].eq(csv.query).fillna(False) if csv.split else pd.Series(False, table.index)
    test = test[found.index]

    on_disk, others = walk(folder)
    told = set(named["image"])
    loose = [name for name in on_disk if name.startswith(f"{queries}/") and name not in told]
    queried = query_photos(folder, queries, loose)
    more, counts = read_boxes(folder, boxes, least, [*named["image"], *queried["image"]])
    used = told.union(loose)
    strays = [(name, "on disk, but in no table") for name in on_disk if name not in used]
    truth = found[test][["image", "identity"]].dropna()
    return Source(
        labelled=found[~test],
        queries=pd.concat([without_identity(found[test]), queried], ignore_index=True),
        boxes=pd.concat([table for table in (own, more) if len(table)] or [own]),
        truth=truth,
        strays=strays + without_tables(others, [csv.file, *boxes]),
        counts=counts,
    )


def _plain(name: str) -> str:
    """A path as the disk has it: slashes, no dots in front."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()
