"""Paints one flank of an animal: colours, marks, cover and surface, on its own canvas."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from finprint.survey.sample.individuals import Individual, Patch, Scar, flank_pattern
from finprint.survey.sample.seeds import stream
from finprint.survey.sample.shapes import (
    DENSITY,
    HEIGHT,
    U_MIN,
    V_MAX,
    WIDTH,
    back_height,
    canvas_grid,
    fill_body,
    fill_fin,
)

SOFT = 0.03  # half width of the edge between two tones, in units


@dataclass(frozen=True)
class Flank:
    """One side of an animal, head to the left whichever side it is."""

    colour: np.ndarray  # (HEIGHT, WIDTH, 3) float32: albedo
    cover: np.ndarray  # (HEIGHT, WIDTH) float32: the animal's share of a pixel
    fin: np.ndarray  # (HEIGHT, WIDTH) float32: the fin's share of a pixel
    normal: np.ndarray  # (HEIGHT, WIDTH, 2) float32: u and v of the surface normal


@dataclass(frozen=True)
class Canvas:
    """The places a painter works on."""

    u: np.ndarray  # (HEIGHT, WIDTH)
    v: np.ndarray  # (HEIGHT, WIDTH)
    depth: np.ndarray  # (HEIGHT, WIDTH): how far below the outline of the back, negative on the fin
    fin: np.ndarray  # (HEIGHT, WIDTH): the fin's cover
    shape: np.ndarray  # (8,): the flank's pattern numbers
    ragged: np.ndarray  # (HEIGHT, WIDTH): this flank's smooth noise, about N(0, 1)


def paint_flank(individual: Individual, side: int) -> Flank:
    """The picture of one flank: the same for every photograph of it."""
    u, v = canvas_grid()
    body, fin = fill_body(individual), fill_fin(individual)
    depth = (back_height(individual, u[0])[None, :] - v).astype(np.float32)
    canvas = Canvas(u, v, depth, fin, flank_pattern(individual, side), flank_noise(individual, side, 0.16))
    pale = PAINTERS[individual.species.pattern](individual, side, canvas)[..., None]  # (HEIGHT, WIDTH, 1)
    dark_rgb = np.array(individual.species.dark, np.float32) * individual.tone
    colour = dark_rgb + (np.array(individual.species.pale, np.float32) - dark_rgb) * pale.astype(np.float32)
    colour *= 1.0 + 0.025 * flank_noise(individual, side, 0.04)[..., None]
    for patch in individual.patches:
        if side in patch.sides:
            _blend(colour, _patch_mask(patch, canvas), patch.tone)
    for scar in individual.scars:
        if side in scar.sides:
            _blend(colour, _scar_mask(scar), scar.tone)
    return Flank(
        colour=np.clip(colour, 0.0, 1.0).astype(np.float32),
        cover=np.maximum(body, fin),
        fin=fin,
        normal=_normals(body, fin),
    )


def flank_noise(individual: Individual, side: int, cell: float) -> np.ndarray:
    """Smooth noise fixed to the skin, about N(0, 1): (HEIGHT, WIDTH). The flanks share most of it."""
    both = _noise(stream(individual.seed, "skin", individual.number, 2, int(1000 * cell)), cell)
    own = _noise(stream(individual.seed, "skin", individual.number, side, int(1000 * cell)), cell)
    return 0.95 * both + 0.31 * own


def _noise(rng: np.random.Generator, cell: float) -> np.ndarray:
    """Smooth noise with bumps of about `cell` units: (HEIGHT, WIDTH) float32."""
    grid = rng.standard_normal((int(2.3 / cell) + 4, int(4.0 / cell) + 4), dtype=np.float32)
    return 1.5 * cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _step(x: np.ndarray, soft: float = SOFT) -> np.ndarray:
    """0 below zero, 1 above, with an edge of width 2 `soft`."""
    t = np.clip(x / (2 * soft) + 0.5, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _oval(canvas: Canvas, u: float, v: float, length: float, height: float, angle: float) -> np.ndarray:
    """Signed distance-like field of a tilted ellipse, positive inside: (HEIGHT, WIDTH)."""
    cos, sin = np.cos(angle), np.sin(angle)
    along = (canvas.u - u) * cos + (canvas.v - v) * sin
    across = (canvas.v - v) * cos - (canvas.u - u) * sin
    return (1.0 - np.sqrt((along / length) ** 2 + (across / height) ** 2)) * min(length, height)


def _cape(individual: Individual, side: int, canvas: Canvas) -> np.ndarray:
    """A dark cape over pale flanks; its lower edge swings differently on every animal."""
    s = canvas.shape
    edge = 0.17 + 0.05 * s[0] + 0.10 * np.sin(2.6 * canvas.u + 1.8 * s[1]) + 0.09 * s[2] * canvas.u
    blaze = _oval(canvas, 0.35 + 0.3 * s[3], -0.13, 0.40 + 0.12 * s[4], 0.09 + 0.04 * abs(s[5]), 0.2 + 0.25 * s[6])
    flank = _step(canvas.depth - edge + 0.03 * canvas.ragged, 0.05)
    return np.maximum(0.7 * flank, 0.95 * _step(blaze + 0.02 * canvas.ragged))


def _saddle(individual: Individual, side: int, canvas: Canvas) -> np.ndarray:
    """A grey saddle behind the fin and a white patch behind the eye, both of the animal's own form."""
    s = canvas.shape
    saddle = _oval(
        canvas,
        0.54 + 0.12 * s[0],
        -0.06 + 0.02 * s[1],
        0.40 + 0.12 * s[2],
        0.17 + 0.04 * s[3],
        -0.15 + 0.2 * s[4],
    )
    bite = _oval(canvas, 0.45 + 0.2 * s[5], -0.12 + 0.05 * s[6], 0.16 + 0.05 * s[7], 0.07, 0.5 * s[5])
    body = 1.0 - canvas.fin * _step(0.02 - canvas.depth)
    grey = 0.72 * _step(np.minimum(saddle, -bite) + 0.018 * canvas.ragged) * body
    eye = _oval(
        canvas,
        -1.08 + 0.05 * s[5],
        -0.24 + 0.02 * s[6],
        0.21 + 0.05 * s[7],
        0.075 + 0.02 * s[3],
        -0.3 + 0.2 * s[1],
    )
    return np.maximum(grey, _step(eye, 0.02))


