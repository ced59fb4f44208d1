"""Folders understood over the whole tree: the animal's level, sides, dates, encounters; or asked for, never guessed."""

from pathlib import Path

import pytest
from conftest import prepare_params

from finprint.base.errors import UserError
from finprint.survey.folder_names import Kind, kind_of, reads_like_species
from finprint.survey.layout import Place, loose, understand
from finprint.survey.names import Nobody

ROOT = Path("photos")
NOBODY = Nobody(prepare_params().nobody)


def _understand(*folders: str, identity: str | int = "auto") -> dict[str, Place]:
    return understand(folders, identity, NOBODY, ROOT)


def _told(*folders: str, identity: str | int = "auto") -> list[tuple[str | None, ...]]:
    """(species, identity, viewpoint) of each folder, in the order given."""
    places = _understand(*folders, identity=identity)
    return [(places[one].species, places[one].identity, places[one].viewpoint) for one in folders]


def _complaint(*folders: str, identity: str | int = "auto") -> str:
    with pytest.raises(UserError) as caught:
        _understand(*folders, identity=identity)
    return str(caught.value)


@pytest.mark.parametrize(
    "left", ["Left", "LEFT", "L", "left side", "Left_Flank", "LeftSide", "port", "left 2", "links"]
)
@pytest.mark.parametrize("right", ["RIght", "r", "right-fin", "Starboard", "derecha"])
def test_sides_below_the_animal(left: str, right: str) -> None:
    folders = (f"Seal 1/{left}", f"Seal 1/{right}", f"Seal 2/{left}", "Seal 3")
    one, two, three = "Seal 1", "Seal 2", "Seal 3"
    assert _told(*folders) == [(None, one, "left"), (None, one, "right"), (None, two, "left"), (None, three, None)]
    below = [f"orca/{folder}" for folder in folders]
    assert [place[0] for place in _told(*below)] == ["orca"] * 4
    assert [place[1:] for place in _told(*below)] == [place[1:] for place in _told(*folders)]


@pytest.mark.parametrize(
    "detail",
    [
        "2019", "2019-05", "2019_05_12", "12.05.2019", "20190512", "May 2019", "summer 2019", "2018-2019",
        "season 2019",
        "2019/05/12", "2019/May", "DCIM/100CANON", "101MSDCF", "100_PANA", "encounter 3", "Sighting-12a", "trip 2",
        "day 4",
        "misc", "best", "New folder (2)", "iPhone", "202105__", "2019-05-12 Moray Firth", "left/2019",
    ],
)  # fmt: skip
def test_details_are_no_animals(detail: str) -> None:
    """Below the animal and above it; beside photos of its own, too."""
    both = (None, "A17"), (None, "B03")
    for folders in ((f"A17/{detail}", "B03"), ("A17", f"A17/{detail}", "B03"), (f"A17/{detail}", f"B03/{detail}")):
        assert [place[:2] for place in _told(*folders)] in ([*both], [both[0], *both])
    assert [place[:2] for place in _told(f"{detail}/A17", f"{detail}/B03")] == [*both]


def test_the_animal_s_name_again_is_a_detail() -> None:
    assert _told("A17/A17", "B03/B03") == [(None, "A17", None), (None, "B03", None)]
    assert _told("Old Tom/Old_Tom left", "B03/B03_2019") == [(None, "Old Tom", "left"), (None, "B03", None)]


@pytest.mark.parametrize(
    "names",
    [
        ("1107", "1968", "2040"),  # right whales
        (*map(str, range(1, 12)), "1968"),  # counted
        ("J", "K", "L"),
        ("April", "May", "A17"),
        ("Fluke", "Tip", "Scar"),
        ("Fin 12", "Fin 13", "Fin 14"),
        ("BW-2019-01", "BW-2020-02", "Old Tom"),
        ("L1", "R2", "A17"),
    ],
)
def test_animals_whose_names_read_like_something_else(names: tuple[str, ...]) -> None:
    assert [place[:2] for place in _told(*names)] == [(None, name) for name in names]
    below = [f"blue_whale/{name}" for name in names]
    assert [place[:2] for place in _told(*below)] == [("blue_whale", name) for name in names]


