"""Outlines of back, dorsal fin and fluke, and the masks they fill on an animal's canvas."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import PchipInterpolator

from finprint.survey.sample.individuals import Individual, Nick

U_MIN, U_MAX = -2.0, 2.0  # the canvas in units
V_MIN, V_MAX = -0.95, 1.35
DENSITY = 150  # canvas pixels per unit: about what the closest photographs need
WIDTH, HEIGHT = int((U_MAX - U_MIN) * DENSITY), int((V_MAX - V_MIN) * DENSITY)
_FINE = 2  # masks are filled at twice the density, then averaged, for smooth edges


def canvas_grid() -> tuple[np.ndarray, np.ndarray]:
    """The (u, v) of every canvas pixel's centre: two (HEIGHT, WIDTH) float32."""
    u = U_MIN + (np.arange(WIDTH, dtype=np.float32) + 0.5) / DENSITY
    v = V_MAX - (np.arange(HEIGHT, dtype=np.float32) + 0.5) / DENSITY
    grid_u, grid_v = np.meshgrid(u, v)
    return grid_u, grid_v


def back_height(individual: Individual, u: np.ndarray) -> np.ndarray:
    """The height v of the back's outline at every u, same shape as u; far below water beyond its ends."""
    points = np.array(individual.species.back)
    height = PchipInterpolator(points[:, 0], points[:, 1])(np.clip(u, points[0, 0], points[-1, 0]))
    inside = (u >= points[0, 0]) & (u <= points[-1, 0])
    return np.where(inside, height, V_MIN - 1.0)


def fill_body(individual: Individual) -> np.ndarray:
    """How much of each canvas pixel the body without its fin covers: (HEIGHT, WIDTH) float32 in 0..1."""
    u = np.linspace(U_MIN, U_MAX, 400)
    top = np.stack([u, back_height(individual, u)], axis=1)
    outline = np.concatenate([top, [[U_MAX, V_MIN - 1.0], [U_MIN, V_MIN - 1.0]]])
    return _average(_fill(outline))


def fill_fin(individual: Individual) -> np.ndarray:
    """How much of each canvas pixel the dorsal fin (or fluke) covers: (HEIGHT, WIDTH) float32 in 0..1."""
    outline, trailing = _fluke(individual) if individual.species.is_fluke else _dorsal(individual)
    mask = _round_off(_fill(outline), individual.species.fin_round)
    if individual.cut_tip > 0:
        base = float(back_height(individual, np.array(individual.species.fin_at)))
        top = base + individual.fin_height * (1.0 - individual.cut_tip)
        mask[: int((V_MAX - top) * DENSITY * _FINE)] = 0
    for nick in individual.nicks:
        cv2.fillPoly(mask, [_to_pixels(_notch(mask, trailing, nick, individual.species.is_fluke))], 0)
    return _average(_largest_part(mask))


def _dorsal(individual: Individual) -> tuple[np.ndarray, np.ndarray]:
    """Outline of a dorsal fin (N, 2) and its trailing edge from tip to base (M, 2)."""
    at, base = individual.species.fin_at, individual.fin_base
    ends = np.array([at - base / 2, at + base / 2])
    front_v, rear_v = back_height(individual, ends) - 0.02
    tip = np.array([at + individual.fin_rake * base, front_v + individual.fin_height])
    front, rear = np.array([ends[0], front_v]), np.array([ends[1], rear_v])
    bulge = np.array([-0.16, 0.24]) * base
    leading = _curve(front, (front + tip) / 2 + bulge, tip)
    hollow = np.array([-individual.fin_hollow * 2.0, -individual.fin_hollow]) * base
    trailing = _curve(tip, (tip + rear) / 2 + hollow, rear)
    sunk = np.array([[rear[0], rear_v - 0.08], [front[0], front_v - 0.08]])  # its root is inside the body
    return np.concatenate([leading, trailing[1:], sunk]), trailing


def _fluke(individual: Individual) -> tuple[np.ndarray, np.ndarray]:
    """Outline of a fluke seen from behind (N, 2) and its trailing edge from left to right (M, 2)."""
    half, height = individual.fin_base / 2, individual.fin_height
    sweep = 0.10 * individual.pattern[6]  # whether the tips hang or rise
    tip = np.array([half, 0.42 + height * 0.55 + sweep])
    centre = np.array([0.0, 0.28 + height * 0.55])
    lobe = np.array([half * 0.45, centre[1] + height * (0.42 + individual.fin_hollow)])
    rear = _curve(centre, lobe, tip)
    front = _curve(tip, np.array([half * 0.55, 0.20]), np.array([0.08, 0.02]))
    mirror = np.array([-1.0, 1.0])
    trailing = np.concatenate([rear[::-1] * mirror, rear[1:]])
    return np.concatenate([trailing, front[1:], front[::-1] * mirror]), trailing


def _curve(start: np.ndarray, control: np.ndarray, end: np.ndarray) -> np.ndarray:
    """A quadratic Bezier curve: (40, 2)."""
    t = np.linspace(0.0, 1.0, 40)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end


def _notch(mask: np.ndarray, trailing: np.ndarray, nick: Nick, is_fluke: bool) -> np.ndarray:
    """The wedge a nick takes out of the fin in `mask`, with a blunt inner end: (6, 2) in units."""
    steps = np.linalg.norm(np.diff(trailing, axis=0), axis=1)
    walk = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum()
    place = np.array([np.interp(nick.at, walk, trailing[:, axis]) for axis in (0, 1)])
    ahead = np.array([np.interp(min(nick.at + 0.04, 1.0), walk, trailing[:, axis]) for axis in (0, 1)])
    along = (ahead - place) / np.linalg.norm(ahead - place)
    inward = np.array([along[1], -along[0]])  # to the right of the direction of travel lies the fin
    cos, sin = np.cos(nick.slant), np.sin(nick.slant)
    into = cos * inward + sin * along
    outer = place - 0.25 * into
    column, row = np.clip(_to_pixels(place[None])[0], 0, np.array(mask.shape[::-1]) - 1)
    chord = np.count_nonzero(mask[:, column] if is_fluke else mask[row]) / (DENSITY * _FINE)
    deep = place + min(nick.depth, 0.6 * chord) * into  # it may not sever the fin
    return np.array(
        [
            outer - nick.width * along,
            place - 0.5 * nick.width * along,
            deep - 0.18 * nick.width * along,
            deep + 0.18 * nick.width * along,
            place + 0.5 * nick.width * along,
            outer + nick.width * along,
        ]
    )


def _round_off(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask with its convex corners rounded to `radius` units."""
    reach = radius * DENSITY * _FINE
    core = cv2.distanceTransform(mask, cv2.DIST_L2, 5) > reach
    return np.where(cv2.distanceTransform(255 * (~core).astype(np.uint8), cv2.DIST_L2, 5) < reach, mask, 0)


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """The mask without crumbs that two close nicks may have cut off."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count <= 2:
        return mask
    return np.where(labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]), mask, 0).astype(np.uint8)


def _to_pixels(outline: np.ndarray) -> np.ndarray:
    """Units to fine canvas pixels: (N, 2) int32."""
    pixels = (outline - [U_MIN, V_MAX]) * [DENSITY, -DENSITY] * _FINE - 0.5
    return np.round(pixels).astype(np.int32)


def _fill(outline: np.ndarray) -> np.ndarray:
    mask = np.zeros((HEIGHT * _FINE, WIDTH * _FINE), np.uint8)
    cv2.fillPoly(mask, [_to_pixels(outline)], 255)
    return mask


def _average(mask: np.ndarray) -> np.ndarray:
    small = cv2.resize(mask, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255.0
