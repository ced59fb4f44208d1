"""The local features of crops, computed once for each crop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from finprint.base.code import code_of
from finprint.base.files import cache, hold, remove, sha256_bytes, sha256_json
from finprint.base.progress import bar
from finprint.keypoints.cache import Kept
from finprint.keypoints.networks import Networks, load_networks
from finprint.keypoints.params import Match
from finprint.keypoints.points import Features
from finprint.keypoints.threads import side_by_side
from finprint.pictures.images import resize
from finprint.pictures.shards import Crops

CODE = ("keypoints", "pictures")  # the rooms that features and matches depend on
SMALLEST = 32  # px: of a crop whose shorter side is less, stored or resized, no network makes anything
CROPS, PAIRS = 512, 4096  # entries of a full chunk of the cache
PERIOD = 20.0  # seconds of work that a killed run loses, at most


@dataclass(frozen=True)
class Bench:
    """The networks, and what they have computed in this run and in earlier ones."""

    networks: Networks
    features: Kept
    pairs: Kept

    def load(self, key: str) -> Features:
        """The local features of the crop with this content."""
        return Features(**self.features.get(key))


@contextmanager
def opened(params: Match) -> Iterator[Bench]:
    """The networks and their cache, `.cache/match/<key>/` under the project's root; one run at a time may use it.

    The key hashes settings, weights, code and libraries. Afterwards, only the cache of this key remains.
    """
    networks = load_networks(params.extractor, params.weights, params.keypoints)
    settings = params.model_dump(include={"extractor", "image_size", "keypoints"})
    key = sha256_json([settings, networks.key, code_of(CODE), cv2.__version__, np.__version__])[:16]
    folder = cache() / "match" / key
    with hold(folder.with_name("lock"), "another run matches local features: waiting for its end"):
        yield Bench(networks, Kept(folder / "features", CROPS), Kept(folder / "pairs", PAIRS))
        for other in folder.parent.iterdir():
            if other.is_dir() and other != folder:
                remove(other)


def content_keys(crops: Crops, rows: Iterable[int]) -> dict[int, str]:
    """The SHA-256 of the JPEG of each crop, by its row."""
    return {row: sha256_bytes(crops.jpeg(row)) for row in rows}


def extract(bench: Bench, crops: Crops, keys: Mapping[int, str], image_size: int) -> None:
    """Compute the local features of crops that are not in the cache; a crop that is too small gets none.

    Args:
        crops: the crops.
        keys: the content of each wanted crop, by its row.
        image_size: px, the longer side of a crop as the network sees it.
    """
    todo = {key: row for row, key in keys.items() if key not in bench.features}

    def work(key: str) -> dict[str, np.ndarray] | None:
        pixels = enlarged(crops.pixels(todo[key]), image_size)
        return vars(bench.networks.features(pixels)) if pixels is not None else None

    keep(bench.features, todo, work, "local features", "crop")


def enlarged(pixels: np.ndarray, image_size: int) -> np.ndarray | None:
    """A crop with a longer side of `image_size` px, `(H, W, 3)`; None if it is too small."""
    scale = image_size / max(pixels.shape[:2])
    height, width = (round(side * scale) for side in pixels.shape[:2])
    if min(*pixels.shape[:2], height, width) < SMALLEST:
        return None
    return resize(pixels, width, height)


def keep(
    kept: Kept, todo: Iterable[str], work: Callable[[str], Mapping[str, np.ndarray] | None], what: str, unit: str
) -> None:
    """Compute entries of the cache, with progress. A killed run loses the last seconds alone.

    Args:
        kept: where the entries go.
        todo: their keys.
        work: makes the arrays of an entry; None: there are none.
        what: is computed, for the bar.
        unit: of the bar.
    """
    keys = list(todo)
    made: dict[str, Mapping[str, np.ndarray]] = {}
    saved = time.monotonic()
    try:
        for key, arrays in zip(keys, bar(what, len(keys), unit, side_by_side(work, keys)), strict=True):
            if arrays is not None:
                made[key] = arrays
            if len(made) >= kept.entries or time.monotonic() - saved > PERIOD:
                kept.add(made)
                made, saved = {}, time.monotonic()
    finally:
        kept.add(made)
