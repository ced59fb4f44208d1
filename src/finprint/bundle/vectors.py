"""Vectors of crops by every member of a bundle, kept as they are computed: a killed run goes on from there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from finprint.base.code import code_of
from finprint.base.files import cache, sha256_json
from finprint.bundle.bundle import Bundle
from finprint.engine.mapping import device_of
from finprint.engine.work import Work
from finprint.keypoints.cache import Arrays, Kept, keep
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
    keep(kept, _work(bundle, crops, todo), list(todo), bundle.engine, "embedding", "crop")
    kept.tidy(keys)
    entries = [kept.get(key) for key in keys]
    return [_stacked([entry[name] for entry in entries], bundle, name) for name in bundle.manifest.members]


def _work(bundle: Bundle, crops: Crops, rows: Mapping[str, int]) -> Work[str, Arrays]:
    """The embedding of crops by all models, by the keys of their rows."""
    models, params = bundle.models, bundle.settings.embed

    def pixels(key: str) -> np.ndarray:
        return crops.pixels(rows[key])

    return Work(
        here=lambda keys: _beside({name: vector_stream(model, pixels, params) for name, model in models.items()})(keys),
        there=partial(_opened, {name: (model.config, model.state_dict()) for name, model in models.items()}, params),
        pack=lambda keys: [crops.stored(rows[key]) for key in keys],
        name=lambda key: crops.image(rows[key]),
        batch=CHUNK,
    )


def _opened(
    models: Mapping[str, tuple[ModelConfig, dict[str, torch.Tensor]]], params: Embed
) -> Callable[[Sequence[StoredCrop]], Iterator[Arrays]]:
    """The stream of a worker elsewhere, from what is sent to it."""
    return _beside({name: opened(config, state, params) for name, (config, state) in models.items()})


def _beside(streams: Mapping[str, Stream[J]]) -> Callable[[Sequence[J]], Iterator[Arrays]]:
    """The streams of several models as one: jobs, each a crop, to a vector (1, D) by each model."""

    def stream(jobs: Sequence[J]) -> Iterator[Arrays]:
        for start in range(0, len(jobs), CHUNK):
            each = (one(jobs[start : start + CHUNK]) for one in streams.values())
            for vectors in zip(*each, strict=True):
                yield {name: vector[None] for name, vector in zip(streams, vectors, strict=True)}

    return stream


def _stacked(rows: Sequence[np.ndarray], bundle: Bundle, name: str) -> np.ndarray:
    wide = bundle.gallery.members[name].array.shape[1]
    return np.concatenate(rows) if rows else np.zeros((0, wide), np.float32)
