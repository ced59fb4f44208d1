"""One view of a crop for the network: a plain resize, or one affine with a few changes of tone."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from finprint.model.params import Augment
from finprint.pictures.images import resize


def weaker(augment: Augment, share: float) -> Augment:
    """The same augmentation with its strengths and probabilities multiplied by `share`.

    Mirror images, mixing and whatever a task adds to the section stay as they are.
    """
    kept = {"flip", "mixup", "cutmix", "mixed", "zoom_by", "grow", "patience"}
    strengths = Augment.model_fields.keys() - kept
    return augment.model_copy(update={name: getattr(augment, name) * share for name in strengths})


@dataclass(frozen=True)
class Pose:
    """How a view is turned and moved against the plain one, about the crop's centre.

    Attributes:
        angle: radians.
        shear: tangent of the angle.
        zoom: factor of the size that the animal has in the view.
        shift: (2,) shares of the side.
        stretch: how much wider the animal becomes for its height; the area stays.
        mirror: the mirror image.
    """

    angle: float = 0.0
    shear: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    stretch: float = 1.0
    mirror: bool = False

    def matrix(self, width: int, height: int, side: int) -> np.ndarray:
        """The matrix `(2, 3)` from the view's pixels to the crop's, composed about the centre of a unit square."""
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cosine, -sine], [sine, cosine]])
        linear = turn @ np.array([[1, self.shear], [0, 1]]) @ np.diag([-1 if self.mirror else 1, 1]) / self.zoom
        if self.stretch != 1:
            linear = linear @ np.diag([self.stretch**-0.5, self.stretch**0.5])
        grow = np.diag([width, height])
        # Pixel centres lie at half-integers of the unit square.
        offset = grow @ (linear @ (np.full(2, 0.5 / side) - 0.5) + 0.5 + np.array(self.shift)) - 0.5
        return np.column_stack([grow @ linear / side, offset])


def plain_view(pixels: np.ndarray, side: int, padded: bool = False) -> np.ndarray:
    """A crop `(H, W, 3)` uint8 as the square `(side, side, 3)` that the network sees.

    Args:
        padded: keep the crop's proportions and fill up the square with the colour of the crop's edge; else the crop is
            stretched to a square.
    """
    return resize(squared(pixels) if padded else pixels, side, side)


def random_view(
    pixels: np.ndarray,
    side: int,
    augment: Augment,
    rng: np.random.Generator,
    mirror: bool = False,
    padded: bool = False,
) -> np.ndarray:
    """A random view of a crop: rotation, shift, zoom, shear, stretch and mirror in a single resampling, then tone.

    Args:
        pixels: `(H, W, 3)` uint8 RGB.
        side: px of the result.
        augment: the strengths.
        rng: draws all that is random; its state alone decides the view.
        mirror: show the mirror image.
        padded: as for `plain_view`.

    Returns:
        `(side, side, 3)` uint8.
    """
    return _tone(posed_view(pixels, side, _random_pose(augment, rng, mirror), padded), augment, rng)


def posed_view(pixels: np.ndarray, side: int, pose: Pose, padded: bool = False) -> np.ndarray:
    """The view `(side, side, 3)` uint8 of a crop in a pose. What lies outside the crop is its reflection, or the colour
    of its edge if it is padded."""
    colour = edge_colour(pixels) if padded else np.zeros(3)
    pixels = squared(pixels) if padded else pixels
    if min(pixels.shape[:2]) > side or max(pixels.shape[:2]) > 2 * side:
        pixels = plain_view(pixels, side)  # the affine samples bilinearly: shrink first, by area
    return cv2.warpAffine(
        pixels,
        pose.matrix(pixels.shape[1], pixels.shape[0], side),
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if padded else cv2.BORDER_REFLECT_101,
        borderValue=colour.tolist(),
    )


def squared(pixels: np.ndarray) -> np.ndarray:
    """The crop in the middle of a square of its longer side, filled up with the colour of its edge."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    if height == width:
        return pixels
    top, left = (side - height) // 2, (side - width) // 2
    borders = (top, side - height - top, left, side - width - left)
    return cv2.copyMakeBorder(pixels, *borders, cv2.BORDER_CONSTANT, value=edge_colour(pixels).tolist())


def edge_colour(pixels: np.ndarray) -> np.ndarray:
    """(3,) the median colour of the crop's outermost pixels."""
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(edge, axis=0)


def _random_pose(augment: Augment, rng: np.random.Generator, mirror: bool) -> Pose:
    angle = math.radians(rng.uniform(-1, 1) * augment.rotate)
    shear = math.tan(math.radians(rng.uniform(-1, 1) * augment.shear))
    draw = rng.uniform(-1, 1)
    zoom = 1 + draw * augment.zoom if augment.zoom_by == "difference" else (1 + augment.zoom) ** draw
    x, y = rng.uniform(-1, 1, 2) * augment.shift
    stretch = (1 + augment.stretch) ** rng.uniform(-1, 1) if augment.stretch else 1.0
    return Pose(angle, shear, zoom, (x, y), stretch, mirror)


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
