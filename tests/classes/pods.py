"""A small collection of three classes, its crops and params, for the tests of the room classes."""

from pathlib import Path

import pandas as pd
from conftest import NO_AUGMENT, SMALL_TRAIN
from examples import stored_crops

from finprint.classes.params import Classes, Classify, Guess
from finprint.pictures.shards import Crops

CLASSIFY = Classify.model_validate(
    SMALL_TRAIN.model_dump(exclude={"margin", "species", "viewpoints"})
    | {
        "augment": NO_AUGMENT.model_dump(exclude={"mirror"}),
        "embedding": 0,
        "lr": 1e-3,
        "head": "random",
        "fitted": ["regression", "discriminant", "hidden"],
        "start_share": 0.0,
        "smoothing": 0.0,
        "stages": "all",
        "sizes": [],
        "extras": "none",
        "soft": "",
        "soft_share": 0.33,
        "members": {},
        "finetune": SMALL_TRAIN.finetune.model_dump() | {"trainable": 0.0},
    }
)
MIRROR = Guess(batch=4, views="mirror", count=1, rotate=15, members={})
CLASSES = Classes(of=["identity"], folds=[0, 1], members=["plain"], test=[2])


def photos(each: int = 9, queries: int = 4) -> pd.DataFrame:
    """Photos of ant, bee and cod in three folds, and some to identify."""
    rows = [(f"{name[0]}{n}.jpg", name, "train", n % 3) for name in ("ant", "bee", "cod") for n in range(each)]
    rows += [(f"{'abc'[n % 3]}_{n}.jpg", pd.NA, "test", -1) for n in range(queries)]
    table = pd.DataFrame(rows, columns=["image", "identity", "split", "fold"])
    table = table.astype({"image": "string", "identity": "string", "split": "string"})
    nowhere = pd.array([pd.NA] * len(table), "string")
    return table.assign(species=pd.array(["orca"] * len(table), "string"), group=range(len(table)), encounter=nowhere)


def crops(folder: Path, table: pd.DataFrame) -> Crops:
    """A crop for each photo; its colour follows from the first letter of its name."""
    return stored_crops(folder, sorted(table["image"]))
