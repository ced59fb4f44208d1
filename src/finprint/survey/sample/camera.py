"""Where the animal is in the photograph, and how its canvas is projected there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from finprint.survey.sample.individuals import RIGHT, Individual
from finprint.survey.sample.shapes import DENSITY, U_MIN, V_MAX
from finprint.survey.sample.skin import Flank

SIZE = (480, 320)  # width and height of a photograph in pixels


@dataclass(frozen=True)
class Pose:
    """The animal's place and attitude, and the water around it."""

    side: int  # the flank that is seen
    scale: float  # photo pixels per unit
    centre: tuple[float, float]  # where the animal's origin is, in pixels
    tilt: float  # radians, the animal's pitch and the camera's roll together
    yaw: float  # radians away from a square-on view: shortens the animal, never its height
    foreshortening: float  # factor on the height: a fluke tips over as its owner dives
    lean: float  # shear of the fin as the animal rolls
    immersion: float  # height v of the water at the animal
    swell: tuple[float, float, float]  # amplitude in units, waves across the photo, phase
    bulge: tuple[float, float, float]  # a wave in front of the animal: place u, height, width in units


@dataclass(frozen=True)
class Layer:
    """The animal as the photograph sees it, before light."""

    colour: np.ndarray  # (H, W, 3) float32: albedo, not multiplied by cover
    cover: np.ndarray  # (H, W) float32: above water
    fin: np.ndarray  # (H, W) float32: the fin above water
    normal: np.ndarray  # (H, W, 2) float32: surface normal, right and up
    waterline: np.ndarray  # (W,) float32: its row in every column


def make_pose(individual: Individual, side: int, rng: np.random.Generator) -> Pose:
    """A random attitude in which the animal fills 27 to 75 per cent of the photo's width."""
    species = individual.species
    width, height = SIZE
    yaw = float(np.clip(rng.normal(0.0, 0.42), -0.85, 0.85))
    share = float(0.27 + 0.48 * rng.beta(2.4, 1.3))
    tallest = 0.62 * height / (individual.fin_height + 0.5)
    scale = min(share * width / (species.length * np.cos(yaw)), tallest)
    half = 0.5 * species.length * np.cos(yaw) * scale
    x = float(rng.uniform(half + 12, max(half + 13, width - half - 12)))
    above = (individual.fin_height + 0.35) * scale
    y = float(np.clip(rng.normal(0.60, 0.10) * height, above + 8, height - 0.45 * scale - 6))
    bulge_high = float(rng.uniform(0.08, 0.22)) if rng.random() < 0.3 else 0.0
    return Pose(
        side=side,
        scale=scale,
        centre=(x, y),
        tilt=float(np.clip(rng.normal(0.0, 0.15), -0.3, 0.3)),
        yaw=yaw,
        foreshortening=float(rng.uniform(0.45, 1.0) if species.is_fluke else rng.uniform(0.88, 1.0)),
        lean=float(rng.normal(0.0, 0.07)),
        immersion=float(rng.uniform(*species.immersion)),
        swell=(float(rng.uniform(0.0, 0.05)), float(rng.uniform(0.6, 2.5)), float(rng.uniform(0.0, 6.3))),
        bulge=(float(rng.uniform(-0.4, 0.4)) * species.length, bulge_high, float(rng.uniform(0.15, 0.4))),
    )


def canvas_to_photo(pose: Pose, density: float) -> np.ndarray:
    """The (3, 3) homography from canvas pixels, `density` to the unit, to photo pixels."""
    to_units = np.array([[1 / density, 0.0, U_MIN], [0.0, -1 / density, V_MAX], [0.0, 0.0, 1.0]])
    mirror = -1.0 if pose.side == RIGHT else 1.0
    turn = np.array([[mirror * np.cos(pose.yaw), pose.lean, 0.0], [0.0, pose.foreshortening, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
    roll = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    taper = np.eye(3)
    taper[2, 0] = 0.06 * np.sin(pose.yaw)  # the end that is turned away looks smaller
    x, y = pose.centre
    place = np.array([[pose.scale, 0.0, x], [0.0, -pose.scale, y], [0.0, 0.0, 1.0]])
    return place @ taper @ roll @ turn @ to_units


def project(flank: Flank, pose: Pose, roughness: np.ndarray) -> Layer:
    """Project a flank and cut it at the water; `roughness` (W,) are the waterline's wiggles in units."""
    colour, planes = shrink(flank, pose.scale)
    matrix = canvas_to_photo(pose, DENSITY * colour.shape[1] / flank.colour.shape[1])
    colour = cv2.warpPerspective(colour, matrix, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    planes = cv2.warpPerspective(planes, matrix, SIZE, flags=cv2.INTER_LINEAR)
    line = waterline(pose, roughness)
    rows = np.arange(SIZE[1], dtype=np.float32)[:, None] + 0.5
    dry = np.clip((line[None, :] - rows) / 1.5 + 0.5, 0.0, 1.0)  # (H, W)
    normal: np.ndarray = planes[..., 2:].copy()
    if pose.side == RIGHT:
        normal[..., 0] *= -1.0
    return Layer(colour, planes[..., 0] * dry, planes[..., 1] * dry, normal, line)


def shrink(flank: Flank, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Colour (h, w, 3) and cover, fin, normal (h, w, 4) at about the photo's own density, without aliasing."""
    planes = np.dstack([flank.cover, flank.fin, flank.normal])
    step = max(1.0, DENSITY / scale / 1.3)
    if step < 1.2:
        return flank.colour, planes
    size = (int(flank.cover.shape[1] / step), int(flank.cover.shape[0] / step))
    colour = cv2.resize(flank.colour, size, interpolation=cv2.INTER_AREA)
    return colour, cv2.resize(planes, size, interpolation=cv2.INTER_AREA)


def waterline(pose: Pose, roughness: np.ndarray) -> np.ndarray:
    """The row at which water begins in every column: (W,) float32."""
    columns = np.arange(SIZE[0])
    u = (columns - pose.centre[0]) / pose.scale
    amplitude, count, phase = pose.swell
    level = (
        pose.immersion * pose.foreshortening
        + amplitude * np.sin(2 * np.pi * count * columns / SIZE[0] + phase)
        + roughness
    )
    place, high, wide = pose.bulge
    level = level + high * np.exp(-(((u - place) / wide) ** 2))
    return (pose.centre[1] - pose.scale * level).astype(np.float32)


def tight_box(mask: np.ndarray) -> tuple[float, float, float, float] | None:
    """x_min, y_min, x_max, y_max in pixels around a mask (H, W) that is more than half covered, None if empty."""
    seen = mask > 0.5
    if not seen.any():
        return None
    columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
