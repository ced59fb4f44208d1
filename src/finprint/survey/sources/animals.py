"""Animals of a photo told apart: a table has a row a box, and several boxes may show parts of one animal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.store.tables import SIDES

Animal = tuple[str | None, set[str], list[np.ndarray]]  # its name, parts and boxes
SAME = 1e-3  # px or share by which the same box may differ
INSIDE = 0.5  # of the smaller box, from which on two parts are of one animal


def tell_animals(
    photos: pd.DataFrame, boxes: pd.DataFrame, names: pd.Series, told: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """From rows of boxes to rows of animals.

    Boxes of different parts in one photo are of one animal if they have one name, or if one of them has none and more
    than half of it lies in the other. The same box of the same part is one animal.

    Args:
        photos: a row a box, or several boxes in a cell: image, identity and more.
        boxes: of these rows, as `parse` makes them.
        names: the individuals by whom boxes are told apart; missing where nobody knows them, or nobody may.
        told: where the boxes are told, for the message.

    Returns:
        A row an animal: the first of a photo keeps its id, the second is NAME#2. And the boxes, by these ids.

    Raises:
        UserError: no row has a box that can be read.
    """
    usable = boxes[SIDES].notna().all(axis=1)
    if not usable.any() and (boxes["written"] != "").any():
        written = boxes.loc[boxes["written"] != "", "written"].iloc[0]
        raise UserError(f"{told}: no row gives a usable box; the first is written as {written!r}")
    rows = pd.Series(np.arange(len(photos)), photos.index)
    first = boxes[~boxes.index.duplicated()]
    number = np.ones(len(photos), int)  # of each row's animal in its photo
    for _, same in rows.groupby(photos["image"], sort=False):
        if len(same) > 1:
            number[same] = _numbers(names.iloc[same], first.loc[same])
    ids = photos["image"].where(number == 1, photos["image"] + "#" + pd.Series(number, photos.index).astype("string"))
    whose = names.fillna(names.groupby(ids).transform("first")).astype("string").fillna(photos["identity"])
    # One box under two names stays two rows of one animal, which are refused later.
    animals = photos.assign(image=ids, identity=whose)[~pd.DataFrame({"image": ids, "identity": whose}).duplicated()]
    return animals, boxes.assign(image=ids.iloc[boxes.index].to_numpy())


def _numbers(names: pd.Series, boxes: pd.DataFrame) -> list[int]:
    """The number of each row's animal, from 1, in one photo."""
    animals: list[Animal] = []
    numbers = [0] * len(names)
    corners = boxes[SIDES].to_numpy(float)
    shown = [None if pd.isna(part) else str(part).strip().casefold() for part in boxes["part"]]
    named = [None if pd.isna(name) else str(name) for name in names]
    for row in sorted(range(len(names)), key=lambda row: named[row] is None):  # those with a name first
        name, part = named[row], shown[row]
        if animals and name is None and np.isnan(corners[row]).any():  # it tells nothing
            continue
        if (again := _again(corners[row], part, animals)) is not None:
            numbers[row] = again
            continue
        fits = [
            (name is not None, _inside(corners[row], own), k)
            for k, (other, parts, own) in enumerate(animals)
            if part is not None and part not in parts and (name == other or name is None)
            if name is not None or _inside(corners[row], own) > INSIDE
        ]
        if fits:
            numbers[row] = max(fits, key=lambda fit: fit[:2])[2]
            animals[numbers[row]][1].add(str(part))
            animals[numbers[row]][2].append(corners[row])
        else:
            numbers[row] = len(animals)
            animals.append((name, {part} if part else set(), [corners[row]]))
    order = {k: place for place, k in enumerate(dict.fromkeys(numbers), start=1)}  # by their first rows
    return [order[k] for k in numbers]


def _again(box: np.ndarray, part: str | None, animals: Sequence[Animal]) -> int | None:
    """The animal that has this box of this part already, whatever its name."""
    for number, (_, parts, boxes) in enumerate(animals):
        if (part in parts or not parts) and any(np.allclose(box, other, atol=SAME) for other in boxes):
            return number
    return None


def _inside(box: np.ndarray, others: list[np.ndarray]) -> float:
    """How much of the smaller of two boxes lies in the other; of several others the most."""
    shares = [0.0]
    for other in others:
        extents = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
        smaller = min(np.prod(box[2:] - box[:2]), np.prod(other[2:] - other[:2]))
        if (extents > 0).all() and smaller > 0:
            shares.append(float(np.prod(extents) / smaller))
    return max(shares)
