"""The window in which animals differ, found before any training, if all photos show them in the same place.

A frozen backbone describes each cell of a photo. For each window of a coarse grid the labelled photos are searched
among themselves: how high does the right animal rank by what lies in the window, if photos of one group do not count?
"""

import itertools
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from finprint.base.progress import bar
from finprint.crops.cutting import PhotoFile
from finprint.keypoints.near import comparable
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.loading import batches, in_order, to_device
from finprint.model.views import plain_view
from finprint.params import Params
from finprint.start.cutting import whole_crop
from finprint.start.facts import Facts
from finprint.start.recipe import WHOLE, Window
from finprint.start.strips import strips_of
from finprint.survey.look import Looked
from finprint.survey.prepare import survey

PHOTOS = 480  # that are looked at, at most; whole animals are drawn
EACH = 8  # photos of one animal, at most
LEAST = 60  # photos of animals that have another group
SIDE = 256  # px of the view; the backbone's cells then have 16 px
POOLED = 16  # pieces of a window that are compared each with its counterpart, about
STEPS = 8  # of the coarse grid, along each side
NARROWEST = 2  # steps, the least width and height of a window
AROUND = 1  # cells around the best window that are cut out, too: its own cells see beyond their edges
CLEAR = 3.0  # standard errors by which a window must win on animals that did not choose it
GAIN = 1.15  # and the factor by which it must win
Edges = tuple[int, int, int, int]  # left, top, right, bottom, in cells


@dataclass(frozen=True)
class Views:
    """N photos of animals that have several groups.

    Attributes:
        maps: (N, C, H, W) float32, standardised over photos and cells for each channel.
        identities: (N,) int, ascending.
        barred: (N, N) bool, pairs that do not count: of one group, or of two sides.
    """

    maps: torch.Tensor
    identities: np.ndarray
    barred: np.ndarray


def window_of(facts: Facts, paths: Sequence[Path], params: Params) -> Window | None:
    """What is cut out of each photo: what `find_window` finds, or all but for strips at the edges; None: all of it.

    Args:
        facts: of the folder.
        paths: of its labelled photos.
        params: whose backbone describes the photos.
    """
    if facts.boxed:
        return None
    edges = strips_of(paths)
    # The two sides of an animal lie mirrored in the photos, so one window cannot fit both.
    window = None if facts.two_sides else find_window(facts.looked, params, edges)
    return window or without_strips(edges)


def find_window(looked: Looked, params: Params, edges: tuple[float, float]) -> Window | None:
    """The window in which photos of one animal are most alike; None if the whole photo does about as well.

    Args:
        looked: the folder.
        params: whose backbone describes the photos.
        edges: shares of the height, at the top and at the bottom, that show no scene.
    """
    with redirect_stdout(StringIO()):  # of what is read again in `prepare`
        photos = _chosen(looked, params)
    if len(photos) < LEAST:
        return None
    files = [
        PhotoFile(Path(path), sha256, (width, height))
        for path, sha256, width, height in photos[["path", "sha256", "width", "height"]].itertuples(index=False)
    ]
    whole = params.crop.model_copy(update={"whole": list(WHOLE), "image_size": SIDE})
    pixels = [whole_crop(file, whole) for file in files]
    good = np.array([one is not None for one in pixels])
    photos = photos[good].reset_index(drop=True)
    maps = _maps([_within(one, edges) for one in pixels if one is not None], params)
    window = best_window(views_of(maps, photos))
    if window is None or not any(edges):
        return window
    left, top, right, bottom = window.whole
    top, bottom = (round(edges[0] + share * (1 - sum(edges)), 3) for share in (top, bottom))
    return replace(window, whole=[left, top, right, bottom], strip=True)


def without_strips(edges: tuple[float, float]) -> Window | None:
    """All of the photo but for these shares of its height at the top and at the bottom; None if there are none."""
    return Window([0.0, round(edges[0], 3), 1.0, round(1 - edges[1], 3)], 0.0, 0.0, strip=True) if any(edges) else None


def _within(photo: np.ndarray, edges: tuple[float, float]) -> np.ndarray:
    return photo[round(edges[0] * len(photo)) : round((1 - edges[1]) * len(photo))]


def views_of(maps: torch.Tensor, photos: pd.DataFrame) -> Views:
    """Maps of photos, ready to be compared.

    Args:
        maps: (N, C, H, W).
        photos: table (identity, group, viewpoint) of them, sorted by identity.
    """
    identities = np.unique(photos["identity"].to_numpy(str), return_inverse=True)[1]
    groups, sides = photos["group"].to_numpy(), photos["viewpoint"].fillna("").to_numpy(str)
    barred = (groups[:, None] == groups) | ~comparable(sides, sides)
    mean, deviation = maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)
    return Views((maps - mean) / deviation.clamp(min=1e-6), identities, barred)


