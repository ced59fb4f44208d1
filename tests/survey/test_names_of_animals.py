"""Names: one form for what looks the same, nobody however it is written, sides of an animal."""

import unicodedata

import pytest
from conftest import prepare_params

from finprint.survey.names import Nobody, one_form, side, words

NOBODY = Nobody(prepare_params().nobody)


def test_one_form() -> None:
    ways = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    assert len(set(ways)) == 2
    assert {
        one_form(way) for way in [*ways, "Zo\u00adë", "\ufeffZoë", "Zoë\u200b", "\u202bZoë\u202c", "\u2068Zoë\u2069"]
    } == {"Zoë"}


@pytest.mark.parametrize(
    "name",
    [
        "unknown", "Unknown", " UNKNOWN ", "Unidentified", "UN-IDENTIFIED", "UNK", "unk.", "?", "???", "-", "--",
        "_", ".", "*",
        "new_whale", "New Whale", "not in catalogue", "Not_In_Catalog", "no id", "No-ID", "noid", "n/a", "N.A.",
        "NA", "none",
        "NaN", "null", "(unknown)", "TBD", "ｕｎｋｎｏｗｎ",
    ],
)  # fmt: skip
def test_nobody(name: str) -> None:
    assert name in NOBODY
    assert not NOBODY.like(name)
    assert name not in Nobody([])


@pytest.mark.parametrize("name", ["A17", "-1", "0", "00", "12.0", "Nanna", "Nona", "Newton", "Idun", "Unk-Unk 7", "1"])
def test_somebody(name: str) -> None:
    assert name not in NOBODY


@pytest.mark.parametrize("name", ["unidentified 3", "UNK_07", "Unknown calf", "unknwon", "unidentifed", "new whale 12"])
def test_perhaps_nobody(name: str) -> None:
    assert name not in NOBODY
    assert NOBODY.like(name)


@pytest.mark.parametrize("name", ["A17", "Nanna", "Newton", "Unity", "Identity", "12"])
def test_surely_somebody(name: str) -> None:
    assert not NOBODY.like(name)


def test_a_number_counts_as_it_is_written() -> None:
    listed = Nobody(["-1", "999"])
    assert [name in listed for name in ("-1", "1", "999", "0999", "?")] == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Left", "left"), ("LHS", "left"), ("l", "left"), ("L1", None), ("left 1", "left"),
        ("right_side_view", "right"),
        ("RIght", "right"), ("both", "both"), ("Left+Right", "both"), ("Lefty", None), ("Left Hook", None), ("", None),
        ("côté gauche", "left"), ("cote droit", "right"), ("sx", "left"), ("Fin dx", "right"), ("右", "right"),
        ("droite", "right"), ("dorsal", None), ("port", "left"), ("Portland", None),
        ("frontleft", "left"), ("back-right", "right"), ("FrontLeft", "left"), ("front", None),
        ("upright", "right"), ("topleft", "left"), ("bright", None),
    ],
)  # fmt: skip
def test_sides(name: str, told: str | None) -> None:
    assert side(name) == told


def test_words() -> None:
    assert words("LeftSide_2") == ("left", "side", "2")
    assert words("100CANON") == ("100", "canon")
    assert words("RIght") == ("right",)
