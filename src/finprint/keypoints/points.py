"""Local features of a picture, and which of those matched one affine map explains."""

from dataclasses import dataclass

import cv2
import numpy as np

# How far from its mapped place a point may lie, as a share of the picture's longer side. An animal bends and turns
# between two photos, so that one shift or one plane's map fits its flank only roughly.
SLACK = 0.03
WIDEST = 128  # numbers of a descriptor, those of ALIKED and of DISK
LEAST = 4  # points; three of them are explained by an affine map whatever they are


@dataclass(frozen=True)
class Features:
    """The local features of a picture.

    Attributes:
        points: (N, 2) float32, x and y in px of the picture.
        descriptors: (N, D) float16 unit vectors.
        frame: (1, 2) float32, width and height of the picture in px.
    """

    points: np.ndarray
    descriptors: np.ndarray
    frame: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


def features_bytes(keypoints: int) -> int:
    """How many bytes the local features of a picture take, at most."""
    return keypoints * (2 * 4 + WIDEST * 2)


def inliers(places: np.ndarray) -> np.ndarray:
    """(M,) bool, the points that agree with the best affine map from one picture to the other (RANSAC).

    Args:
        places: (M, 4) x and y in the one picture, x and y in the other, as shares of the picture's longer side.
    """
    if len(places) < LEAST:
        return np.zeros(len(places), bool)
    one, other = (np.ascontiguousarray(half, np.float64) for half in np.split(places, 2, axis=1))
    # OpenCV draws its samples from a generator that it starts anew in each call.
    _, agree = cv2.estimateAffine2D(one, other, method=cv2.RANSAC, ransacReprojThreshold=SLACK)
    return np.zeros(len(places), bool) if agree is None else agree[:, 0].astype(bool)
