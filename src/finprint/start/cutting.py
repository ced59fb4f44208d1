"""Crops of photos without boxes, for a first look."""

import numpy as np

from finprint.crops.cutting import PhotoFile, choose, cut
from finprint.crops.params import Crop
from finprint.pictures.images import BadPhoto, ChangedPhoto, decode_jpeg


def whole_crop(file: PhotoFile, params: Crop) -> np.ndarray | None:
    """The crop of a photo without a box, `(H, W, 3)` uint8; None if the photo is damaged."""
    try:
        return decode_jpeg(cut(file, choose([], params, file.size), params)[0].jpeg)
    except (BadPhoto, ChangedPhoto):
        return None
