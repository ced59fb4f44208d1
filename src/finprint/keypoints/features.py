"""The local features of photos, computed once for each view of a photo."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import pandas as pd
import PIL
import torch

from finprint.base.code import code_of
from finprint.base.device import has_bfloat16
from finprint.base.errors import UserError
from finprint.base.files import cache, hold, remove, sha256_json
from finprint.engine.mapping import device_of
from finprint.engine.params import LOCAL, Engine
from finprint.engine.work import Work
from finprint.keypoints.cache import Arrays, Kept, keep
from finprint.keypoints.networks import Networks, load_networks
from finprint.keypoints.params import Match
from finprint.keypoints.points import Features
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import Cutout, Views, enlarged, views_of
from finprint.pictures.decoding import decoder
from finprint.pictures.shards import Crops, StoredCrop

CODE = ("keypoints", "pictures")  # the rooms that features and matches depend on
CROPS, PAIRS = 512, 4096  # entries of a full chunk of the cache


@dataclass(frozen=True)
class Bench:
    """Photos, the networks that look at them, what these have computed in this run and in earlier ones, and where they
    compute.

    Attributes:
        photos: table `PHOTOS`.
        crops: of these photos.
        views: what the networks see of them, by the rows of the crops.
        networks: of the section `match`.
        features: local features, by the key of their view.
        pairs: matched pairs, by the keys of their views.
        params: the section `match`.
        engine: the section `engine`.
    """

    photos: pd.DataFrame
    crops: Crops
    views: Views
    networks: Networks
    features: Kept
    pairs: Kept
    params: Match
    engine: Engine

    def keys(self, rows: np.ndarray) -> dict[int, str]:
        """The keys of the views of some crops, by their rows, in the order of these."""
        return {row: self.views.key(row) for row in pd.unique(rows).tolist()}

    def load(self, key: str) -> Features:
        """The local features of the view of this key."""
        return Features(**self.features.get(key))


@contextmanager
def opened(photos: pd.DataFrame, crops: Crops, params: Match, engine: Engine = LOCAL) -> Iterator[Bench]:
    """Photos, the networks and their cache, `.cache/match/<key>/` under the project's root; one run at a time may use
    it.

    The key hashes settings, weights, code, libraries, the kind of device that the engine works on, and whether that has
    bfloat16. Afterwards, only the cache of this key remains. Whoever opens it again within waits for itself.
    """
    networks = load_networks(params.extractor, params.weights, params.keypoints)
    settings = params.model_dump(include={"extractor", "image_size", "keypoints"})
    libraries = [cv2.__version__, np.__version__, PIL.__version__, decoder()]
    device = device_of(engine)
    computed = [device, has_bfloat16(torch.device(device))]
    key = sha256_json([settings, networks.key, code_of(CODE), libraries, computed])[:16]
    folder = cache() / "match" / key
    with hold(folder.with_name("lock"), "another run matches local features: waiting for its end"):
        features, pairs = Kept(folder / "features", CROPS), Kept(folder / "pairs", PAIRS)
        yield Bench(photos, crops, views_of(photos, crops, params), networks, features, pairs, params, engine)
        for other in folder.parent.iterdir():
            if other.is_dir() and other != folder:
                remove(other)


def networks_elsewhere(params: Match, key: str) -> Networks:
    """The networks in another process.

    Args:
        params: the section `match`.
        key: of the networks here.

    Raises:
        UserError: they cannot be had there, or have other weights.
    """
    networks = load_networks(params.extractor, params.weights, params.keypoints)
    if networks.key != key:
        raise UserError(f"a node has other weights of {params.extractor} than this machine: install the same packages")
    return networks


def extract(bench: Bench, rows: np.ndarray) -> dict[int, str]:
    """Compute the local features of crops that are not in the cache; a view that is too small gets none, and so does
    one whose photo is not there.

    Args:
        bench: where they are computed and kept.
        rows: of the crops.

    Returns:
        As `Bench.keys`: by them features are loaded.
    """
    keys, views, image_size = bench.keys(rows), bench.views, bench.params.image_size
    todo = {key: row for row, key in keys.items() if key not in bench.features and views.there(row)}

    def here(wanted: Sequence[str]) -> Iterator[Arrays | None]:
        return side_by_side(lambda key: _arrays(bench.networks, views.pixels(todo[key]), image_size), wanted)

    work: Work[str, Arrays | None] = Work(
        here,
        there=partial(_extractor, bench.params, bench.networks.key),
        pack=lambda wanted: [views.portable(todo[key], bench.engine.ship) for key in wanted],
        name=lambda key: views.name(todo[key]),
        most=views.most(bench.engine.ship),
    )
    keep(bench.features, work, list(todo), bench.engine, "local features", "photo")
    return keys


def _arrays(networks: Networks, pixels: np.ndarray, image_size: int) -> Arrays | None:
    """The local features of a view; None if it is too small."""
    large = enlarged(pixels, image_size)
    return vars(networks.features(large)) if large is not None else None


def _extractor(params: Match, key: str) -> Callable[[Iterable[StoredCrop | Cutout]], Iterator[Arrays | None]]:
    """The stream of local features in another process."""
    networks = networks_elsewhere(params, key)
    return partial(side_by_side, lambda view: _arrays(networks, view.pixels(), params.image_size))
