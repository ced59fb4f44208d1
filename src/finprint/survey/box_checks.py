"""Boxes checked against their photos: in pixels, clipped, or rejected with a reason."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.store.tables import SIDES, TEST
from finprint.survey.box_forms import settle
from finprint.survey.frames import OVERHANG, to_photos


def check_boxes(boxes: pd.DataFrame, photos: pd.DataFrame, reject: Callable[[str, str], None]) -> pd.DataFrame:
    """Boxes in pixels, clipped to their photos, and photos without an animal; what makes no sense is rejected.

    Args:
        boxes: of a `Source`.
        photos: the photos that can be used.
        reject: told the image and the reason of each box that cannot be used.

    Raises:
        UserError: a table of boxes has none that can be used, or nobody knows what its numbers are.
    """
    facts = photos.set_index("image")[["path", "sha256", "width", "height", "group"]]
    empty = boxes["written"].eq("")
    table = settle(boxes[~empty].join(facts, on="image").reset_index(drop=True))
    size = table[["width", "height", "width", "height"]].to_numpy(float)
    corners, unknown = to_photos(table)
    clipped = np.clip(corners, 0, size)
    extent = clipped[:, 2:] - clipped[:, :2]
    overhang = np.maximum(corners[:, 2:] - size[:, 2:], -corners[:, :2]).max(axis=1)
    sure = table["confidence"]
    photo = [f"the photo of {w:.0f} x {h:.0f} px" for w, h in size[:, :2]]
    box = [f"box ({written})" for written in table["written"]]
    # The first that holds is told; a box that only reaches outside is kept.
    wrong: list[tuple[np.ndarray, Callable[[int], str]]] = [
        (table["path"].isna().to_numpy(), lambda row: "box of a photo that is missing or rejected"),
        (table["part"].isna().to_numpy(), lambda row: f"{box[row]}: its part is empty"),
        (np.isnan(corners).any(axis=1), lambda row: f"{box[row]}: not four numbers"),
        (np.array([bool(why) for why in unknown], bool), lambda row: f"{box[row]} {unknown[row]}"),
        (np.any(corners[:, :2] >= corners[:, 2:], axis=1), lambda row: f"{box[row]}: empty or corners swapped"),
        ((extent < 1).any(axis=1), lambda row: f"{box[row]} lies outside {photo[row]}"),
        (
            ~sure.between(0, 1).to_numpy(),
            lambda row: f"{box[row]}: its confidence {sure[row]:g} is not between 0 and 1",
        ),
        (overhang > OVERHANG, lambda row: f"{box[row]} reaches outside {photo[row]}: clipped"),
    ]
    good, reasons = np.ones(len(table), bool), {}
    for row in np.flatnonzero(np.any([where for where, _ in wrong], axis=0)).tolist():
        number = next(number for number, (where, _) in enumerate(wrong) if where[row])
        reasons[row] = wrong[number][1](row)
        good[row] = number == len(wrong) - 1
        reject(table["image"][row], reasons[row])
    _refuse_useless(table, good, reasons)
    table[SIDES] = clipped
    again = table[["image", "part"]].assign(**dict(zip(SIDES, clipped.round(1).T, strict=True)))[good].duplicated()
    for row in np.flatnonzero(good)[again.to_numpy()].tolist():
        good[row] = False
        reject(table["image"][row], f"{box[row]} twice: the first is used")
    without = _without_animal(boxes[empty], photos, table["path"]).join(facts, on="image")
    table = pd.concat([table[good], without] if len(without) else [table[good]], ignore_index=True)
    table["group"] = table.groupby("group")["image"].transform("first")
    return table


def _refuse_useless(table: pd.DataFrame, good: np.ndarray, reasons: dict[int, str]) -> None:
    """Raise a UserError where none of the boxes that a table has of known photos can be used."""
    with_photo = table[table["path"].notna()]
    for entry, rows in with_photo.groupby("told", sort=False):
        if len(rows) > 1 and not good[rows.index].any():
            raise UserError(
                f"{str(entry).partition(':')[0]}: none of {counted(len(rows), 'box')} can be used; of the first, of "
                f"{rows['image'].iloc[0]}: {reasons[rows.index[0]]}"
            )


def _without_animal(empty: pd.DataFrame, photos: pd.DataFrame, boxed: pd.Series) -> pd.DataFrame:
    """The rows of photos that show no animal, from which a detector learns what is none.

    A table of boxes says so, no table has a box in the photo, and nobody says whom it shows. Of photos to identify it
    is not believed, since tables by another detector have many of them without a box.

    Args:
        empty: rows of photos without a box.
        photos: the photos that can be used.
        boxed: paths of photos that a table has a box of.
    """
    free = photos[photos["identity"].isna() & (photos["split"] != TEST) & ~photos["path"].isin(boxed)]
    sure = empty[empty["image"].isin(free["image"]) & (empty["confidence"] == 1)]
    return sure.drop_duplicates("image").assign(part=None)
