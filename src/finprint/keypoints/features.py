"""The local features of photos, computed once for each view of a photo."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from finprint.base.code import code_of
from finprint.base.files import cache, hold, remove, sha256_json
from finprint.base.progress import bar
from finprint.keypoints.cache import Kept
from finprint.keypoints.networks import Networks, load_networks
from finprint.keypoints.params import Match
from finprint.keypoints.points import Features
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import Views, enlarged

CODE = ("keypoints", "pictures")  # the rooms that features and matches depend on
CROPS, PAIRS = 512, 4096  # entries of a full chunk of the cache
PERIOD = 20.0  # seconds of work that a killed run loses, at most


@dataclass(frozen=True)
class Bench:
    """The networks, and what they have computed in this run and in earlier ones."""

    networks: Networks
    features: Kept
    pairs: Kept

    def load(self, key: str) -> Features:
        """The local features of the view of this key."""
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


def extract(bench: Bench, views: Views, keys: Mapping[int, str], image_size: int) -> None:
    """Compute the local features of views that are not in the cache; a view that is too small gets none.

    Args:
        views: of photos.
        keys: the key of each wanted view, by its row.
        image_size: px, the longer side of a view as the network sees it.
    """
    todo = {key: row for row, key in keys.items() if key not in bench.features}

    def work(key: str) -> dict[str, np.ndarray] | None:
        pixels = enlarged(views.pixels(todo[key]), image_size)
        return vars(bench.networks.features(pixels)) if pixels is not None else None

    keep(bench.features, todo, work, "local features", "photo")


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
