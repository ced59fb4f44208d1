"""What a folder of photos holds, as far as the recipe depends on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from finprint.base.errors import UserError
from finprint.keypoints.params import FEWEST
from finprint.survey.look import Looked
from finprint.survey.names import letters

HEADERS = 200  # photos whose width and height are read
LEAST = 4  # named photos of individuals
LEAST_OF_CLASSES = 10  # labelled images, of which a sixth judges the others
HELD = 1 / 6  # share of the named photos that validate, about
NEARLY = 0.9  # share of the photos with a box, both of the catalogue and to identify, from which on boxes are cut out
SHARES = frozenset(["train", "training", "trainset", "val", "valid", "validation", "dev", "eval", "evaluation"])
ALIKE = 0.9  # share of the photos that must have one shape, to be taken for crops that show the animal in one place
MANY_TOLD = 0.5  # share of the photos that must tell whether they show the left or the right, for it to count
MET = 10  # encounters of several named photos, from which on they show whether an encounter is one with one animal


@dataclass(frozen=True)
class Facts:
    """What the recipe depends on.

    Attributes:
        looked: the folder, understood.
        each: (A,) named photos of each animal.
        photos: number of all photos.
        shown: animals that a photo shows, on average.
        queries: number of photos to identify.
        boxed: number of photos that have a box.
        parts: what the boxes show, most first.
        nearly_boxed: do nearly all photos of the catalogue, and nearly all to identify, have a box?
        shared: does a photo show several named animals?
        sides: number of named photos by their side; "" is not told.
        sizes: (S, 2) width and height of some photos, px.
        one_animal: does each encounter show one animal, as far as the table tells?
    """

    looked: Looked
    each: np.ndarray
    photos: int
    shown: float
    queries: int
    boxed: int
    parts: Sequence[str]
    nearly_boxed: bool
    shared: bool
    sides: dict[str, int]
    sizes: np.ndarray
    one_animal: bool

    @property
    def named(self) -> int:
        """Number of named photos."""
        return int(self.each.sum())

    @property
    def crops(self) -> float:
        """Number of crops, about."""
        return self.photos * self.shown

    @property
    def teaching(self) -> bool:
        """Are there enough animals with several photos to learn which matched features tell them apart?"""
        return bool((self.each > 1).sum() >= FEWEST)

    @property
    def asked(self) -> float:
        """About how many photos are answered: those to identify, and those that validate."""
        return self.queries + self.named * HELD

    @property
    def comparable(self) -> float:
        """About how many named photos may show the same side as a query."""
        return self.named / (2 if self.two_sides else 1)

    @property
    def two_sides(self) -> bool:
        """Are left and right told, by at least half of the photos?"""
        left, right, every = self.sides.get("left", 0), self.sides.get("right", 0), sum(self.sides.values())
        return bool(left and right and left + right >= MANY_TOLD * every)

    @property
    def alike(self) -> bool:
        """Have nearly all photos one shape? Then they have most likely been cropped to the animal."""
        _, counts = np.unique(self.sizes, axis=0, return_counts=True)
        return bool(len(self.sizes) and counts.max() >= ALIKE * len(self.sizes))


def facts_of(looked: Looked, classes: bool = False) -> Facts:
    """The facts of a folder.

    Args:
        looked: the folder, understood.
        classes: do its names tell classes, and not individuals?

    Raises:
        UserError: it cannot be answered: fewer than two individuals or classes, too few photos, or no photo to identify
            by the individuals.
    """
    source, folder = looked.source, looked.folder
    named = looked.animals.dropna(subset="identity")
    each = named["identity"].value_counts()
    queries = source.queries["image"].nunique()
    if classes:
        _refuse_classes(folder, each, f", and {queries} to identify in {looked.params.queries}" if queries else "")
    else:
        _refuse(folder, each, queries, looked.params.asked[0])
    photos = pd.concat([looked.animals, source.queries], ignore_index=True)
    boxes = source.boxes.dropna(subset="part") if "part" in source.boxes else source.boxes
    boxed = boxes[boxes["image"].isin(photos["image"]) & boxes["written"].ne("")]
    return Facts(
        looked=looked,
        each=each.to_numpy(),
        photos=photos["path"].nunique(),
        shown=photos["image"].nunique() / max(1, photos["path"].nunique()),
        queries=queries,
        boxed=photos.loc[photos["image"].isin(boxed["image"]), "path"].nunique(),
        parts=boxed["part"].value_counts().index.tolist(),
        nearly_boxed=all(
            table["image"].isin(boxed["image"]).mean() >= NEARLY
            for table in (looked.animals, source.queries)
            if len(table)
        ),
        shared=bool(photos["path"].duplicated().any()),
        sides={str(side): int(n) for side, n in named["viewpoint"].fillna("").value_counts().items()},
        sizes=_sizes(photos["path"].drop_duplicates().tolist(), source.barred),
        one_animal=looked.params.source != "folder" and _one_animal(named, source.queries),
    )


def _one_animal(named: pd.DataFrame, queries: pd.DataFrame) -> bool:
    """Has each encounter of several named photos one animal, and is the encounter of all photos to identify told?

    Folders do not show it: one that lies below an animal's folder holds one animal in any case, and one with photos
    to identify may hold several. Encounters that are made from dates, where none is told, may hold several as well.
    """
    each = named.groupby("encounter")["identity"].agg(["size", "nunique"])
    several = each.loc[each["size"] > 1, "nunique"]
    return bool(len(several) >= MET and (several == 1).all() and queries["encounter"].notna().all())


def _refuse(folder: Path, each: pd.Series, queries: int, place: str) -> None:
    count = int(each.sum())
    if not len(each):
        raise UserError(f"{folder} names no individual: put the photos of each known animal into a folder of its name")
    if len(each) == 1:
        raise UserError(
            f"{folder} has one individual, {each.index[0]} ({count} photos): there is nobody to tell it from. Name at "
            "least one more"
        )
    if count < LEAST:
        raise UserError(
            f"{folder} has {count} photos of {len(each)} individuals: a catalogue needs at least {LEAST} photos with "
            "a name"
        )
    if not queries:
        raise UserError(
            f"{folder} has no photo to identify, so there is nothing to answer: put such photos into {folder / place}"
        )


def _refuse_classes(folder: Path, each: pd.Series, asked: str) -> None:
    count = int(each.sum())
    if len(each) < 2:
        one = f"has one class, {each.index[0]} ({count} images{asked})" if len(each) else "names no class"
        raise UserError(f"{folder} {one}: put the images of each class, at least two, into a folder of its name")
    if all(letters(str(name)) in SHARES for name in each.index):
        raise UserError(
            f"{folder} has folders of shares ({', '.join(map(str, each.index))}), and none of classes: put the images "
            "of each class into a folder of its name, inside of these folders"
        )
    if "image" in each.index:
        raise UserError(f"{folder} has a class called 'image', as the column of photos is: give it another name")
    if each.max() < 2:
        raise UserError(
            f"{folder} has one image of each of {len(each)} classes: at least two of a class are needed, because some "
            "images judge what the others teach"
        )
    if count < LEAST_OF_CLASSES:
        raise UserError(
            f"{folder} has {count} images of {len(each)} classes: at least {LEAST_OF_CLASSES} with a name are needed, "
            "because some of them judge what the others teach"
        )


def evenly(count: int, most: int) -> np.ndarray:
    """Numbers of so many things of a list of `count`, at most, spread evenly over it."""
    return np.unique(np.linspace(0, count - 1, most).astype(int)) if count else np.zeros(0, int)


def _sizes(paths: Sequence[str], barred: dict[str, str]) -> np.ndarray:
    """(S, 2) width and height, px, of photos spread over the list; of those that can be opened. No photo is decoded."""
    paths = [path for path in paths if path not in barred]
    sizes = []
    for number in evenly(len(paths), HEADERS):
        try:
            with Image.open(paths[number]) as image:
                sizes.append(image.size)
        except Exception:  # damaged ones make Pillow's parsers raise whatever comes; `prepare` rejects them by name
            continue
    return np.array(sizes, int).reshape(-1, 2)
