"""A folder in the layout of Kaggle's Happywhale competition."""

from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.names import one_form
from finprint.survey.params import Prepare
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.disk import BESIDE, UNWATCHED, Disk, inner, is_litter, refuse_unwatched, walk
from finprint.survey.sources.meant import meant
from finprint.survey.sources.sheets import locate, read_sheet, refuse_errors
from finprint.survey.sources.source import FACTS, Source, in_one_form, photos, without_identity

SPLITS = ("train", "test")
SUBMISSION = "sample_submission.csv"
TABLES = ("train.csv", "test.csv", "test_truth.csv", SUBMISSION)
NAMED = ["image", "species", "individual_id"]  # columns of train.csv


def is_happywhale(folder: Path) -> bool:
    """Has a folder this layout, so that each photo has an id of its own?"""
    photos, asked = (_entries(folder / f"{split}_images") for split in SPLITS)
    try:
        read_sheet(folder / "train.csv", NAMED)
    except UserError:
        return False
    return bool(photos) and photos.isdisjoint(asked)


def may_be_happywhale(folder: Path) -> bool:
    """Has a folder `train_images/`, with a table beside it or no further folders in it? Reading it says what is
    missing."""
    photos = folder / "train_images"
    in_folders = any((photos / name).is_dir() for name in _entries(photos))
    return photos.exists() and (locate(folder / "train.csv") is not None or not in_folders)


def _entries(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir() if not is_litter(path.name)} if folder.is_dir() else set()


def read_happywhale(folder: Path, params: Prepare) -> Source:
    """Read a folder in the layout of Kaggle's Happywhale competition.

    `train_images/` with `train.csv` (image, species, individual_id; optionally encounter, date, viewpoint and
    location), and, each of them optional: `test_images/` with `sample_submission.csv` (image) and `test.csv` (image and
    the same facts), tables of boxes, `test_truth.csv` (image, individual_id). Without `train.csv` the photos train a
    detector only, and there must be boxes.

    Args:
        folder: the folder.
        params: the section `prepare`.

    Raises:
        UserError: the folder or a needed table or column is missing.
    """
    disks = _disks(folder)
    beside = BESIDE in [name.partition(":")[0].rstrip("/") for name in params.boxes]
    labels = {split: set(disk.labels() if beside else ()) for split, disk in disks.items()}
    tops = {
        split: [name for name in disk.files if "/" not in name and name not in labels[split]]
        for split, disk in disks.items()
    }
    boxes, counts = read_boxes(folder, params.boxes, params.box_confidence, sorted(tops["train"] + tops["test"]))
    if locate(folder / "train.csv"):
        labelled = read_sheet(folder / "train.csv", NAMED)
    elif len(boxes):
        labelled = pd.DataFrame({"image": tops["train"]}, dtype="string")
    else:
        raise UserError(
            f"{folder}/train.csv is missing, and so is boxes.csv: one of them must say what the photos show"
        )
    truth = read_sheet(folder / "test_truth.csv", ["image", "individual_id"], optional=True)
    tables = {"train": labelled, "test": _queries(folder, tops["test"])}
    tables = {split: table.assign(image=_images(table, disks[split], folder)) for split, table in tables.items()}
    used = {split: set(table["image"]) for split, table in tables.items()}
    for name, table in tables.items():
        refuse_errors(table, table.columns.intersection([*FACTS, "individual_id"]), folder / f"{name}.csv")
    return Source(
        labelled=photos(tables["train"], disks["train"]),
        queries=without_identity(photos(tables["test"], disks["test"])),
        boxes=boxes,
        truth=in_one_form(truth.rename(columns={"individual_id": "identity"})[["image", "identity"]]),
        strays=[
            (f"{split}_images/{name}", disk.barred.get(name, "on disk, but in no table"))
            for split, disk in disks.items()
            for name in sorted({*disk.files, *disk.barred} - used[split] - labels[split])
        ],
        counts=counts,
        barred=disks["train"].unopened(used["train"]) | disks["test"].unopened(used["test"]),
    )


def _disks(folder: Path) -> dict[str, Disk]:
    """What lies in the two folders of photos, where DVC watches them and the tables."""
    for name in TABLES:
        refuse_unwatched(locate(folder / name) or folder / name, folder)
    for split in SPLITS:
        if (folder / f"{split}_images").is_symlink():
            raise UserError(f"{folder}/{split}_images is a link to a folder, and {UNWATCHED}")
    if not (folder / "train_images").is_dir():
        raise UserError(
            f"{folder}/train_images is no folder: prepare.folder must name a folder with train_images/ and train.csv"
        )
    return {split: walk(folder / f"{split}_images", folder) for split in SPLITS}


def _queries(folder: Path, on_disk: list[str]) -> pd.DataFrame:
    """The photos to identify, in the order of the answers, with the facts of test.csv."""
    listed = read_sheet(folder / SUBMISSION, ["image"], optional=True)
    images = listed["image"].map(one_form).tolist() if len(listed) else on_disk
    facts = in_one_form(read_sheet(folder / "test.csv", ["image"], optional=True)).drop_duplicates("image")
    return pd.DataFrame({"image": images}, dtype="string").merge(facts, on="image", how="left")


def _images(table: pd.DataFrame, disk: Disk, folder: Path) -> list[str]:
    """The photos' ids: their paths from the folder of their split."""
    place = disk.folder
    name = "train.csv" if place.name == "train_images" else "the list of photos to identify"
    files = meant(table["image"], disk, folder / name)
    return [
        files.get(image) or inner(image, place, f"{folder}/{name} line {line}")
        for line, image in enumerate(table["image"], start=2)
    ]
