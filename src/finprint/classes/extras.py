"""Numbers beside the network's features: size, shape and texture of a crop (the plankton winners' late features)."""

import math
from collections.abc import Callable

import cv2
import mahotas
import numpy as np
import pandas as pd

from finprint.base.code import code_of
from finprint.base.files import atomic, cache, hold, intact, remove, seal, sha256_json
from finprint.base.progress import bar
from finprint.model.views import edge_colour
from finprint.pictures.shards import Crops
from finprint.store.tables import SIDES

GREYS = 32  # levels of grey, for the texture: as many as make its matrices dense in small crops
SIDE = 128  # px, longer side of a crop at which its texture is measured
LENGTHS = {"none": 0, "size": 2, "all": 2 + 7 + 52}  # how many numbers


def extras_of(crops: Crops, kind: str) -> np.ndarray:
    """(N, E) float32 extras of all crops, kept in a file under .cache/extras.

    Args:
        crops: N of them.
        kind: `none`, `size` or `all`.
    """
    if kind == "none":
        return np.zeros((len(crops), 0), np.float32)
    boxes = crops.index[SIDES].to_numpy(float).tolist()
    contents = [crops.digest(row) for row in range(len(crops))]
    code = [code_of(("classes", "model", "pictures")), mahotas.__version__, cv2.__version__]
    key = sha256_json([kind, boxes, contents, code])
    path = cache() / "extras" / f"{key[:16]}.npy"
    with hold(path.with_name("lock"), "another run measures the crops: waiting for its end"):
        if not intact(path):
            array = measure(crops.index, crops.pixels, kind)
            with atomic(path) as draft:
                np.save(draft, array)
                seal(draft)
            for other in path.parent.glob("*.npy"):
                if other != path:
                    remove(other)
        return np.load(path)


def measure(index: pd.DataFrame, pixels: Callable[[int], np.ndarray], kind: str) -> np.ndarray:
    """(N, E) float32 extras.

    Args:
        index: table `CROPS`; its boxes tell the true size.
        pixels: gives the crop of a row.
        kind: `size` or `all`.
    """
    box = index[SIDES].to_numpy(float)
    sizes = np.log(np.maximum(box[:, 2:] - box[:, :2], 1)).astype(np.float32)  # (N, 2) of px
    if kind == "size":
        return sizes
    with bar("measuring crops", len(index), "crop") as progress:
        rows = []
        for row in range(len(index)):
            grey = cv2.cvtColor(pixels(row), cv2.COLOR_RGB2GRAY)
            rows.append(np.concatenate([shape(grey), texture(grey)]))
            progress.update()
    return np.hstack([sizes, np.array(rows, np.float32).reshape(-1, LENGTHS["all"] - 2)])


def shape(grey: np.ndarray) -> np.ndarray:
    """(7,) of the animal against the colour of the crop's edge: centroid, share covered, cosine and sine of twice its
    angle, logarithms of its two axes; all as shares of the crop's longer side.

    Args:
        grey: (H, W) uint8.
    """
    away = np.abs(grey.astype(np.int16) - int(edge_colour(grey[..., None])[0])).astype(np.uint8)
    _, mask = cv2.threshold(away, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    area, side = int(mask.sum()), max(grey.shape)
    if not area:
        return np.array([0.5, 0.5, 0, 1, 0, -5, -5])
    moments = cv2.moments(mask, binaryImage=True)
    x, y = moments["m10"] / area, moments["m01"] / area
    xx, yy, xy = (moments[name] / area for name in ("mu20", "mu02", "mu11"))
    turned, spread = math.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    angle = math.atan2(2 * xy, xx - yy)  # twice that of the longer axis
    axes = [math.log(max(math.sqrt(max(spread + sign * turned, 0)) / side, 1e-3)) for sign in (1, -1)]
    return np.array([x / side, y / side, area / grey.size, math.cos(angle), math.sin(angle), *axes])


def texture(grey: np.ndarray) -> np.ndarray:
    """(52,) Haralick's 13 features of grey levels beside each other, in 4 directions (Haralick et al., Textural
    features for image classification, 1973); those of a crop without texture are 0.

    Args:
        grey: (H, W) uint8.
    """
    factor = SIDE / max(grey.shape)
    if factor < 1:
        size = (max(2, round(grey.shape[1] * factor)), max(2, round(grey.shape[0] * factor)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    if min(grey.shape) < 2:
        return np.zeros(52)
    directions = mahotas.features.haralick(grey // (256 // GREYS))  # (4, 13)
    return np.nan_to_num(directions.ravel(), posinf=0, neginf=0)