def _mottle(individual: Individual, side: int, canvas: Canvas) -> np.ndarray:
    """Pale blotches all over; which ones lie where is the animal's own."""
    s = canvas.shape
    blotches = flank_noise(individual, side, 0.44) + 0.25 * flank_noise(individual, side, 0.15)
    trend = 0.35 * s[0] * canvas.u + 0.4 * s[1]
    return 0.1 + 0.85 * _step(blotches - 0.35 + trend, 0.25)


def _bands(individual: Individual, side: int, canvas: Canvas) -> np.ndarray:
    """White between a black head and a black tail, with the fin's black spilling onto the back."""
    s = canvas.shape
    head = canvas.u + 0.72 + 0.16 * s[0] + (0.25 + 0.3 * s[1]) * canvas.depth
    spill = (
        canvas.depth
        - 0.05
        - 0.05 * abs(s[2])
        - (0.16 + 0.07 * s[7]) * _bump(canvas.u, 0.1 + 0.35 * s[3], 0.25 + 0.08 * s[4])
    )
    tail = 0.62 + 0.16 * s[5] - canvas.u + (0.3 + 0.35 * s[6]) * canvas.depth
    white = np.minimum(np.minimum(head, spill), tail)
    return 0.95 * _step(white + 0.022 * canvas.ragged)