def test_encounters_and_days_are_encounters_and_years_are_not() -> None:
    places = _understand("A17/encounter 3", "A17/2019/20190512", "20200101/B03", "A17/2019", identity="last")
    assert {folder: place.encounter for folder, place in places.items()} == {
        "A17/encounter 3": "A17/encounter 3",
        "A17/2019/20190512": "A17/2019/20190512",
        "20200101/B03": "20200101",
        "A17/2019": None,
    }
    assert loose(("Left", "sighting 4")) == Place(viewpoint="left", encounter="Left/sighting 4")
    assert loose(("left", "both sides", "Right")).viewpoint == "right"


@pytest.mark.parametrize(
    ("folders", "named"),
    [
        (("A17", "A17/haul-out", "B03"), ("A17 holds photos", "A17/haul-out")),
        (("orca/A17", "orca/A17/north bay"), ("orca/A17 holds photos", "orca/A17/north bay")),
        (("orca", "orca/A17"), ("orca holds photos", "orca/A17")),
        (("A17", "B03/north bay"), ("A17", "B03/north bay")),
        (("A17/left", "B03/north bay"), ("A17/left", "B03/north bay")),
        (("A17/2019 Moray", "B03/2020 Skye"), ("A17/2019 Moray",)),
        (("2019", "2020"), ("2019 reads like a year or date",)),
        (("left", "right"), ("left reads like a side",)),
        (("orca/2019", "beluga/2020"), ("beluga reads like a species",)),
        (("sea/orca/A17", "sea/orca/B03"), ("sea/orca/A17 has 3 folders",)),
        (("a/v", "b/w", "c/x", "d/y"), ("a/v", "d/y")),
        (("moray/A17", "skye/A17"), ("moray/A17 and skye/A17 are both individual A17",)),
    ],
)
def test_what_cannot_be_told_is_asked(folders: tuple[str, ...], named: tuple[str, ...]) -> None:
    complaint = _complaint(*folders)
    assert complaint.startswith("photos: ")
    assert "prepare.folders.identity" in complaint
    assert all(one in complaint for one in named)


def test_the_level_that_the_param_tells() -> None:
    assert _told("A17", "A17/haul-out", identity=1) == [(None, "A17", None)] * 2
    assert _told("sea/orca/A17/left", "sea/orca/B03", identity=3) == [("orca", "A17", "left"), ("orca", "B03", None)]
    assert _told("2019", "left", identity=1) == [(None, "2019", None), (None, "left", None)]
    assert _told("A17", "orca/B03/left", "sea/humpback/C1/2019", identity="last") == [
        (None, "A17", None),
        ("orca", "B03", "left"),
        ("humpback", "C1", None),
    ]
    assert _understand("A17", "orca/B03", identity=2)["A17"].reason == "lies in no individual's folder"
    places = _told("fish", "fish/more", "crab/red", "crab/red/left", "2019/eel/pics", identity="first")
    assert [place[1] for place in places] == ["fish", "fish", "red", "red", "eel"]


def test_a_folder_for_each_side_of_an_animal() -> None:
    assert _told("A17_left", "A17_right", "B03-L", "B03-R", "Old Tom right", "C1") == [
        (None, "A17", "left"), (None, "A17", "right"), (None, "B03", "left"), (None, "B03", "right"),
        (None, "Old Tom", "right"), (None, "C1", None),
    ]  # fmt: skip
    assert [place[1] for place in _told("A17_left", "A17_right", "B03", "C1")] == ["A17_left", "A17_right", "B03", "C1"]


def test_nobody_s_folder_decides_nothing() -> None:
    assert [place[1] for place in _told("orca/A17", "orca/unknown", "Unidentified", "unk/2019")] == [
        "A17", "unknown", "Unidentified", "unk",
    ]  # fmt: skip
    assert _told("A17/left", "A17/unknown") == [(None, "A17", "left"), (None, "A17", None)]  # of an unknown side


def test_a_year_beside_animals_is_nobody_s() -> None:
    assert _understand("A17", "B03", "2019")["2019"].reason == (
        "lies in no individual's folder: 2019 reads like a year or date; if an animal is called so, set "
        "prepare.folders.identity to 1"
    )


