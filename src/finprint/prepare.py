"""From a source's own tables to one checked table of photos, and a table of what was rejected and why."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from finprint.errors import UserError
from finprint.files import sha256_path
from finprint.images import BadPhoto, decode, difference_hash
from finprint.sources import SIDES, Source
from finprint.splits import group, near_duplicates, validation_photos
from finprint.tables import TEST, TRAIN, VALIDATION


@dataclass(frozen=True)
class Survey:
    """What `prepare` knows of a source; the tables are those of `finprint.tables`."""

    photos: pd.DataFrame
    boxes: pd.DataFrame
    truth: pd.DataFrame
    rejects: pd.DataFrame
    queries: list[str]  # every photo to identify, readable or not, in the order of the answers


@dataclass(frozen=True)
class Reading:
    """What one photo's file says: `reason` is empty for a good one."""

    reason: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    bits: bytes = b""


def survey(source: Source, *, fold: int, folds: int, new_share: float, duplicate_bits: int, seed: int) -> Survey:
    """Check a source against its files, group what belongs together, and split it.

    Raises:
        UserError: no photo can be used.
    """
    rejects: list[tuple[str, str, str]] = [(name, "photos", "on disk, but in no table") for name in source.strays]

    def reject(table: str) -> Callable[[str, str], None]:
        return lambda image, reason: rejects.append((image, table, reason))

    labelled = _one_row_a_photo(source.labelled, reject("labelled"))
    queries = _one_row_a_photo(source.queries, reject("queries"))
    photos = pd.concat([labelled.assign(split=TRAIN), queries.assign(split=TEST)], ignore_index=True)

    readings = _read_all([Path(path) for path in photos["path"]])
    for image, split, reading in zip(photos["image"], photos["split"], readings, strict=True):
        if reading.reason:
            reject("labelled" if split == TRAIN else "queries")(image, reading.reason)
    good = np.array([not reading.reason for reading in readings], dtype=bool)
    photos = photos[good].reset_index(drop=True)
    kept = [reading for reading in readings if not reading.reason]
    if not (photos["split"] == TRAIN).any():
        told = [reject for reject in rejects if reject[1] != "photos"] or rejects  # of a table, if there are any
        why = f"; the first of {len(rejects)} rejects: {told[0][0]}: {told[0][2]}" if rejects else ""
        raise UserError(f"no usable photo in the catalogue{why}")
    for field in ("sha256", "width", "height"):
        photos[field] = [getattr(reading, field) for reading in kept]

    hashes = np.frombuffer(b"".join(reading.bits for reading in kept), np.uint8).reshape(len(kept), -1)
    pairs = itertools.chain(
        near_duplicates(hashes, duplicate_bits), *(_chains(photos[c]) for c in ("sha256", "encounter"))
    )
    photos["group"] = group(len(photos), pairs)

    named = photos["identity"].notna().to_numpy()
    # Missing names go first: with one among them, pandas' to_numpy(str) cuts every name to its first letter.
    identities = photos.loc[named, "identity"].to_numpy(str)
    validates = validation_photos(photos["group"].to_numpy()[named], identities, fold, folds, new_share, seed)
    # Photos without an identity teach the detector only, and go where their group goes.
    groups = set(photos["group"].to_numpy()[named][validates])
    photos.loc[(photos["split"] == TRAIN) & photos["group"].isin(groups), "split"] = VALIDATION

    boxes = _check_boxes(source.boxes, photos, reject("boxes"))
    truth = source.truth.dropna().drop_duplicates("image")
    return Survey(
        photos=photos,
        boxes=boxes,
        truth=truth[truth["image"].isin(source.queries["image"])],
        rejects=pd.DataFrame(rejects, columns=["image", "table", "reason"], dtype="string"),
        queries=source.queries["image"].drop_duplicates().tolist(),
    )


