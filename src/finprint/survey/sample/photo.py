"""Lights the animal, joins it with the sea, and degrades the result as a camera on a moving boat does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from finprint.survey.sample.camera import SIZE, Layer, Pose, make_pose, project, tight_box
from finprint.survey.sample.individuals import Individual
from finprint.survey.sample.sea import TILE, Scene, make_scene
from finprint.survey.sample.skin import Flank
from finprint.survey.sample.weather import Weather

Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in pixels


@dataclass(frozen=True)
class Photo:
    """A finished photograph and what is known about it."""

    pixels: np.ndarray  # (H, W, 3) uint8, RGB
    body: Box
    fin: Box


def take_photo(
    individual: Individual, flank: Flank, side: int, weather: Weather, tile: np.ndarray, rng: np.random.Generator
) -> Photo:
    """A photograph of one side of an individual; `rng` decides its pose and all else that is random."""
    scene = make_scene(weather, tile, rng, SIZE)
    layer, body, fin = _frame(individual, flank, side, tile, rng)
    light = _reflect(scene, layer, weather)
    window = _window(body)
    skin = _light_skin(layer, window, weather, rng)
    light[window] += layer.cover[window][..., None] * (skin - light[window])
    _add_foam(light, layer, weather, rng)
    _add_spray(light, layer, weather, rng)
    return Photo(_expose(light, weather, rng), body, fin)


def _frame(
    individual: Individual, flank: Flank, side: int, tile: np.ndarray, rng: np.random.Generator
) -> tuple[Layer, Box, Box]:
    """A pose in which body and fin are both well in view; nearly always the first one tried."""
    for _ in range(20):
        pose = make_pose(individual, side, rng)
        layer = project(flank, pose, _roughness(tile, rng, pose))
        body, fin = tight_box(layer.cover), tight_box(layer.fin)
        if body is None or fin is None or fin[3] - fin[1] < 8:
            continue
        if body[0] > 1 and body[1] > 1 and body[2] < SIZE[0] - 1 and body[3] < SIZE[1] - 1:
            return layer, body, fin
    raise RuntimeError(f"no pose shows individual {individual.number}")


def _roughness(tile: np.ndarray, rng: np.random.Generator, pose: Pose) -> np.ndarray:
    """Small waves along the waterline, in units: (W,)."""
    row = tile[int(rng.integers(TILE)), :, 0]
    places = np.arange(SIZE[0]) / pose.scale * 60 + rng.uniform(0, TILE)
    return 0.018 * np.interp(places % TILE, np.arange(TILE), row)


def _window(body: Box) -> tuple[slice, slice]:
    """Rows and columns that hold all of the animal, its soft edge included."""
    left, top, right, bottom = (int(edge) for edge in body)
    return slice(max(0, top - 3), min(SIZE[1], bottom + 3)), slice(max(0, left - 3), min(SIZE[0], right + 3))


def _light_skin(layer: Layer, window: tuple[slice, slice], weather: Weather, rng: np.random.Generator) -> np.ndarray:
    """The wet skin's linear colour in a window of the photograph: (h, w, 3)."""
    nx, ny = layer.normal[window][..., 0], layer.normal[window][..., 1]
    nz = np.sqrt(np.clip(1.0 - nx * nx - ny * ny, 0.0, 1.0))
    sun = _unit(weather.sun_side, 0.25 + weather.sun_up, weather.sun_front)
    facing = np.clip(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0, 1.0)[..., None]
    sky = (0.55 + 0.45 * ny)[..., None]
    skin = layer.colour[window] * (
        facing * _dapples(rng, facing.shape[:2]) * weather.sun
        + sky * weather.ambient
        + 0.35 * (1 - sky) * weather.mirror
    )
    rows = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None]
    above = np.clip(layer.waterline[None, window[1]] - rows, 0.0, None) / (window[0].stop - window[0].start)
    skin *= (1.0 - 0.45 * np.exp(above * (-1 / 0.10)))[..., None]  # the sea shades the lowest part
    half = _unit(sun[0], sun[1], sun[2] + 1.0)
    shine = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0.0, 1.0) ** 60
    wet = cv2.resize(rng.standard_normal((12, 18)).astype(np.float32), shine.shape[::-1])
    skin += (0.35 * shine * np.clip(0.6 + 0.5 * wet, 0.0, 1.6))[..., None] * weather.sun
    skin += 0.11 * np.clip(ny, 0.0, 1.0)[..., None] ** 3 * (weather.zenith + weather.mirror)
    air = 0.35 * weather.haze
    return skin + air * (weather.horizon - skin)


