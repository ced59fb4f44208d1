"""The five kinds of animal in the pod: how each is built and coloured.

Lengths are in *animal units*: the origin lies on the back below the dorsal fin's middle, `u` runs from the head
(negative) to the tail (positive), `v` points up, and one unit is roughly a quarter of a dolphin's length.
"""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Species:
    """The common build of a species; an individual deviates from it (see `individuals.py`)."""

    name: str  # as Happywhale spells it
    is_fluke: bool  # photographed by its fluke as it dives, not by its dorsal fin
    pattern: str  # which painter of `skin.py` colours it
    back: tuple[Point, ...]  # upper outline, (u, v), head to tail; it ends below the water on both sides
    immersion: tuple[float, float]  # range of the water's height v on the animal
    length: float  # length of the part above water, in units: what the camera frames
    fin_at: float  # u of the fin's middle
    fin_base: float
    fin_height: float
    fin_rake: float  # how far the tip lies behind the middle of the base, in base lengths
    fin_hollow: float  # depth of the trailing edge's curve, in base lengths (falcate > 0)
    fin_round: float  # radius of the tip
    dark: Rgb  # albedo of back and fin, 0..1
    pale: Rgb  # albedo of flanks and patches, 0..1
    abundance: float  # relative number of individuals
    stranger_share: float  # share of its test photographs that show animals nobody knows


SPECIES: tuple[Species, ...] = (
    Species(
        name="bottlenose_dolphin",
        is_fluke=False,
        pattern="cape",
        back=(
            (-1.6, -0.95),
            (-1.3, -0.55),
            (-0.8, -0.18),
            (-0.25, 0.0),
            (0.3, 0.0),
            (0.85, -0.16),
            (1.3, -0.46),
            (1.7, -0.95),
        ),
        immersion=(-0.36, -0.20),
        length=2.0,
        fin_at=0.0,
        fin_base=0.76,
        fin_height=0.68,
        fin_rake=0.55,
        fin_hollow=0.26,
        fin_round=0.035,
        dark=(0.10, 0.11, 0.125),
        pale=(0.33, 0.335, 0.34),
        abundance=1.3,
        stranger_share=0.09,
    ),
    Species(
        name="killer_whale",
        is_fluke=False,
        pattern="saddle",
        back=(
            (-1.85, -0.95),
            (-1.62, -0.45),
            (-1.25, -0.17),
            (-0.7, -0.02),
            (0.0, 0.04),
            (0.6, 0.0),
            (1.1, -0.17),
            (1.5, -0.48),
            (1.8, -0.95),
        ),
        immersion=(-0.42, -0.28),
        length=2.9,
        fin_at=0.0,
        fin_base=0.66,
        fin_height=1.0,
        fin_rake=0.30,
        fin_hollow=0.12,
        fin_round=0.045,
        dark=(0.045, 0.048, 0.055),
        pale=(0.88, 0.88, 0.86),
        abundance=1.1,
        stranger_share=0.04,
    ),
    Species(
        name="humpback_whale",
        is_fluke=True,
        pattern="fluke",
        back=(
            (-0.34, -0.95),
            (-0.22, -0.5),
            (-0.13, 0.0),
            (-0.1, 0.28),
            (0.1, 0.28),
            (0.13, 0.0),
            (0.22, -0.5),
            (0.34, -0.95),
        ),
        immersion=(-0.45, -0.12),
        length=2.3,
        fin_at=0.0,
        fin_base=2.3,
        fin_height=0.62,
        fin_rake=0.0,
        fin_hollow=0.16,
        fin_round=0.03,
        dark=(0.06, 0.065, 0.075),
        pale=(0.88, 0.89, 0.88),
        abundance=1.2,
        stranger_share=0.18,
    ),
    Species(
        name="blue_whale",
        is_fluke=False,
        pattern="mottle",
        back=(
            (-1.9, -0.85),
            (-1.5, -0.36),
            (-0.9, -0.09),
            (-0.2, 0.02),
            (0.4, 0.0),
            (0.95, -0.14),
            (1.4, -0.4),
            (1.8, -0.85),
        ),
        immersion=(-0.42, -0.28),
        length=2.7,
        fin_at=0.45,
        fin_base=0.66,
        fin_height=0.42,
        fin_rake=0.55,
        fin_hollow=0.28,
        fin_round=0.03,
        dark=(0.09, 0.125, 0.165),
        pale=(0.46, 0.52, 0.58),
        abundance=0.9,
        stranger_share=0.40,
    ),
    Species(
        name="commersons_dolphin",
        is_fluke=False,
        pattern="bands",
        back=(
            (-1.55, -0.95),
            (-1.25, -0.5),
            (-0.8, -0.15),
            (-0.2, 0.02),
            (0.3, 0.0),
            (0.8, -0.18),
            (1.2, -0.5),
            (1.5, -0.95),
        ),
        immersion=(-0.46, -0.30),
        length=2.1,
        fin_at=0.1,
        fin_base=0.78,
        fin_height=0.52,
        fin_rake=0.36,
        fin_hollow=0.02,
        fin_round=0.14,
        dark=(0.06, 0.06, 0.065),
        pale=(0.86, 0.86, 0.84),
        abundance=0.8,
        stranger_share=0.14,
    ),
)
