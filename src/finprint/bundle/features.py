"""Local features of photos in a folder of their own, beside the cache that the second look works in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.keypoints.cache import Kept
from finprint.keypoints.params import Match
from finprint.pictures.shards import Crops

CHUNK = 512  # photos in a file
FEATURES = "features"  # in the gallery's folder


def write_features(
    folder: Path, photos: pd.DataFrame, crops: Crops, params: Match, rows: np.ndarray, given: Path | None = None
) -> None:
    """Write the local features of some crops; those in the cache are not computed again.

    Args:
        folder: to write.
        photos: table `PHOTOS`.
        crops: of these photos.
        params: the section `match`.
        rows: of the crops.
        given: a folder that this function wrote, whose features the cache takes over.

    Raises:
        UserError: the networks' weights cannot be had, or a photo cannot be read any more.
    """
    from finprint.keypoints.features import extract, opened  # the networks take seconds to import

    with opened(photos, crops, params) as bench:
        if given is not None:
            bench = replace(bench, features=_with(bench.features, given))
        keys = extract(bench, rows)
        kept = Kept(folder, CHUNK)
        there = [key for key in dict.fromkeys(keys.values()) if key in bench.features]
        for start in range(0, len(there), CHUNK):
            kept.add({key: bench.features.get(key) for key in there[start : start + CHUNK]})


def _with(kept: Kept, given: Path) -> Kept:
    """The cache with the files of another folder, as links."""
    kept.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(given.glob("*")):
        link = kept.folder / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    return Kept(kept.folder, kept.entries)
