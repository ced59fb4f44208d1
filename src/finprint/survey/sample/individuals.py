"""What tells one animal from another, in the animal's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finprint.survey.sample.seeds import stream
from finprint.survey.sample.species import Species

LEFT, RIGHT = 0, 1


@dataclass(frozen=True)
class Nick:
    """A notch in the fin's trailing edge; it goes through the fin, so both sides show it."""

    at: float  # place along the trailing edge: 0 at the tip, 1 at the base (a fluke: 0 left, 1 right)
    depth: float  # units
    width: float  # units
    slant: float  # radians between the notch and the edge's inward normal


@dataclass(frozen=True)
class Patch:
    """A ragged blotch of another tone, e.g. a lesion or a birth mark."""

    u: float
    v: float
    length: float
    height: float
    angle: float  # radians
    tone: float  # albedo, 0..1
    sides: tuple[int, ...]  # flanks that show it


@dataclass(frozen=True)
class Scar:
    """Parallel scratches, e.g. the rake marks of another animal's teeth."""

    u: float
    v: float
    length: float
    angle: float  # radians
    lines: int
    gap: float  # units between lines
    bend: float  # how far the middle bulges, as a share of the length
    tone: float  # albedo, 0..1
    sides: tuple[int, ...]


@dataclass(frozen=True)
class Individual:
    """One animal: the deviations from its species' build, and the marks that life has left on it."""

    species: Species
    number: int  # its place in the survey; not shown to anyone
    seed: int
    fin_base: float
    fin_height: float
    fin_rake: float
    fin_hollow: float
    cut_tip: float  # share of the fin's height that is missing
    tone: float  # factor on the albedo
    pattern: tuple[float, ...]  # eight numbers, about N(0, 1), that shape the species' pattern on both flanks
    asymmetry: tuple[float, ...]  # eight more: how the right flank's pattern deviates from the left's
    nicks: tuple[Nick, ...]
    patches: tuple[Patch, ...]
    scars: tuple[Scar, ...]


def make_individual(seed: int, number: int, species: Species) -> Individual:
    """The animal with this number: a function of its arguments only."""
    rng = stream(seed, "individual", number)
    fluke = species.is_fluke
    return Individual(
        species=species,
        number=number,
        seed=seed,
        fin_base=species.fin_base * _spread(rng, 0.03 if fluke else 0.15),
        fin_height=species.fin_height * _spread(rng, 0.18 if fluke else 0.22),
        fin_rake=species.fin_rake + (0.0 if fluke else rng.normal(0.0, 0.20)),
        fin_hollow=species.fin_hollow + rng.normal(0.0, 0.04 if fluke else 0.11),
        cut_tip=float(rng.uniform(0.12, 0.3)) if not fluke and rng.random() < 0.15 else 0.0,
        tone=_spread(rng, 0.10),
        pattern=tuple(rng.normal(0.0, 1.0, 8).tolist()),
        asymmetry=tuple(rng.normal(0.0, 1.0, 8).tolist()),
        nicks=_make_nicks(rng, species),
        patches=_make_patches(rng, species),
        scars=_make_scars(rng, species),
    )


def flank_pattern(individual: Individual, side: int) -> np.ndarray:
    """The eight pattern numbers of one flank: (8,). The flanks are alike but not the same."""
    shift = 0.15 * np.array(individual.asymmetry) if side == RIGHT else 0.0
    return np.clip(np.array(individual.pattern) + shift, -2.2, 2.2)


def _spread(rng: np.random.Generator, sigma: float) -> float:
    """A factor around 1, within two and a half sigma."""
    return float(np.exp(np.clip(rng.normal(0.0, sigma), -2.0 * sigma, 2.0 * sigma)))


def _make_nicks(rng: np.random.Generator, species: Species) -> tuple[Nick, ...]:
    count = int(rng.choice([0, 1, 2, 3, 4], p=[0.06, 0.22, 0.32, 0.25, 0.15]))
    places = (rng.permutation(6)[:count] + rng.uniform(0.15, 0.85, count)) / 6.0  # never two on one spot
    size = 0.26 if species.is_fluke else 0.30 * species.fin_height**0.5
    return tuple(
        Nick(
            at=float(0.12 + 0.80 * place),
            depth=float(size * rng.uniform(0.25, 0.85)),
            width=float(size * rng.uniform(0.2, 0.5)),
            slant=float(rng.normal(0.0, 0.3)),
        )
        for place in np.sort(places)
    )


def _make_sides(rng: np.random.Generator) -> tuple[int, ...]:
    """Most marks of the skin sit on one flank only; big ones reach over the back."""
    return ((LEFT, RIGHT), (LEFT,), (RIGHT,))[int(rng.choice(3, p=[0.8, 0.1, 0.1]))]


def _make_spot(rng: np.random.Generator, species: Species) -> tuple[float, float]:
    """A place on the part of the animal that is above water: (u, v)."""
    if species.is_fluke:
        return float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.3, 0.7))
    if rng.random() < 0.35:  # on the fin
        return species.fin_at + float(rng.normal(0.0, 0.15)), species.fin_height * float(rng.uniform(0.1, 0.6))
    return float(rng.uniform(-0.36, 0.36)) * species.length, float(rng.uniform(-0.26, -0.05))


def _make_patches(rng: np.random.Generator, species: Species) -> tuple[Patch, ...]:
    patches = []
    for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.1, 0.35, 0.35, 0.2]))):
        u, v = _make_spot(rng, species)
        length = float(rng.uniform(0.14, 0.36))
        patches.append(
            Patch(
                u=u,
                v=v,
                length=length,
                height=length * float(rng.uniform(0.4, 0.9)),
                angle=float(rng.uniform(-0.7, 0.7)),
                tone=float(rng.choice([0.85, 0.7, 0.5, 0.12], p=[0.4, 0.25, 0.15, 0.2])),
                sides=_make_sides(rng),
            )
        )
    return tuple(patches)


def _make_scars(rng: np.random.Generator, species: Species) -> tuple[Scar, ...]:
    scars = []
    for _ in range(int(rng.integers(1, 5))):
        u, v = _make_spot(rng, species)
        scars.append(
            Scar(
                u=u,
                v=v,
                length=float(rng.uniform(0.2, 0.7)),
                angle=float(rng.normal(0.0, 0.7)),
                lines=int(rng.choice([1, 2, 3, 4], p=[0.4, 0.2, 0.25, 0.15])),
                gap=float(rng.uniform(0.035, 0.06)),
                bend=float(rng.normal(0.0, 0.35)),
                tone=float(rng.uniform(0.55, 0.85)),
                sides=_make_sides(rng),
            )
        )
    return tuple(scars)
