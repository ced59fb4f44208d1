"""A folder in the layout of Kaggle's Happywhale competition."""

from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.names import one_form
from finprint.survey.params import Prepare
from finprint.survey.sources.boxes import read_boxes
from finprint.survey.sources.disk import UNWATCHED, inner, refuse_unwatched, walk
from finprint.survey.sources.sheets import locate, read_sheet
from finprint.survey.sources.source import Source, in_one_form, photos, without_identity

SPLITS = ("train", "test")
TABLES = ("train.csv", "test.csv", "test_truth.csv", "sample_submission.csv")


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
    _refuse_layout(folder)
    disks = {split: walk(folder / f"{split}_images", folder) for split in SPLITS}
    on_disk = {split: [name for name in disks[split].files if "/" not in name] for split in SPLITS}
    boxes, counts = read_boxes(folder, params.boxes, params.box_confidence, sorted(on_disk["train"] + on_disk["test"]))
    labelled = _labelled(folder, on_disk["train"], boxed=len(boxes) > 0)
    queries = _queries(folder, on_disk["test"])
    truth = read_sheet(folder / "test_truth.csv", ["image", "individual_id"], optional=True)
    tables = {"train": labelled, "test": queries}
    listed = {split: _images(tables[split], folder, split) for split in SPLITS}
    strays: list[tuple[str, str]] = []
    barred: dict[str, str] = {}
    for split, disk in disks.items():
        used = set(listed[split])
        strays += [
            (f"{split}_images/{name}", disk.barred.get(name, "on disk, but in no table"))
            for name in sorted({*disk.files, *disk.barred} - used)
        ]
        barred |= {disk.path(name): why for name in sorted(used) if (why := disk.missing(name))}
    return Source(
        labelled=photos(labelled.assign(image=listed["train"]), disks["train"]),
        queries=without_identity(photos(queries.assign(image=listed["test"]), disks["test"])),
        boxes=boxes,
        truth=in_one_form(truth.rename(columns={"individual_id": "identity"})[["image", "identity"]]),
        strays=strays,
        counts=counts,
        barred=barred,
    )


def _refuse_layout(folder: Path) -> None:
    """Raise a UserError where the folder has another layout, or a table or photos that DVC does not watch."""
    for name in TABLES:
        refuse_unwatched(locate(folder / name) or folder / name, folder)
    for split in SPLITS:
        if (folder / f"{split}_images").is_symlink():
            raise UserError(f"{folder}/{split}_images is a link to a folder, and {UNWATCHED}")
    if not (folder / "train_images").is_dir():
        raise UserError(
            f"{folder}/train_images is no folder: prepare.folder must name a folder with train_images/ and train.csv"
        )


def _labelled(folder: Path, on_disk: list[str], boxed: bool) -> pd.DataFrame:
    """The table of the catalogue; where there is none but there are boxes, its photos by their names `on_disk`."""
    if locate(folder / "train.csv"):
        return read_sheet(folder / "train.csv", ["image", "species", "individual_id"])
    if not boxed:
        raise UserError(
            f"{folder}/train.csv is missing, and so is boxes.csv: one of them must say what the photos show"
        )
    return pd.DataFrame({"image": on_disk}, dtype="string")


def _queries(folder: Path, on_disk: list[str]) -> pd.DataFrame:
    """The photos to identify, those `on_disk` where no table lists them, with the facts of `test.csv`."""
    listed = read_sheet(folder / "sample_submission.csv", ["image"], optional=True)
    images = listed["image"] if len(listed) else pd.Series(on_disk, dtype="string")
    facts = in_one_form(read_sheet(folder / "test.csv", ["image"], optional=True))
    queries = pd.DataFrame({"image": images.map(one_form)}).astype("string")
    return queries.merge(facts.drop_duplicates("image"), on="image", how="left")


def _images(table: pd.DataFrame, folder: Path, split: str) -> list[str]:
    """The photos' ids: their paths from the folder of their split."""
    place = folder / f"{split}_images"
    name = "train.csv" if split == "train" else "the list of photos to identify"
    return [inner(image, place, f"{folder}/{name} row {row}") for row, image in enumerate(table["image"], start=1)]
