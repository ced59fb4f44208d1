"""Any table of photos, its columns called as params say: a CSV, wildlife-datasets' metadata, COCO's JSON."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finprint.params import Csv
from finprint.sources.boxes import COLUMNS, parse, read_boxes, read_coco
from finprint.sources.folders import query_photos
from finprint.sources.source import Source, photos, read_csv, require, walk, without_identity

OPTIONAL = ("identity", "species", "encounter", "date")


def read_any_csv(folder: Path, csv: Csv, queries: str, boxes: Sequence[str] = (), least: float = 0.0) -> Source:
    """Read a table of photos, one row a photo, or one an animal where it has boxes.

    A photo's id is what the table calls it. Where one photo has several rows with boxes, each an animal, the
    second is NAME#2.

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
    table = read_coco(path) if path.suffix == ".json" else read_csv(path, [csv.image])
    sides = csv.box.split()
    asked = [name for name in (csv.split, *(getattr(csv, fact) for fact in OPTIONAL), *sides) if name]
    require(table, [csv.image, *asked], path)
    named = pd.DataFrame({"image": table[csv.image].str.replace("\\", "/")})
    for fact in OPTIONAL:
        named[fact] = table[getattr(csv, fact)] if getattr(csv, fact) else pd.NA
    named["identity"] = named["identity"].mask(named["identity"].eq(csv.unknown).fillna(False))
    found = photos(named, folder)
    text = table[sides].fillna("?").agg(" ".join, axis=1) if sides else pd.Series(pd.NA, table.index)
    text = text.astype("string").mask(table[sides].isna().all(axis=1)) if sides else text
    if sides:
        found["image"] = _animals(found["image"])
    own = parse(found["image"], pd.Series(csv.part, table.index), text, csv.box_form)
    test = table[csv.split].eq(csv.query).fillna(False) if csv.split else pd.Series(False, table.index)

    on_disk, others = walk(folder)
    loose = [name for name in on_disk if name.startswith(f"{queries}/") and name not in set(named["image"])]
    more, counts = read_boxes(folder, boxes, least, on_disk)
    strays = [(name, "on disk, but in no table") for name in on_disk if name not in {*named["image"], *loose}]
    tables = {csv.file, "boxes.csv", "decisions.csv", *(name.partition(":")[0] for name in boxes)}
    truth = found[test][["image", "identity"]].dropna()
    return Source(
        labelled=found[~test],
        queries=pd.concat([without_identity(found[test]), query_photos(folder, queries, loose)], ignore_index=True),
        boxes=pd.concat([table for table in (own[own["written"] != ""], more) if len(table)] or [own[COLUMNS]]),
        truth=truth,
        strays=strays + [(name, why) for name, why in others if name.split("/")[0] not in tables],
        counts=counts,
    )


def _animals(images: pd.Series) -> pd.Series:
    """Ids of the animals in photos: NAME for a photo's first row, NAME#2 for its second."""
    number = images.groupby(images).cumcount() + 1
    return images.where(number == 1, images + "#" + number.astype("string"))
