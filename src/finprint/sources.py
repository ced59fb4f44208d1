"""Where photos and labels come from: each source is read into the same tables, unchecked against the disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finprint.errors import UserError
from finprint.tables import NEW

SIDES = ["x_min", "y_min", "x_max", "y_max"]
FACTS = ["species", "identity", "encounter"]


@dataclass(frozen=True)
class Source:
    """A survey as its owner wrote it down.

    Attributes:
        labelled: table (image, path, species, identity, encounter) of the photos of the catalogue; an
            empty identity is missing.
        queries: the same columns for the photos to identify, in the order of the answers; no identities.
        boxes: table (image, part, x_min, y_min, x_max, y_max) in pixels.
        truth: table (image, identity) of the queries, where the source knows it.
        strays: photos on disk that no table names.
    """

    labelled: pd.DataFrame
    queries: pd.DataFrame
    boxes: pd.DataFrame
    truth: pd.DataFrame
    strays: list[str]


def read_happywhale(folder: Path, species_typos: dict[str, str]) -> Source:
    """Read a folder in the layout of Kaggle's Happywhale competition.

    `train_images/` with `train.csv` (image, species, individual_id; optionally encounter), and, each of
    them optional: `test_images/` with `sample_submission.csv` (image) and `test.csv` (image, species,
    encounter), `boxes.csv` (image, part, x_min, y_min, x_max, y_max in pixels), `test_truth.csv` (image,
    individual_id). Without `train.csv` the photos train a detector only, and `boxes.csv` must be there.

    Raises:
        UserError: the folder or a needed table or column is missing, or an id cannot stand in an answer.
    """
    if not (folder / "train_images").is_dir():
        raise UserError(
            f"{folder}/train_images is no folder: prepare.folder must name a folder with train_images/ and train.csv"
        )
    on_disk = {split: _photos_in(folder / f"{split}_images") for split in ("train", "test")}
    boxes = _read_csv(folder / "boxes.csv", ["image", "part", *SIDES], optional=True)
    if (folder / "train.csv").exists():
        labelled = _read_csv(folder / "train.csv", ["image", "species", "individual_id"])
    elif len(boxes):
        labelled = pd.DataFrame({"image": sorted(on_disk["train"])}, dtype="string")
    else:
        raise UserError(
            f"{folder}/train.csv is missing, and so is boxes.csv: one of them must say what the photos show"
        )
    queries = _read_csv(folder / "sample_submission.csv", ["image"], optional=True)
    if not len(queries):
        queries = pd.DataFrame({"image": sorted(on_disk["test"])}, dtype="string")
    facts = _read_csv(folder / "test.csv", ["image"], optional=True)
    queries = queries[["image"]].merge(facts.drop_duplicates("image"), on="image", how="left")
    truth = _read_csv(folder / "test_truth.csv", ["image", "individual_id"], optional=True)

    named = {"train": set(labelled["image"]), "test": set(queries["image"])}
    strays = [f"{split}_images/{name}" for split in on_disk for name in sorted(on_disk[split] - named[split])]
    source = Source(
        labelled=_facts(labelled, folder / "train_images", species_typos),
        queries=_facts(queries, folder / "test_images", species_typos).assign(
            identity=pd.array([pd.NA] * len(queries), dtype="string")
        ),
        boxes=boxes,
        truth=truth.rename(columns={"individual_id": "identity"})[["image", "identity"]],
        strays=strays,
    )
    _check_ids(source, folder)
    return source


def _photos_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    return {entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")}


def _read_csv(path: Path, required: list[str], optional: bool = False) -> pd.DataFrame:
    """Read a CSV of strings; only an empty cell is missing. An optional file that is not there is empty."""
    if optional and not path.exists():
        return pd.DataFrame(columns=required, dtype="string")
    try:
        table = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""], skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no CSV table: {' '.join(str(error).split())}") from None
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)} (it has: {', '.join(table.columns)})")
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first column for an index
        raise UserError(f"{path} is no CSV table: its rows have more cells than its header")
    blank = table.index[table["image"].isna()]
    if len(blank):
        raise UserError(f"{path} line {blank[0] + 2}: image is empty")
    return table


def _facts(table: pd.DataFrame, folder: Path, species_typos: dict[str, str]) -> pd.DataFrame:
    """The five columns of a `Source` table, missing ones filled, species typos mended."""
    table = table.rename(columns={"individual_id": "identity"}).reindex(columns=["image", *FACTS]).astype("string")
    table["species"] = table["species"].replace(species_typos)
    table.insert(1, "path", [(folder / image).as_posix() for image in table["image"]])
    return table


def _check_ids(source: Source, folder: Path) -> None:
    for name, table in (("train.csv", source.labelled), ("test_truth.csv", source.truth)):
        for line, identity in _identities(table):
            if name == "train.csv" and identity == NEW:
                raise UserError(f"{folder / name} line {line}: an individual cannot be called {NEW}: leave it empty")
            if any(character.isspace() for character in identity):
                raise UserError(
                    f"{folder / name} line {line}: individual_id {identity!r} contains a space, "
                    "and answers are separated by spaces: rename it"
                )
    both = set(source.labelled["image"]) & set(source.queries["image"])
    if both:
        raise UserError(
            f"{folder}: {len(both)} file names stand in train_images and in test_images, {min(both)} for one: "
            "a photo's name is its id, rename one of the two"
        )


def _identities(table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """(line in the CSV, identity) of the first row of each identity."""
    present = table["identity"].dropna().drop_duplicates()
    return ((row + 2, str(identity)) for row, identity in zip(present.index.tolist(), present, strict=True))
