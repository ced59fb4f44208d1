"""Vectors of crops by every member of a bundle, kept as they are computed: a killed run goes on from there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from finprint.base.code import code_of
from finprint.base.files import cache, sha256_json
from finprint.bundle.bundle import Bundle
from finprint.engine.mapping import device_of, mapped
from finprint.engine.work import Work
from finprint.keypoints.cache import Kept
from finprint.model.embedder import ModelConfig
from finprint.model.embedding import Stream, opened, vector_stream
from finprint.model.params import Embed
from finprint.pictures.shards import Crops, StoredCrop

J = TypeVar("J")

CHUNK = 512  # crops whose vectors a killed run loses, at most
CODE = ("model", "pictures")  # the rooms that vectors depend on


def vectors_of(bundle: Bundle, crops: Crops) -> list[np.ndarray]:
    """(N, D) unit vectors of all crops by each member, in the order of the manifest."""
    place = sha256_json([bundle.manifest.system, code_of(CODE), torch.__version__, device_of(bundle.engine)])[:16]
    kept = Kept(cache() / "vectors" / place, CHUNK)
    keys = [crops.digest(row) for row in range(len(crops))]
    todo = {key: row for row, key in enumerate(keys) if key not in kept}
    made: dict[str, dict[str, np.ndarray]] = {}
    try:
        work = _work(bundle, crops, todo)
        for key, vectors in mapped(work, list(todo), bundle.engine, "embedding", "crop"):
            made[key] = {name: vector[None] for name, vector in zip(bundle.models, vectors, strict=True)}
            if len(made) == CHUNK:
                kept.add(made)
                made = {}
    finally:
        kept.add(made)
    kept.tidy(keys)
    entries = [kept.get(key) for key in keys]
    return [_stacked([entry[name] for entry in entries], bundle, name) for name in bundle.manifest.members]


def _work(bundle: Bundle, crops: Crops, rows: Mapping[str, int]) -> Work[str, Sequence[np.ndarray]]:
    """The embedding of crops by all models, by the keys of their rows."""
    models, params = list(bundle.models.values()), bundle.settings.embed

    def pixels(key: str) -> np.ndarray:
        return crops.pixels(rows[key])

    return Work(
        here=lambda keys: _beside([vector_stream(model, pixels, params) for model in models])(keys),
        there=partial(_opened, [(model.config, model.state_dict()) for model in models], params),
        pack=lambda keys: [crops.stored(rows[key]) for key in keys],
        name=lambda key: crops.stored(rows[key]).image,
        batch=CHUNK,
    )


def _opened(
    models: Sequence[tuple[ModelConfig, dict[str, torch.Tensor]]], params: Embed
) -> Callable[[Sequence[StoredCrop]], Iterator[Sequence[np.ndarray]]]:
    """The stream of a worker elsewhere, from what is sent to it."""
    return _beside([opened(config, state, params) for config, state in models])


def _beside(streams: Sequence[Stream[J]]) -> Callable[[Sequence[J]], Iterator[Sequence[np.ndarray]]]:
    """The streams of several models as one: jobs, each a crop, to a vector by each model."""

    def stream(jobs: Sequence[J]) -> Iterator[Sequence[np.ndarray]]:
        for start in range(0, len(jobs), CHUNK):
            yield from zip(*(one(jobs[start : start + CHUNK]) for one in streams), strict=True)

    return stream


def _stacked(rows: Sequence[np.ndarray], bundle: Bundle, name: str) -> np.ndarray:
    wide = bundle.gallery.members[name].array.shape[1]
    return np.concatenate(rows) if rows else np.zeros((0, wide), np.float32)
