"""The day on which animals are met: sea state, light and air, shared by an encounter's photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finprint.survey.sample.seeds import stream
from finprint.survey.sample.species import Rgb


@dataclass(frozen=True)
class Palette:
    """Linear colours of one kind of day."""

    name: str
    deep: Rgb  # looking down into the water
    mirror: Rgb  # what the water's slopes reflect
    zenith: Rgb
    horizon: Rgb
    sun: Rgb  # colour and strength of direct light
    ambient: Rgb  # colour and strength of the sky's light


PALETTES: tuple[Palette, ...] = (
    Palette(
        "blue",
        (0.012, 0.06, 0.12),
        (0.20, 0.36, 0.52),
        (0.13, 0.30, 0.60),
        (0.50, 0.65, 0.80),
        (1.25, 1.18, 1.02),
        (0.30, 0.38, 0.48),
    ),
    Palette(
        "green",
        (0.02, 0.085, 0.075),
        (0.26, 0.38, 0.36),
        (0.30, 0.44, 0.55),
        (0.62, 0.68, 0.68),
        (0.95, 0.92, 0.80),
        (0.36, 0.42, 0.42),
    ),
    Palette(
        "overcast",
        (0.055, 0.075, 0.085),
        (0.42, 0.46, 0.50),
        (0.50, 0.54, 0.58),
        (0.68, 0.70, 0.72),
        (0.18, 0.18, 0.18),
        (0.72, 0.74, 0.78),
    ),
    Palette(
        "dusk",
        (0.030, 0.034, 0.050),
        (0.42, 0.28, 0.22),
        (0.26, 0.27, 0.40),
        (0.90, 0.54, 0.32),
        (1.20, 0.78, 0.44),
        (0.28, 0.26, 0.33),
    ),
    Palette(
        "fog",
        (0.16, 0.18, 0.19),
        (0.52, 0.54, 0.55),
        (0.64, 0.65, 0.66),
        (0.70, 0.71, 0.72),
        (0.12, 0.12, 0.12),
        (0.70, 0.71, 0.72),
    ),
    Palette(
        "turquoise",
        (0.015, 0.14, 0.17),
        (0.22, 0.46, 0.52),
        (0.18, 0.38, 0.66),
        (0.60, 0.74, 0.82),
        (1.30, 1.22, 1.05),
        (0.32, 0.42, 0.46),
    ),
    Palette(
        "storm",
        (0.030, 0.045, 0.052),
        (0.30, 0.34, 0.37),
        (0.24, 0.26, 0.29),
        (0.42, 0.44, 0.46),
        (0.28, 0.28, 0.27),
        (0.58, 0.61, 0.64),
    ),
)


@dataclass(frozen=True)
class Weather:
    """One encounter's conditions."""

    seed: int
    encounter: int  # the encounter's number: what the wave tile is drawn from
    deep: np.ndarray  # (3,) float32, like the five below: linear colours
    mirror: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    sun: np.ndarray
    ambient: np.ndarray
    sun_side: float  # -1 far left ... 1 far right
    sun_up: float  # 0 at the horizon ... 1 overhead
    sun_front: float  # 1 behind the photographer ... -1 behind the animal
    haze: float  # 0 clear ... 1
    chop: float  # height of small waves, 0 glassy ... 1 whitecaps
    swell: float  # height of long waves, 0 ... 1
    heading: float  # radians: where the waves run
    coast: float  # height of distant land as a share of the photo's height, 0 for open sea
    look_down: float  # where the horizon is: share of the photo's height from its top, negative when above it
    gain: float  # the camera's exposure that day
    tint: np.ndarray  # (3,) float32: white balance
    vivid: float  # saturation of the camera's colours, 1 as they are
    veil: float  # stray light in the lens, as a share of the horizon's
    contrast: float  # exponent of the tone curve, 1 as it is
    grain: float  # sensor noise at full light


def make_weather(seed: int, encounter: int) -> Weather:
    """The conditions of the encounter with this number: a function of its arguments only."""
    rng = stream(seed, "weather", encounter)
    palette = PALETTES[int(rng.choice(len(PALETTES), p=[0.22, 0.16, 0.17, 0.13, 0.09, 0.13, 0.10]))]
    tint = np.exp(rng.normal(0.0, 0.30) * np.array([1.0, 0.0, -1.0]) + rng.normal(0.0, 0.025, 3))

    def shade(colour: Rgb, hue: float = 0.10) -> np.ndarray:
        warmth = rng.normal(0.0, hue) * np.array([1.0, 0.0, -1.0])  # rather than green or magenta
        jitter = np.exp(warmth + rng.normal(0.0, 0.3 * hue, 3) + rng.normal(0.0, 0.12))
        return (np.array(colour) * jitter).astype(np.float32)

    return Weather(
        seed=seed,
        encounter=encounter,
        deep=shade(palette.deep),
        mirror=shade(palette.mirror),
        zenith=shade(palette.zenith),
        horizon=shade(palette.horizon),
        sun=shade(palette.sun, 0.04),
        ambient=shade(palette.ambient, 0.04),
        sun_side=float(rng.uniform(-1.0, 1.0)),
        sun_up=float(rng.uniform(0.1, 0.3) if palette.name == "dusk" else rng.uniform(0.25, 0.9)),
        sun_front=float(rng.uniform(-0.5, 1.0)),
        haze=float(rng.uniform(0.2, 0.45) if palette.name == "fog" else rng.beta(1.2, 5.0) * 0.5),
        chop=float(rng.beta(1.6, 2.2)),
        swell=float(rng.beta(1.6, 2.2)),
        heading=float(rng.uniform(-0.9, 0.9)),
        coast=float(rng.uniform(0.02, 0.12)) if rng.random() < 0.45 else 0.0,
        look_down=float(rng.uniform(0.03, 0.28) if rng.random() < 0.45 else rng.uniform(-1.6, -0.05)),
        gain=float(np.exp(rng.normal(0.0, 0.28))),
        tint=(tint / tint.mean()).astype(np.float32),
        vivid=float(rng.uniform(0.2, 1.3)),
        veil=float(0.25 * rng.beta(1.0, 3.0)),
        contrast=float(np.exp(np.clip(rng.normal(0.0, 0.18), -0.35, 0.35))),
        grain=float(np.exp(np.clip(rng.normal(-4.0, 0.7), -5.5, -2.9))),
    )
