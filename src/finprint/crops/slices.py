"""Looking at overlapping slices of a large photo, so that a detector of small input finds tiny animals.

Slicing aided hyper inference: Akyon, Altinuc, Temizel, ICIP 2022, https://arxiv.org/abs/2202.06934.
"""

import numpy as np
import torch

from finprint.base.vision import torchvision
from finprint.detector.yolo import Detection
from finprint.pictures.decoding import Window

OVERLAP = 0.2  # of neighbouring slices, as a share of their side (the paper's)
SAME = 0.5  # two boxes of a part with a greater intersection over union are one animal (the paper's)
COVERED = 0.6  # a box cut by a slice's edge is dropped where another holds so much of it
TOUCH = 0.01  # a box ends at a slice's edge if it comes so near, as a share of the slice's side


def side_share(count: int) -> float:
    """The side of one of `count` overlapping slices, as a share of the photo's."""
    return 1 / (count - OVERLAP * (count - 1))


def windows(width: int, height: int, count: int) -> list[Window]:
    """The whole photo, and `count` x `count` overlapping slices of it if there are several."""
    whole = [(0, 0, width, height)]
    if count == 1:
        return whole
    share = side_share(count)
    starts = np.arange(count) * share * (1 - OVERLAP)
    columns = [(round(width * start), min(width, round(width * (start + share)))) for start in starts]
    rows = [(round(height * start), min(height, round(height * (start + share)))) for start in starts]
    return whole + [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def merge(detections: list[list[Detection]], places: list[Window]) -> list[Detection]:
    """What was detected in a photo, each animal once, from what was detected in its windows.

    Args:
        detections: for each window what was detected in it, in pixels of the window.
        places: the windows; the first is the whole photo.

    Returns:
        Detections in pixels of the photo, surest first.
    """
    moved = [
        (Detection(one.part, one.box + np.array(place[:2] * 2), one.confidence), _is_cut(one.box, place, places[0]))
        for in_window, place in zip(detections, places, strict=True)
        for one in in_window
    ]
    moved.sort(key=lambda pair: -_area(pair[0].box))
    kept: list[Detection] = []
    for one, cut in moved:  # the larger first, so that of two pieces of an animal one stays
        if not (cut and any(_covers(other, one) for other in kept)):
            kept.append(one)
    if not kept:
        return []
    parts = sorted({one.part for one in kept})
    chosen = torchvision.ops.batched_nms(
        torch.from_numpy(np.array([one.box for one in kept], np.float64)),
        torch.tensor([one.confidence for one in kept], dtype=torch.float64),
        torch.tensor([parts.index(one.part) for one in kept]),
        SAME,
    )
    return sorted((kept[i] for i in chosen.tolist()), key=lambda one: -one.confidence)


def _is_cut(box: np.ndarray, place: Window, whole: Window) -> bool:
    """Does the box end at an edge of its slice that is not an edge of the photo?"""
    left, top, right, bottom = place
    near_x, near_y = TOUCH * (right - left), TOUCH * (bottom - top)
    return bool(
        (left > whole[0] and box[0] < near_x)
        or (top > whole[1] and box[1] < near_y)
        or (right < whole[2] and box[2] > right - left - near_x)
        or (bottom < whole[3] and box[3] > bottom - top - near_y)
    )


def _covers(other: Detection, one: Detection) -> bool:
    corners = np.concatenate([np.maximum(one.box[:2], other.box[:2]), np.minimum(one.box[2:], other.box[2:])])
    return other.part == one.part and _area(corners) >= COVERED * _area(one.box)


def _area(box: np.ndarray) -> float:
    return float(np.prod(np.maximum(0, box[2:] - box[:2])))