def best_window(views: Views) -> Window | None:
    """The window that ranks the right animals highest; None if none is clearly better than the whole photo.

    It is chosen by all animals, if windows that were chosen by half of the animals win on the other half. Then it gets
    a margin.
    """
    height, width = views.maps.shape[2:]
    if min(height, width) < STEPS:
        return None
    whole: Edges = (0, 0, width, height)
    windows = [whole, *(edges for edges in _coarse(width, height) if edges != whole)]
    shown = bar("looking for a window", len(windows), "window", windows)
    ranks = np.stack([reciprocal_ranks(views, edges) for edges in shown])
    asked = np.isfinite(ranks[0])
    ranks, animals = ranks[:, asked], views.identities[asked]
    if not _clear(ranks, animals):
        return None
    best = windows[int(ranks.mean(axis=1).argmax())]
    near = [edges for edges in _near(best, width, height) if edges != best]
    fine = {edges: float(np.nanmean(reciprocal_ranks(views, edges))) for edges in (best, *near)}
    edges = max(fine, key=lambda one: fine[one])
    left, top, right, bottom = np.clip(np.add(edges, (-AROUND, -AROUND, AROUND, AROUND)), 0, (width, height) * 2)
    shares = [left / width, top / height, right / width, bottom / height]
    return Window([round(float(share), 3) for share in shares], fine[edges], float(ranks[0].mean()))


def reciprocal_ranks(views: Views, edges: Edges) -> np.ndarray:
    """(N,) 1 / the rank of each photo's own animal by what lies in a window; NaN if no photo of it counts."""
    left, top, right, bottom = edges
    inside = views.maps[:, :, top:bottom, left:right]
    vectors = F.adaptive_avg_pool2d(inside, _pieces(right - left, bottom - top)).flatten(1)
    vectors = F.normalize(vectors - vectors.mean(0), dim=1)
    cosines = (vectors @ vectors.T).numpy()
    cosines[views.barred] = -np.inf
    starts = np.flatnonzero(np.diff(views.identities, prepend=-1))
    best = np.maximum.reduceat(cosines, starts, axis=1)  # (N, A): each animal's nearest photo
    own = best[np.arange(len(best)), views.identities]
    ranks = 1 / (1.0 + (best > own[:, None]).sum(axis=1))
    return np.where(np.isfinite(own), ranks, np.nan)


def _clear(ranks: np.ndarray, animals: np.ndarray) -> bool:
    """Do the windows that are chosen by half of the animals win clearly on the other half?

    Args:
        ranks: (W, Q) reciprocal ranks; the first row is the whole photo's.
        animals: (Q,) int, the animal of each photo.
    """
    won = np.full(ranks.shape[1], np.nan)
    for half in (0, 1):
        choosing = animals % 2 == half
        if choosing.all() or not choosing.any():
            return False
        won[~choosing] = ranks[ranks[:, choosing].mean(axis=1).argmax(), ~choosing]
    gain = pd.Series(won - ranks[0]).groupby(animals).mean()
    beyond_chance = gain.mean() > CLEAR * gain.std() / np.sqrt(len(gain))
    return bool(beyond_chance and won.mean() > GAIN * ranks[0].mean())


def _pieces(width: int, height: int) -> tuple[int, int]:
    """Rows and columns of about `POOLED` pieces of a window, each nearly square."""
    rows = int(np.clip(round(np.sqrt(POOLED * height / width)), 1, height))
    return rows, int(np.clip(round(POOLED / rows), 1, width))


def _coarse(width: int, height: int) -> list[Edges]:
    spans = [
        [(round(a * side / STEPS), round(b * side / STEPS)) for a, b in itertools.combinations(range(STEPS + 1), 2)
         if b - a >= NARROWEST]
        for side in (width, height)
    ]  # fmt: skip
    return [(left, top, right, bottom) for left, right in spans[0] for top, bottom in spans[1]]


def _near(edges: Edges, width: int, height: int) -> list[Edges]:
    """The windows whose edges lie at most a cell away."""
    near = []
    for moved in itertools.product((-1, 0, 1), repeat=4):
        left, top, right, bottom = (edge + by for edge, by in zip(edges, moved, strict=True))
        if 0 <= left < right - 1 and right <= width and 0 <= top < bottom - 1 and bottom <= height:
            near.append((left, top, right, bottom))
    return near


def _chosen(looked: Looked, params: Params) -> pd.DataFrame:
    """The table `PHOTOS` of some animals, each with several groups, sorted by identity."""
    named = looked.source.labelled.dropna(subset="identity")
    named = named[~named["path"].duplicated(keep=False)]
    several = named[named.groupby("identity")["image"].transform("size") > 1]
    rng = np.random.default_rng(params.seed)
    animals = rng.permutation(np.unique(several["identity"].to_numpy(str)))
    some = several.groupby("identity").head(EACH)
    count = some["identity"].value_counts().reindex(animals).cumsum()
    some = some[some["identity"].isin(count.index[count <= PHOTOS])]
    source = replace(looked.source, labelled=some, queries=looked.source.queries.head(0), strays=[], findings=[])
    if not len(some):
        return some
    photos = survey(replace(source, boxes=source.boxes.head(0)), looked.params, params.seed).photos
    photos = photos[photos["identity"].notna()]
    groups = photos.groupby("identity")["group"].transform("nunique")
    return photos[groups > 1].sort_values(["identity", "image"]).reset_index(drop=True)


@torch.inference_mode()
def _maps(pixels: Sequence[np.ndarray], params: Params) -> torch.Tensor:
    """(N, C, H, W) float32: what the backbone's last stage but one says of each cell."""
    train = params.train.model_copy(update={"image_size": SIDE, "first_size": SIDE})
    embedder = new_embedder(Recipe(train, 1, params.lr, params.seed)).eval()
    orders = in_order(len(pixels), params.embed.batch)
    stream = batches(lambda row: plain_view(pixels[row], SIDE), orders)
    shown = bar("describing photos", len(orders), "batch", stream)
    return torch.cat([embedder.maps(to_device(views, torch.device("cpu")))[0].float() for views in shown])