def _dapples(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Light that the waves gather and scatter on the skin, around 1, and water that runs off it: (h, w, 1)."""
    grid = rng.standard_normal((5, 9)).astype(np.float32)
    strength = rng.uniform(0.0, 0.35)
    dapples = 1.0 + strength * cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        streaks = rng.standard_normal((3, 60)).astype(np.float32)
        dapples += 0.5 * np.clip(cv2.resize(streaks, shape[::-1], interpolation=cv2.INTER_LINEAR) - 0.3, 0.0, None)
    return np.clip(dapples, 0.1, 2.5)[..., None]


def _unit(x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction of length one, as plain floats: they leave float32 arrays as they are."""
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def _reflect(scene: Scene, layer: Layer, weather: Weather) -> np.ndarray:
    """The sea with the animal's broken mirror image in it: (H, W, 3)."""
    top = int(max(0.0, layer.waterline.min()))
    rows = np.arange(top, SIZE[1], dtype=np.float32)[:, None]
    below = np.clip(rows - layer.waterline[None, :], 0.0, None)
    slope = scene.slope[top:]
    source_y = layer.waterline[None, :] - 1.3 * below - 5.0 * slope[..., 1] * np.minimum(below / 12, 1)
    source_x = np.arange(SIZE[0], dtype=np.float32)[None, :] + 4.0 * slope[..., 0]
    seen = cv2.remap(layer.cover, source_x, source_y, cv2.INTER_LINEAR)
    seen *= (below > 0) * np.exp(below * (-1 / 45)) * (0.75 - 0.35 * weather.chop)
    light = scene.light.copy()
    light[top:] += seen[..., None] * (0.45 * weather.deep + 0.08 * weather.ambient - light[top:])
    return light


def _froth(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Clotted noise for foam and spray, standard deviation about 1: `shape` (h, w)."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for cell, weight in ((9, 0.7), (4, 0.7), (2, 0.7), (1, 0.5)):
        grid = rng.standard_normal((height // cell + 3, width // cell + 3), dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return total


def _add_foam(light: np.ndarray, layer: Layer, weather: Weather, rng: np.random.Generator) -> None:
    """White water where the animal breaks the surface, added to `light` (H, W, 3)."""
    wet = np.flatnonzero((layer.cover > 0.5).any(axis=0))
    span = float(wet[-1] - wet[0])
    columns = np.arange(SIZE[0], dtype=np.float32)
    outside = np.maximum(np.maximum(wet[0] - columns, columns - wet[-1]), 0)
    beside = np.exp(-((outside / max(0.06 * span, 3.0)) ** 2))  # (W,)
    lively = np.interp(columns, np.linspace(0, SIZE[0], 12), rng.uniform(0.2, 1.0, 12)).astype(np.float32)
    rough = 0.35 + 0.65 * weather.chop  # on calm days there is hardly any
    thick = max(1.2, rng.uniform(0.006, 0.03) * rough * span) * (0.4 + lively)  # (W,) half height in pixels
    top = int(max(0.0, layer.waterline.min() - 3 * thick.max()))
    rows = np.arange(top, SIZE[1], dtype=np.float32)[:, None]
    off = (rows - layer.waterline[None, :] - 0.3 * thick) / thick
    off = np.where(off < 0, off, 0.45 * off)  # it trails off towards the viewer
    band = np.exp(-off * off) * (beside * (0.35 + 0.65 * lively))[None, :]
    foam = np.clip(1.2 * band * (0.55 + 0.28 * _froth(rng, band.shape)), 0.0, 0.85)[..., None]
    light[top:] += foam * (0.6 * weather.sun + 0.9 * weather.ambient - light[top:])


def _add_spray(light: np.ndarray, layer: Layer, weather: Weather, rng: np.random.Generator) -> None:
    """In some photographs, a splash that hides a part of the animal, added to `light` (H, W, 3)."""
    if rng.random() > 0.30:
        return
    wet = np.flatnonzero((layer.cover > 0.5).any(axis=0))
    span = float(wet[-1] - wet[0])
    x = rng.uniform(wet[0] - 0.05 * span, wet[-1] + 0.05 * span)
    y = float(layer.waterline[int(np.clip(x, 0, SIZE[0] - 1))])
    wide, high = span * rng.uniform(0.04, 0.13), span * rng.uniform(0.04, 0.18)
    dx = (np.arange(SIZE[0], dtype=np.float32)[None, :] - x) / wide
    dy = (np.arange(SIZE[1], dtype=np.float32)[:, None] - y) / high
    plume = np.exp(-dx * dx - np.where(dy < 0, dy, 3.0 * dy) ** 2)  # (H, W)
    mist = np.clip(plume * (0.75 + 0.45 * _froth(rng, plume.shape)) - 0.15, 0.0, 0.8)
    drops = (rng.random(plume.shape, dtype=np.float32) < 0.10 * plume).astype(np.float32)
    mist = np.clip(mist + 2.2 * cv2.GaussianBlur(drops, (0, 0), 0.9), 0.0, 0.95)[..., None]
    light += mist * (0.65 * weather.sun + 0.95 * weather.ambient - light)


def _expose(light: np.ndarray, weather: Weather, rng: np.random.Generator) -> np.ndarray:
    """Lens blur, shake, exposure, sensor noise and the tone curve: (H, W, 3) uint8."""
    blur = float(rng.choice([0.4, 0.8, 1.2, 1.6], p=[0.45, 0.3, 0.18, 0.07]))
    image: np.ndarray = cv2.GaussianBlur(light, (0, 0), blur)
    if rng.random() < 0.35:
        image = cv2.filter2D(image, -1, _shake(rng), borderType=cv2.BORDER_REFLECT)
    image += weather.veil * weather.horizon
    image = np.maximum(cv2.transform(image, _saturation(weather.vivid)), 0.0)
    image *= weather.gain * math.exp(rng.normal(0.0, 0.16)) * weather.tint
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32)  # of brightness: the eye forgives colour noise
    noise *= weather.grain * np.sqrt(np.clip(image[..., 1], 0.01, 1.5))
    image += noise[..., None]
    return _tone_curve(weather.contrast)[np.clip(image * 1024, 0, 4095).astype(np.uint16)]


def _tone_curve(contrast: float) -> np.ndarray:
    """What 0..4 in steps of 1/1024 of linear light look like: (4096,) uint8; highlights roll off."""
    light = (np.arange(4096) / 1024) ** contrast
    light = light / (1.0 + np.clip(light - 0.75, 0.0, None) * 0.8)
    return np.round(np.clip(light, 0.0, 1.0) ** (1 / 2.2) * 255).astype(np.uint8)


def _saturation(vivid: float) -> np.ndarray:
    """The colour matrix (3, 3) that keeps gray and scales every colour's distance from it."""
    return vivid * np.eye(3, dtype=np.float32) + np.full((3, 3), (1.0 - vivid) / 3.0, np.float32)


def _shake(rng: np.random.Generator) -> np.ndarray:
    """The path of a hand-held camera during the exposure, as a blur kernel: (9, 9) float32."""
    kernel = np.zeros((9, 9), np.float32)
    angle, reach = rng.uniform(0, np.pi), rng.uniform(0.8, 3.0)
    dx, dy = reach * np.cos(angle), reach * np.sin(angle)
    start = (int((4 - dx) * 16), int((4 - dy) * 16))
    end = (int((4 + dx) * 16), int((4 + dy) * 16))
    cv2.line(kernel, start, end, 1.0, 1, cv2.LINE_8, 4)
    return kernel / kernel.sum()