def _fluke(individual: Individual, side: int, canvas: Canvas) -> np.ndarray:
    """The underside of a fluke: white fields on black, from nearly all black to nearly all white."""
    s = canvas.shape
    lobes = flank_noise(individual, side, 0.4) + 0.45 * flank_noise(individual, side, 0.15)
    lobes = 0.7 * lobes + 0.5 * lobes[:, ::-1]  # left and right are alike
    reach = 0.6 * s[0] + 1.1 * (np.abs(canvas.u) - 0.5) * (0.5 + s[1]) + 0.4 * s[2] * canvas.u
    inside = cv2.distanceTransform((canvas.fin > 0.5).astype(np.uint8), cv2.DIST_L2, 5) / DENSITY
    rim = 2.5 * np.clip(1.0 - inside / 0.07, 0.0, 1.0)  # the edges are dark
    return 0.95 * _step(lobes + reach - rim, 0.2) * canvas.fin


def _bump(x: np.ndarray, centre: float, width: float) -> np.ndarray:
    return np.exp(-(((x - centre) / width) ** 2))


PAINTERS = {"cape": _cape, "saddle": _saddle, "mottle": _mottle, "bands": _bands, "fluke": _fluke}


def _blend(colour: np.ndarray, mask: np.ndarray, tone: float) -> None:
    """Draw `colour` (HEIGHT, WIDTH, 3) towards a grey `tone` where `mask` (HEIGHT, WIDTH) says so."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        colour[window] += mask[window][..., None] * (tone - colour[window])


def _patch_mask(patch: Patch, canvas: Canvas) -> np.ndarray:
    field = _oval(canvas, patch.u, patch.v, patch.length, patch.height, patch.angle)
    return 0.9 * _step(field + 0.25 * patch.height * canvas.ragged)


def _scar_mask(scar: Scar) -> np.ndarray:
    """Where the scratches are: (HEIGHT, WIDTH) float32 in 0..1. They bend a little and fade out at their ends."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    along = np.array([np.cos(scar.angle), np.sin(scar.angle)])
    across = np.array([-along[1], along[0]])
    t = np.linspace(-0.5, 0.5, 13)[:, None]
    for line in range(scar.lines):
        sideways = (line - (scar.lines - 1) / 2) * scar.gap + scar.bend * scar.length * (t * t - 0.1)
        path = np.array([scar.u, scar.v]) + scar.length * t * along + sideways * across  # (13, 2) units
        pixels = np.round((path - [U_MIN, V_MAX]) * [DENSITY, -DENSITY] * 16).astype(int)
        for step in range(12):
            strength = 255 * (1.0 - (abs(step - 5.5) / 6.5) ** 3)
            wide = 3 if 2 < step < 9 else 2
            cv2.line(mask, pixels[step].tolist(), pixels[step + 1].tolist(), strength, wide, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), 0.8).astype(np.float32) / 255.0 * 0.9


def _normals(body: np.ndarray, fin: np.ndarray) -> np.ndarray:
    """u (sideways) and v (upward) of the surface normal: (HEIGHT, WIDTH, 2). A body is round, a fin nearly flat."""
    round_body = _slope(_inflate(np.maximum(body, fin), 60))  # no rim where the fin grows out of the back
    flat_fin = 0.6 * _slope(_inflate(fin, 16))
    on_fin = (fin * (1.0 - body))[..., None]
    return cv2.GaussianBlur(round_body * (1 - on_fin) + flat_fin * on_fin, (0, 0), 2.0)


def _inflate(mask: np.ndarray, radius: int) -> np.ndarray:
    """The height, in pixels, of a mask blown up so that its rim is a quarter circle of `radius` pixels."""
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rim = np.clip(1.0 - inside / radius, 0.0, 1.0)
    return cv2.GaussianBlur(radius * np.sqrt(1.0 - rim * rim), (0, 0), 2.0)


def _slope(height: np.ndarray) -> np.ndarray:
    """u and v of the unit normal of a height field: (HEIGHT, WIDTH, 2)."""
    du = -cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8.0
    dv = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8.0
    scale = 1.0 / np.sqrt(1.0 + du * du + dv * dv)
    return np.stack([du * scale, dv * scale], axis=-1)
