"""What looks wrong in a collection: found where it is, and not where it is not."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conftest import prepare_params

from finprint.survey.hygiene import (
    ALIKE,
    ALIKE_TWO_NAMES,
    COPY,
    COPY_TWO_NAMES,
    IDENTITIES,
    NOBODY,
    NOBODY_PERHAPS,
    QUERY_ALIKE,
    QUERY_COPY,
    SIZE,
    SPECIES,
    alike,
    copies,
    identities_alike,
    nobodies,
    odd_sizes,
    species_alike,
)
from finprint.survey.names import Nobody

# The labels of the Happywhale competition.
HAPPYWHALE = (
    "beluga blue_whale bottlenose_dolpin bottlenose_dolphin brydes_whale commersons_dolphin common_dolphin "
    "cuviers_beaked_whale dusky_dolphin false_killer_whale fin_whale frasiers_dolphin globis gray_whale humpback_whale "
    "kiler_whale killer_whale long_finned_pilot_whale melon_headed_whale minke_whale pantropic_spotted_dolphin "
    "pilot_whale pygmy_killer_whale rough_toothed_dolphin sei_whale short_finned_pilot_whale southern_right_whale "
    "spinner_dolphin spotted_dolphin white_sided_dolphin"
)


def _photos(*rows: str) -> pd.DataFrame:
    """Rows `image path sha256 identity split`; ? for no identity."""
    table = pd.DataFrame([row.split() for row in rows], columns=["image", "path", "sha256", "identity", "split"])
    return table.assign(identity=table["identity"].replace("?", pd.NA))


def test_copies_by_hand() -> None:
    photos = _photos(
        "a a 1 A train", "b b 1 A train", "c c 2 ? train", "d d 2 B train", "e e 3 A train", "f f 3 B train",
        "g g 3 B train", "h h 4 A train", "q q 4 ? test", "r r 5 ? test", "s s 5 ? test",
    )  # fmt: skip
    assert list(copies(photos)) == [
        (COPY, "b", "a", None),
        (COPY, "c", "d", None),  # the one with a name stays
        (COPY_TWO_NAMES, "f", "e", "A and B"),
        (COPY_TWO_NAMES, "g", "e", "A and B"),
        (QUERY_COPY, "q", "h", None),
    ]


def test_animals_of_one_photo_are_no_copies() -> None:
    photos = _photos("a a 1 A train", "a#2 a 1 B train")
    assert list(copies(photos)) == []
    assert list(alike(photos, np.array([(0, 1)]))) == []


def test_alike_by_hand() -> None:
    photos = _photos("a a 1 A train", "b b 2 B train", "c c 3 A train", "d d 4 ? train", "e e 1 B train")
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2)]
    assert list(alike(photos, np.array(pairs))) == [
        (ALIKE_TWO_NAMES, "a", "b", "A and B"),
        (ALIKE, "c", "a", None),
        (ALIKE, "d", "a", None),
        (ALIKE_TWO_NAMES, "b", "c", "B and A"),
    ]


def test_no_photo_of_a_burst_goes_untold() -> None:
    """a and b are both like c, but not like each other."""
    photos = _photos("a a 1 A train", "b b 2 A train", "c c 3 A train")
    assert list(alike(photos, np.array([(0, 2), (1, 2)]))) == [(ALIKE, "c", "a", None), (ALIKE, "b", "c", None)]


def test_a_burst_is_told_once_a_photo_and_photos_to_identify_beside_the_catalogue() -> None:
    photos = _photos("a a 1 A train", "b b 2 A train", "c c 3 A train", "q q 4 ? test", "r r 5 ? test", "s s 1 ? test")
    pairs = list(itertools.combinations(range(6), 2))
    assert list(alike(photos, np.array(pairs))) == [
        (ALIKE, "b", "a", None),
        (ALIKE, "c", "a", None),
        (QUERY_ALIKE, "q", "a", None),
        (QUERY_ALIKE, "r", "a", None),
        (QUERY_ALIKE, "s", "b", None),  # of a it is a copy
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ("Whale-7", "whale_7"),
        ("00123", "123"),
        ("Æ1", "æ 1"),
        ("1.36215E+11", "136215123456"),
        ("8.75924E+22", "875923901e14"),
        ("12.0", "12"),
        ("0012", "12.0"),
        ("2019-1", "2019_1"),
        ("Zoë", "Zoe"),
        ("Zoe\u0308 2", "zoe_2"),
        ("A17_left", "A17_right"),
        ("12L", "12R"),
        ("A17 2019", "A17_2020"),
        ("2019 Old Tom", "2021-Old-Tom"),
        ("Whale (2)", "Whale"),
        ("Whale - Copy", "Whale"),
        ("\u0410" + "17", "A17"),  # a Cyrillic letter
    ],
)
def test_names_written_alike(pair: tuple[str, str]) -> None:
    (found,) = identities_alike([*pair, "X1", "x2", "875923901e15"])
    assert found[0] == IDENTITIES
    assert set(found[1:3]) == set(pair)


def test_names_that_are_not_alike() -> None:
    others = ["1.36215E+11", "136225123456", "13621512345", "a1", "a11", "0", "00", "-", "_1_", "875923901e14"]
    others += ["12.0", "120", "12-1", "121", "1.2", "A17_left", "B03_right"]
    assert list(identities_alike(others)) == [(IDENTITIES, "0", "00", None)]


def test_names_that_mean_nobody_or_may() -> None:
    nobody = Nobody(prepare_params().nobody)
    photos = {
        "A17": 3, "Unidentified": 4, "unknown 3": 2, "2019": 5, "left": 1, "misc": 2, "orca": 7, "Seal 1": 1, "L": 2,
    }  # fmt: skip
    assert [(kind, name, detail) for kind, name, _, detail in nobodies(photos, nobody)] == [
        (NOBODY_PERHAPS, "2019", "5 photos; it reads like a year or date"),
        (NOBODY, "Unidentified", "4 photos; if it is an individual's name, remove it from prepare.nobody"),
        (NOBODY_PERHAPS, "left", "1 photo; it reads like a side"),
        (NOBODY_PERHAPS, "misc", "2 photos; it reads like no animal"),
        (NOBODY_PERHAPS, "orca", "7 photos; it reads like a species"),
        (NOBODY_PERHAPS, "unknown 3", "2 photos; if nobody is meant, add it to prepare.nobody"),
    ]
    assert list(nobodies({"1107": 3, "1968": 2, "2040": 1}, nobody)) == []  # right whales
    assert list(nobodies({"041cf7e5f08d": 3, "cf9ea41b3cb9": 2}, nobody)) == []  # a hash says cf by chance


def test_names_of_several_of_a_doubt_and_of_young() -> None:
    odd = {
        "A12/A13": "several individuals: A12, A13", "A12 or A13": "several individuals: A12, A13",
        "A13; A12": "several individuals: A13, A12", "A12?": "a doubt; if nobody is meant, add it to prepare.nobody",
        "cf. A13": "a doubt; if nobody is meant, add it to prepare.nobody",
        "Possibly A13": "a doubt; if nobody is meant, add it to prepare.nobody",
        "calf of A12": "the young of another individual",
    }  # fmt: skip
    sound = ["A12", "A13", "Salt & Pepper", "Bonnie and Clyde", "Calf Island 3", "Of Note", "14/2"]
    photos = dict.fromkeys([*sound, *odd], 1)
    assert {name: detail for _, name, _, detail in nobodies(photos, Nobody(prepare_params().nobody))} == {
        name: f"1 photo; it reads like {detail}" for name, detail in odd.items()
    }


def test_species_of_happywhale() -> None:
    """All thirty labels: the two typos, and none of the true species that sound alike."""
    photos = HAPPYWHALE.split() * 3 + ["killer_whale", "bottlenose_dolphin"]
    assert [found[:3] for found in species_alike(photos)] == [
        (SPECIES, "bottlenose_dolpin", "bottlenose_dolphin"),
        (SPECIES, "kiler_whale", "killer_whale"),
    ]
    assert [found[1:] for found in species_alike(["Orca", "orca", "orca"])] == [("Orca", "orca", "1 and 2 photos")]


@pytest.mark.parametrize(
    ("width", "height", "odd"),
    [(64, 64, False), (63, 200, True), (600, 100, False), (601, 100, True), (100, 700, True)],
)
def test_odd_sizes(width: int, height: int, odd: bool) -> None:
    found = list(odd_sizes(pd.DataFrame({"image": ["a"], "width": [width], "height": [height]})))
    assert found == ([(SIZE, "a", None, f"{width} x {height} px")] if odd else [])


def test_odd_sizes_that_are_usual_are_told_once() -> None:
    def told(small: int) -> list[str | None]:
        sides = [40] * small + [90] * (300 - small)
        table = pd.DataFrame({"image": [f"{n}.jpg" for n in range(300)], "width": sides, "height": sides})
        return [why for _, _, _, why in odd_sizes(table)]

    assert told(30) == ["40 x 40 px"] * 30
    assert told(31) == ["40 x 40 px; 31 of 300 photos are that small or long"]


def test_animals_that_are_numbered_by_years_are_not_alike() -> None:
    assert [*identities_alike(["BW-2019-01", "BW-2020-01", "2019-1", "2020-1", "A17", "1968", "1969"])] == []