def summary(found: Survey) -> dict[str, float]:
    """The counts of metrics/prepare.json."""
    photos = found.photos
    known = set(photos.loc[photos["split"] == TRAIN, "identity"].dropna())
    validation = photos[photos["split"] == VALIDATION]
    each = photos.loc[photos["split"] != TEST, "identity"].value_counts()
    return {
        "photos": len(photos),
        "train": int((photos["split"] == TRAIN).sum()),
        "validation": len(validation),
        "validation_new_share": float((~validation["identity"].isin(known)).mean()) if len(validation) else 0.0,
        "test": int((photos["split"] == TEST).sum()),
        "individuals": len(each),
        "singletons": int((each == 1).sum()),
        "species": photos["species"].nunique(),
        "encounters_and_duplicate_groups": int((photos["group"].value_counts() > 1).sum()),
        "boxes": len(found.boxes),
        "rejects": len(found.rejects),
    }


def _one_row_a_photo(table: pd.DataFrame, reject: Callable[[str, str], None]) -> pd.DataFrame:
    """Drop repeated rows; a photo under two names is dropped altogether, for nobody knows which is right."""
    contradicted = set()
    for image, rows in table[table["image"].duplicated(keep=False)].groupby("image", sort=False):
        names = rows["identity"].dropna().unique().tolist()
        if len(names) > 1:
            contradicted.add(image)
            reject(str(image), f"labelled as {' and as '.join(names)}: keep one of the rows")
        else:
            reject(str(image), f"{len(rows)} rows for one photo: the first is used")
    return table[~table["image"].isin(contradicted)].drop_duplicates("image")


def _read_all(paths: list[Path]) -> list[Reading]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and hashing release the interpreter lock
        return list(tqdm(pool.map(_read, paths), "reading photos", len(paths), unit="photo", disable=None))


def _read(path: Path) -> Reading:
    try:
        pixels, (width, height) = decode(path, shorter_side=64)  # a small scale, but every byte is read
        return Reading("", sha256_path(path), width, height, difference_hash(pixels).tobytes())
    except BadPhoto as bad:
        return Reading(str(bad))


def _chains(values: pd.Series) -> list[tuple[int, int]]:
    """Join each row to the next one of the same value; missing values join nothing."""
    rows = values.dropna().groupby(values).groups.values()
    return [(int(i), int(j)) for same in rows for i, j in itertools.pairwise(same)]


def _check_boxes(boxes: pd.DataFrame, photos: pd.DataFrame, reject: Callable[[str, str], None]) -> pd.DataFrame:
    """Boxes as numbers, clipped to their photos; what makes no sense is rejected."""
    facts = photos.set_index("image")[["path", "width", "height", "group"]]
    good = []
    for image, part, *sides in boxes[["image", "part", *SIDES]].itertuples(index=False):
        written = ", ".join("?" if pd.isna(side) else side for side in sides)
        corners = pd.to_numeric(pd.Series(sides), errors="coerce").to_numpy(float)
        if image not in facts.index:
            reject(image, "box of a photo that is missing or rejected")
            continue
        width, height = facts.loc[image, ["width", "height"]]
        x_min, x_max = np.clip(corners[[0, 2]], 0, width)
        y_min, y_max = np.clip(corners[[1, 3]], 0, height)
        if pd.isna(part):
            reject(image, f"box ({written}): its part is empty")
        elif np.isnan(corners).any():
            reject(image, f"box ({written}): not four numbers")
        elif corners[0] >= corners[2] or corners[1] >= corners[3]:
            reject(image, f"box ({written}): empty or corners swapped")
        elif x_max - x_min < 1 or y_max - y_min < 1:
            reject(image, f"box ({written}) lies outside the photo of {width} x {height} px")
        else:
            overhang = max(corners[2] - width, corners[3] - height, -corners[0], -corners[1])
            if overhang > 2:
                reject(image, f"box ({written}) reaches outside the photo of {width} x {height} px: clipped")
            good.append((image, part, x_min, y_min, x_max, y_max, 1.0))
    table = pd.DataFrame(good, columns=["image", "part", *SIDES, "confidence"]).join(facts, on="image")
    table["group"] = table.groupby("group")["image"].transform("first")
    return table
