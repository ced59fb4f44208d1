"""Who is met when: animals, encounters and photographs of a survey, before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finprint.survey.sample.individuals import LEFT, RIGHT
from finprint.survey.sample.seeds import stream
from finprint.survey.sample.species import SPECIES

SINGLETON_SHARE = 0.15  # of the catalogued animals have just one photograph
TRAIN_ENCOUNTER, TEST_ENCOUNTER = 7.0, 6.0  # photographs per encounter, on average


@dataclass(frozen=True)
class Shot:
    """One photograph to take."""

    number: int
    image: str  # file name
    individual: int
    encounter: int
    side: int
    test: bool
    boxed: bool


@dataclass(frozen=True)
class Survey:
    """All of a survey; animals and encounters go by their numbers."""

    species: tuple[int, ...]  # place in SPECIES of every animal
    animal_ids: tuple[str, ...]  # 12 hexadecimal digits
    catalogued: int  # animals numbered below this one are in the train photographs, the others are strangers
    encounter_ids: tuple[str, ...]
    shots: tuple[Shot, ...]


def plan_survey(*, individuals: int, photos: int, test_photos: int, boxed_share: float, seed: int) -> Survey:
    """Decide who is photographed when. `individuals` are the catalogued ones; strangers come on top."""
    if individuals < len(SPECIES):
        raise ValueError(f"a pod has at least {len(SPECIES)} individuals, one of each species")
    if photos < 2 * individuals:
        raise ValueError(f"{photos} photographs are too few for {individuals} individuals: take two or more of each")
    rng = stream(seed, "survey")
    abundance = np.array([species.abundance for species in SPECIES])
    species = np.repeat(np.arange(len(SPECIES)), share_out(individuals, abundance, least=1))
    counts = _photos_per_individual(rng, individuals, photos)
    train = _meet(rng, species, counts, TRAIN_ENCOUNTER, first=0)
    catalogued, strange = _test_counts(rng, species, counts, test_photos)
    everyone = np.concatenate([species, np.repeat(np.arange(len(SPECIES)), [len(new) for new in strange])])
    test_counts = np.concatenate([catalogued, *strange]).astype(int)
    first = 1 + max(encounter for _, encounter, _ in train)
    test = _meet(rng, everyone, test_counts, TEST_ENCOUNTER, first=first)
    encounters = 1 + max(encounter for _, encounter, _ in train + test)
    boxed = rng.permutation(len(train) + len(test)) < round(boxed_share * (len(train) + len(test)))
    names = _hex_names(stream(seed, "names"), len(train) + len(test))
    shots = tuple(
        Shot(number, names[number] + ".jpg", animal, encounter, side, number >= len(train), bool(boxed[number]))
        for number, (animal, encounter, side) in enumerate(train + test)
    )
    return Survey(
        species=tuple(everyone.tolist()),
        animal_ids=tuple(_animal_ids(stream(seed, "animals"), len(everyone))),
        catalogued=individuals,
        encounter_ids=tuple(f"E{number:04d}" for number in rng.permutation(9999)[:encounters] + 1),
        shots=shots,
    )


def share_out(total: int, weights: np.ndarray, least: int = 0) -> np.ndarray:
    """Split `total` into whole numbers by weight, each at least `least`, by largest remainder: (N,) int."""
    exact = (total - least * len(weights)) * weights / weights.sum()
    wholes = np.floor(exact).astype(int)
    behind = np.argsort(-(exact - wholes), kind="stable")[: total - least * len(weights) - wholes.sum()]
    wholes[behind] += 1
    return wholes + least


def _photos_per_individual(rng: np.random.Generator, individuals: int, photos: int) -> np.ndarray:
    """A long tail: some animals with one photograph, most with a few, some with very many: (individuals,)."""
    single = rng.permutation(individuals) < round(SINGLETON_SHARE * individuals)
    weights = 1.0 / (8.0 + rng.permutation(individuals - single.sum()))
    counts = np.ones(individuals, int)
    counts[~single] = share_out(photos - single.sum(), weights, least=min(5, photos // individuals))
    return counts


def _test_counts(
    rng: np.random.Generator, species: np.ndarray, counts: np.ndarray, test_photos: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Test photographs of every catalogued animal (N,), and of every stranger, by species."""
    weights = np.minimum(np.sqrt(counts), 4.0) * (counts > 1) + 0.3 * (counts == 1)
    catalogued = np.zeros(len(counts), int)
    strange = []
    by_species = share_out(test_photos, np.bincount(species, minlength=len(SPECIES)))
    for place, total in enumerate(by_species):
        new = round(SPECIES[place].stranger_share * total)
        members = np.flatnonzero(species == place)
        catalogued[members] = share_out(total - new, weights[members] * rng.uniform(0.7, 1.3, len(members)))
        strange.append(share_out(new, rng.uniform(0.5, 1.5, max(1, round(new / 4)))) if new else np.zeros(0, int))
    return catalogued, strange


def _meet(
    rng: np.random.Generator, species: np.ndarray, counts: np.ndarray, per_encounter: float, first: int
) -> list[tuple[int, int, int]]:
    """Spread the animals' photographs over encounters with groups of their species: (animal, encounter, side)."""
    met = []
    for place in range(len(SPECIES)):
        members = np.flatnonzero((species == place) & (counts > 0))
        encounters = max(2, round(counts[members].sum() / per_encounter))
        for animal in members:
            visits = min(encounters, int(np.ceil(counts[animal] / 3)))
            where = first + rng.permutation(encounters)[:visits]
            boat_side = rng.integers(0, 2, visits)  # one flank faces the boat most of the time
            for turn in range(counts[animal]):
                visit = turn % visits
                side = boat_side[visit] if rng.random() < 0.7 else 1 - boat_side[visit]
                met.append((int(animal), int(where[visit]), LEFT if SPECIES[place].is_fluke else int(side)))
        first += encounters
    return [met[turn] for turn in rng.permutation(len(met))]


def _hex_names(rng: np.random.Generator, count: int) -> list[str]:
    names = ["".join(f"{byte:02x}" for byte in rng.bytes(6)) for _ in range(count)]
    if len(set(names)) < count:
        raise RuntimeError("two of the random names are equal: choose another seed")
    return names


def _animal_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Ids as careless readers stumble over: some all digits, some like a number with an exponent."""
    ids = _hex_names(rng, count)
    for place in rng.permutation(count)[: max(2, count // 6)]:
        digits = "".join(str(digit) for digit in rng.integers(0, 10, 12))
        ids[place] = digits if place % 2 else f"{digits[:9]}e{digits[10:]}"
    if len(set(ids)) < count:
        raise RuntimeError("two of the random ids are equal: choose another seed")
    return ids


__all__ = ["LEFT", "RIGHT", "Shot", "Survey", "plan_survey", "share_out"]