def test_one_animal_in_folders_of_several_years_and_sides() -> None:
    assert _told("2019/A17", "2020/A17", "2020/left/B03", identity="last") == [
        (None, "A17", None), (None, "A17", None), (None, "B03", "left"),
    ]  # fmt: skip
    assert {place[1] for place in _told("Left/A17", "Right/A17", "RIGHT/B03")} == {"A17", "B03"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("A17", Kind.NAME), ("Old Tom", Kind.NAME), ("Left Hook", Kind.NAME), ("12345", Kind.NAME),
        ("Fin 3", Kind.NAME),
        ("2019 Moray", Kind.DOUBT), ("Tt2019", Kind.DOUBT), ("2100", Kind.NAME), ("1849", Kind.NAME),
        ("both", Kind.SIDE), ("left and right", Kind.SIDE), ("May", Kind.SORT), ("100", Kind.NAME),
    ],
)  # fmt: skip
def test_kinds(name: str, kind: Kind) -> None:
    assert kind_of(name) == kind


def test_species() -> None:
    species = ["orca", "Killer whales", "humpback_whale", "Tursiops truncatus", "grey seal", "Delphinus delphis"]
    others = ["Seal", "Whale 3", "A17", "Whalebone", "Old Tom"]
    assert [reads_like_species(name) for name in species + others] == [True] * len(species) + [False] * len(others)


def test_no_photo_is_no_mistake_here() -> None:
    assert _understand() == {}
    assert _understand("")[""].reason == "lies in no individual's folder"


def test_one_animal_in_two_places_where_the_level_is_told() -> None:
    folders = ("moray/A17", "skye/A17/left", "skye/B03", "skye/unknown", "moray/unknown")
    for told in (2, "last"):
        places = understand(folders, told, NOBODY, Path("survey"))
        assert {places[folder].identity for folder in folders[:2]} == {"A17"}
        assert all(place.species is None for place in places.values())
        assert places["skye/A17/left"].form == "folder/NAME/side/photo"


def test_two_species_number_their_animals_alike_whatever_is_told() -> None:
    with pytest.raises(UserError, match="orca/001 are both individual 001"):
        understand(("orca/001", "beluga/001"), 2, NOBODY, Path("survey"))
    apart = understand(("orca/001", "beluga/002"), 2, NOBODY, Path("survey"))
    assert [place.species for place in apart.values()] == ["beluga", "orca"]


@pytest.mark.parametrize("outer", [("Moray", "Skye"), ("J pod", "K pod"), ("north_bay", "south_bay"), ("AB", "CD")])
def test_places_and_pods_around_the_animals_are_no_species(outer: tuple[str, str]) -> None:
    folders = [f"{one}/{name}" for one in outer for name in (f"{one[0]}1", f"{one[0]}2", f"{one[0]}3")]
    assert [place[0] for place in _told(*folders)] == [None] * 6
    assert {place.form for place in _understand(*folders).values()} == {"folder/NAME/photo"}
    told = understand(folders, "auto", NOBODY, ROOT, "species")
    assert {place.species for place in told.values()} == set(outer)


def test_one_species_among_the_outer_folders_makes_all_of_them_species() -> None:
    assert [place[0] for place in _told("orca/A1", "orca/A2", "Tt/B1", "Tt/B2")] == ["orca", "orca", "Tt", "Tt"]
    for name in ("Delfín mular", "Seehundswal", "manta ray", "Ursus arctos", "кит"):
        assert _told(f"{name}/A1", f"{name}/A2")[0][0] == name


def test_one_animal_in_two_places_is_asked_for_and_told() -> None:
    folders = ("Moray/A17", "Skye/A17", "Skye/B03")
    assert _complaint(*folders).endswith("; if they are one animal, set prepare.folders.around to group")
    told = understand(folders, "auto", NOBODY, ROOT, "group")
    assert [(place.species, place.identity) for place in told.values()] == [(None, "A17")] * 2 + [(None, "B03")]
    assert {place.identity for place in understand(("orca/1", "beluga/1"), 2, NOBODY, ROOT, "group").values()} == {"1"}
