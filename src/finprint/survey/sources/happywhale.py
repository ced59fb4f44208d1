"""A folder in the layout of Kaggle's Happywhale competition."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.sheets import locate, read_sheet
from finprint.survey.sources.source import Source, photos, without_identity


def read_happywhale(folder: Path, boxes: Sequence[str] = (), least: float = 0.0) -> Source:
    """Read a folder in the layout of Kaggle's Happywhale competition.

    `train_images/` with `train.csv` (image, species, individual_id; optionally encounter and date), and, each
    of them optional: `test_images/` with `sample_submission.csv` (image) and `test.csv` (image, species,
    encounter, date), tables of boxes, `test_truth.csv` (image, individual_id). Without `train.csv` the photos
    train a detector only, and there must be boxes.

    Args:
        folder: the folder.
        boxes: tables of boxes in it, see `read_boxes`.
        least: confidence below which their boxes are left out.

    Raises:
        UserError: the folder or a needed table or column is missing.
    """
    if not (folder / "train_images").is_dir():
        raise UserError(
            f"{folder}/train_images is no folder: prepare.folder must name a folder with train_images/ and train.csv"
        )
    on_disk = {split: _photos_in(folder / f"{split}_images") for split in ("train", "test")}
    found, counts = read_boxes(folder, boxes, least, sorted(on_disk["train"] | on_disk["test"]))
    if locate(folder / "train.csv"):
        labelled = read_sheet(folder / "train.csv", ["image", "species", "individual_id"])
    elif len(found):
        labelled = pd.DataFrame({"image": sorted(on_disk["train"])}, dtype="string")
    else:
        raise UserError(
            f"{folder}/train.csv is missing, and so is boxes.csv: one of them must say what the photos show"
        )
    queries = read_sheet(folder / "sample_submission.csv", ["image"], optional=True)
    if not len(queries):
        queries = pd.DataFrame({"image": sorted(on_disk["test"])}, dtype="string")
    facts = read_sheet(folder / "test.csv", ["image"], optional=True)
    queries = queries[["image"]].merge(facts.drop_duplicates("image"), on="image", how="left")
    truth = read_sheet(folder / "test_truth.csv", ["image", "individual_id"], optional=True)
    truth["individual_id"] = truth["individual_id"].str.strip()

    named = {"train": set(labelled["image"]), "test": set(queries["image"])}
    strays = [f"{split}_images/{name}" for split in on_disk for name in sorted(on_disk[split] - named[split])]
    return Source(
        labelled=photos(labelled, folder / "train_images"),
        queries=without_identity(photos(queries, folder / "test_images")),
        boxes=found,
        truth=truth.rename(columns={"individual_id": "identity"})[["image", "identity"]],
        strays=[(name, "on disk, but in no table") for name in strays],
        counts=counts,
    )


def _photos_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")}
