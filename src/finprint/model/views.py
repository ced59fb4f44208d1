"""One view of a crop for the network: a plain resize, or one random affine with a few changes of tone."""

import math

import cv2
import numpy as np

from finprint.model.params import Augment
from finprint.pictures.images import resize


def weaker(augment: Augment, share: float) -> Augment:
    """The same augmentation with its strengths and probabilities multiplied by `share`.

    Mirror images, mixing and whatever a task adds to the section stay as they are.
    """
    kept = {"flip", "mixup", "mixed", "grow"}
    strengths = Augment.model_fields.keys() - kept
    return augment.model_copy(update={name: getattr(augment, name) * share for name in strengths})


def plain_view(pixels: np.ndarray, side: int) -> np.ndarray:
    """A crop `(H, W, 3)` uint8 as the square `(side, side, 3)` that the network sees."""
    return resize(pixels, side, side)


def random_view(
    pixels: np.ndarray, side: int, augment: Augment, rng: np.random.Generator, mirror: bool = False
) -> np.ndarray:
    """A random view of a crop: rotation, shift, zoom, shear and mirror in a single resampling, then tone.

    Args:
        pixels: `(H, W, 3)` uint8 RGB.
        side: px of the result.
        augment: the strengths.
        rng: draws all that is random; its state alone decides the view.
        mirror: show the mirror image.

    Returns:
        `(side, side, 3)` uint8.
    """
    if min(pixels.shape[:2]) > side or max(pixels.shape[:2]) > 2 * side:
        pixels = plain_view(pixels, side)  # the affine samples bilinearly: shrink first, by area
    view = cv2.warpAffine(
        pixels,
        _affine(pixels.shape[1], pixels.shape[0], side, augment, rng, mirror),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return _tone(view, augment, rng)


def _affine(width: int, height: int, side: int, augment: Augment, rng: np.random.Generator, mirror: bool) -> np.ndarray:
    """The matrix `(2, 3)` from the result's pixels to the crop's, composed about the centre of a unit square."""
    angle = math.radians(rng.uniform(-1, 1) * augment.rotate)
    shear = math.tan(math.radians(rng.uniform(-1, 1) * augment.shear))
    zoom = 1 + rng.uniform(-1, 1) * augment.zoom
    shift = rng.uniform(-1, 1, 2) * augment.shift
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ np.array([[1, shear], [0, 1]]) @ np.diag([-1 if mirror else 1, 1]) / zoom
    grow = np.diag([width, height])
    # Pixel centres lie at half-integers of the unit square.
    offset = grow @ (linear @ (np.full(2, 0.5 / side) - 0.5) + 0.5 + shift) - 0.5
    return np.column_stack([grow @ linear / side, offset])


def _tone(view: np.ndarray, augment: Augment, rng: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * augment.colour
    grey, blur, erase = rng.random(3) < (augment.grey, augment.blur, augment.erase)
    sigma, place, extent = rng.uniform(0.5, 1.5), rng.random(2), rng.uniform(0.1, 0.3, 2)
    noise = rng.random() < augment.noise

    levels = (np.arange(256) - 128) * (brightness * contrast) + 128 * brightness
    view = cv2.LUT(view, np.clip(levels, 0, 255).astype(np.uint8))
    if grey or saturation != 1:
        plain = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = 0.0 if grey else saturation
        view = cv2.addWeighted(view, share, plain, 1 - share, 0)
    if blur:
        view = cv2.GaussianBlur(view, (0, 0), sigma)
    if noise:
        grain = rng.normal(0, rng.uniform(2, 12), view.shape).astype(np.float32)
        view = np.clip(view + grain, 0, 255).astype(np.uint8)
    if erase:
        side = len(view)
        (y, x), (h, w) = (place * (1 - extent) * side).astype(int), (extent * side).astype(int)
        view[y : y + h, x : x + w] = view.mean(axis=(0, 1)).astype(np.uint8)
    return view
