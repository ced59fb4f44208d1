"""Vectors of crops by every member of a bundle, kept as they are computed: a killed run goes on from there."""

from collections.abc import Sequence

import numpy as np
import torch

from finprint.base.code import code_of
from finprint.base.device import best_device
from finprint.base.files import cache, sha256_json
from finprint.base.progress import bar
from finprint.bundle.bundle import Bundle
from finprint.keypoints.cache import Kept
from finprint.model.embedding import embed
from finprint.pictures.shards import Crops

CHUNK = 512  # crops whose vectors a killed run loses, at most
CODE = ("model", "pictures")  # the rooms that vectors depend on


def vectors_of(bundle: Bundle, crops: Crops) -> list[np.ndarray]:
    """(N, D) unit vectors of all crops by each member, in the order of the manifest."""
    place = sha256_json([bundle.manifest.system, code_of(CODE), torch.__version__, str(best_device())])[:16]
    kept = Kept(cache() / "vectors" / place, CHUNK)
    keys = [crops.digest(row) for row in range(len(crops))]
    todo = list({key: row for row, key in enumerate(keys) if key not in kept}.items())
    with bar("embedding", len(todo), "crop") as progress:
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            rows = np.array([row for _, row in chunk])
            each = [
                embed(model, crops.pixels, rows, bundle.settings.embed, quiet=True) for model in bundle.models.values()
            ]
            made = {
                key: {name: array[n : n + 1] for name, array in zip(bundle.models, each, strict=True)}
                for n, (key, _) in enumerate(chunk)
            }
            kept.add(made)
            progress.update(len(chunk))
    kept.tidy(keys)
    entries = [kept.get(key) for key in keys]
    return [_stacked([entry[name] for entry in entries], bundle, name) for name in bundle.manifest.members]


def _stacked(rows: Sequence[np.ndarray], bundle: Bundle, name: str) -> np.ndarray:
    wide = bundle.gallery.members[name].array.shape[1]
    return np.concatenate(rows) if rows else np.zeros((0, wide), np.float32)
