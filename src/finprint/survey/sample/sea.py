"""Water, sky and coast behind the animal, in linear light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from finprint.survey.sample.seeds import stream
from finprint.survey.sample.weather import Weather

TILE = 256  # side of the periodic tile of waves, in its own pixels


@dataclass(frozen=True)
class Scene:
    """A photograph's surroundings."""

    light: np.ndarray  # (H, W, 3) float32: linear colour
    slope: np.ndarray  # (H, W, 2) float32: the water's slopes, sideways and away from the viewer


def make_tile(weather: Weather) -> np.ndarray:
    """A periodic patch of sea: height and its two slopes, each with standard deviation 1: (TILE, TILE, 3)."""
    rng = stream(weather.seed, "tile", weather.encounter)
    frequency = np.fft.fftfreq(TILE) * TILE
    fx, fz = np.meshgrid(frequency, frequency)
    size = np.hypot(fx, fz) + 1e-6
    turn = np.arctan2(fz, fx) - (np.pi / 2 + weather.heading)  # waves mostly run towards the viewer
    strength = size**-1.9 * np.exp(-((2.5 / size) ** 2)) * (0.15 + np.cos(turn) ** 2) * (size < 70)
    wave = strength * np.exp(2j * np.pi * rng.random((TILE, TILE)))
    height = np.fft.ifft2(wave).real
    across = np.fft.ifft2(1j * fx * wave).real
    away = np.fft.ifft2(1j * fz * wave).real
    return np.stack([plane / plane.std() for plane in (height, across, away)], axis=-1).astype(np.float32)


def make_scene(weather: Weather, tile: np.ndarray, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Draw the surroundings of one photograph; `size` is (width, height) in pixels."""
    width, height = size
    horizon = (weather.look_down + rng.normal(0.0, 0.03)) * height
    rows = np.arange(height, dtype=np.float32)[:, None] + 0.5
    nearness = np.clip((rows - horizon) / (height - horizon), 1e-2, 1.0)  # (H, 1)
    waves = _sample(weather, tile, rng, size, nearness)  # (H, W, 3)
    water = _water_colour(weather, waves, nearness, rng)
    water = _haze(weather, water, nearness)
    top = min(height, max(0, math.ceil(horizon) + 1))  # rows that show some sky
    if top > 0:
        below = np.clip(rows[:top] - horizon, 0.0, 1.0)[..., None]  # (top, 1, 1)
        sky = _sky(weather, rng, (width, top), horizon, height)
        water[:top] = sky + below * (water[:top] - sky)
    return Scene(water, waves[..., 1:])


def _sample(
    weather: Weather, tile: np.ndarray, rng: np.random.Generator, size: tuple[int, int], nearness: np.ndarray
) -> np.ndarray:
    """Waves as the photograph sees them: height and slopes, (H, W, 3)."""
    width, height = size
    columns = np.arange(width, dtype=np.float32)[None, :] - width / 2
    zoom = math.exp(rng.uniform(-0.4, 0.4))
    flat = 1.0 / max(0.25, 1.0 - weather.look_down)  # the further below the horizon, the less foreshortened
    x = columns / nearness * (50 * zoom / width)
    z = np.broadcast_to(70 * zoom * (0.6 + 1.2 * flat) / nearness, (height, width))
    total = np.zeros((height, width, 3), np.float32)
    for scale, weight, fade in (
        (0.45, 0.7 * weather.swell, 0.02),
        (1.7, 0.25 + 0.5 * weather.chop, 0.10),
        (4.3, 0.18 + 0.32 * weather.chop, 0.22),
    ):
        start_x, start_z = rng.uniform(0, TILE), rng.uniform(0, TILE)
        layer: np.ndarray = cv2.remap(
            tile, x * scale + start_x, z * scale + start_z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        seen = nearness / (nearness + fade)  # far ripples are smaller than a pixel and average out
        layer *= (weight * seen)[..., None]
        total += layer
    return total


def _water_colour(weather: Weather, waves: np.ndarray, nearness: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Body colour, mirrored sky, glitter and whitecaps: (H, W, 3)."""
    height, across, away = cv2.split(waves)
    far = (1.0 - nearness)[..., None]  # (H, 1, 1)
    mirror = np.clip(0.30 + 0.32 * away + 0.35 * far[..., 0] ** 2, 0.0, 1.0)
    mirror = mirror * (1.0 + 0.12 * np.clip(height, -2, 2))
    sky_part = weather.mirror + 0.45 * far * (weather.horizon - weather.mirror)  # (H, 1, 3)
    colour = weather.deep + mirror[..., None] * (sky_part - weather.deep)
    columns = np.linspace(-1.0, 1.0, waves.shape[1], dtype=np.float32)[None, :]
    aim_x = 1.1 * (weather.sun_side - columns)
    aim_z = 0.4 + 1.5 * weather.sun_up + 0.9 * max(0.0, weather.sun_front)
    facing = np.exp(((across - aim_x) ** 2 + (away - aim_z) ** 2) * (-1 / 0.16))
    colour += facing[..., None] * (2.2 * weather.sun)
    if weather.chop > 0.35:
        limit = 2.55 - 1.0 * weather.chop + 0.1 * rng.normal()
        foam = np.clip((height + 0.35 * away - limit) * 2.0, 0.0, 1.0)[..., None]
        colour += 0.85 * foam * (0.55 * weather.sun + weather.ambient - colour)
    return colour


def _haze(weather: Weather, water: np.ndarray, nearness: np.ndarray) -> np.ndarray:
    air = np.clip((0.35 + 1.6 * weather.haze) * np.exp(-nearness * 14.0) + 0.5 * weather.haze, 0.0, 0.95)[..., None]
    water *= 1.0 - air
    water += air * weather.horizon
    return water


def _sky(
    weather: Weather, rng: np.random.Generator, size: tuple[int, int], horizon: float, photo_height: int
) -> np.ndarray:
    """Sky with clouds, and land in front of it, for the rows down to the horizon: (H, W, 3) of `size`."""
    width, height = size
    rows = np.arange(height, dtype=np.float32)[:, None] + 0.5  # (H, 1)
    up = np.clip((horizon - rows) / photo_height, 0.0, 1.0)[..., None]
    sky = weather.horizon + (weather.zenith - weather.horizon) * np.clip(up * 2.6, 0.0, 1.0)
    grid = rng.standard_normal((6, 6)).astype(np.float32)
    cloud = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    sky = sky + 0.16 * np.clip(cloud, 0.0, 1.5) * (0.5 * weather.sun + weather.ambient - 0.5 * sky)
    if weather.coast > 0:
        ridge = horizon - photo_height * _ridge(weather, int(rng.integers(0, width)), width)
        land = np.clip(rows - ridge[None, :], 0.0, 1.0)[..., None]
        sky += land * (0.45 * weather.horizon + 0.10 * weather.zenith - sky)
    return sky


def _ridge(weather: Weather, start: int, width: int) -> np.ndarray:
    """Height of the encounter's coast from column `start` on, as a share of the photo's height: (width,)."""
    shore = stream(weather.seed, "coast", weather.encounter)
    outline = np.zeros(2 * width, np.float32)
    for bumps, weight in ((5, 1.0), (13, 0.5), (37, 0.22), (90, 0.1)):
        grid = shore.standard_normal((1, bumps)).astype(np.float32)
        outline += weight * cv2.resize(grid, (2 * width, 1), interpolation=cv2.INTER_CUBIC)[0]
    return weather.coast * np.clip(0.45 + 0.5 * outline[start : start + width], 0.0, 2.0)
