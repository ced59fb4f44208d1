"""finprint export: sightings told apart by how they are known, folders of photos, doubt about the number of animals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import save_photo, scenery

from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.errors import UserError
from finprint.export.command import Wanted, export
from finprint.export.doubt import doubt
from finprint.export.folders import into_folders
from finprint.export.sightings import COLUMNS, darwin_core, of_pipeline
from finprint.store.decisions import Decision, Log
from finprint.store.tables import NEW, PHOTOS, SIGHTINGS, TEST, TRAIN, write_table

DAY = Wanted("day", 0.9, None, 7)


def _run(root: Path) -> Path:
    """What a finished run has left: two known animals, four photos to identify."""
    rows = [
        ("a.jpg", "Anna", TRAIN, "2026-05-01"), ("b.jpg", "=Bo", TRAIN, "2026-05-01"), ("n.jpg", None, TRAIN, None),
        ("q.jpg", None, TEST, "2026-05-09"), ("r.jpg", None, TEST, "2026-05-09"), ("s.jpg", None, TEST, None),
    ]  # fmt: skip
    photos = pd.DataFrame(rows, columns=["image", "identity", "split", "date"])
    for number, image in enumerate(photos["image"]):
        save_photo(root / "photos" / image, scenery(number))
    table = photos.drop(columns="date").assign(
        path=[str(root / "photos" / image) for image in photos["image"]], sha256="0" * 64, width=9, height=9,
        species="orca", encounter=None, viewpoint=None, group=range(6), fold=0,
    )  # fmt: skip
    write_table(root / "data/photos.parquet", table[list(PHOTOS.columns)], PHOTOS)
    told = photos[["image", "date"]].assign(place="bay")
    write_table(root / "data/sightings.parquet", told, SIGHTINGS)
    answers = [
        ("q.jpg", 1, "Anna", 0.95), ("q.jpg", 2, NEW, 0.04), ("r.jpg", 1, NEW, 0.6), ("r.jpg", 2, "Anna", 0.3),
        ("s.jpg", 1, "=Bo", 0.5), ("s.jpg", 2, "Anna", 0.4),
    ]  # fmt: skip
    table = pd.DataFrame(answers, columns=["query", "rank", "identity", "probability"]).assign(score=0.5, match=None)
    write_table(root / "data/search/answers.parquet", table[list(ANSWERS.columns)], ANSWERS)
    proposed = pd.DataFrame({"image": ["r.jpg"], "proposed": ["new_0001"]})
    write_table(root / "data/search/new_individuals.csv", proposed, PROPOSED)
    return root / "data"


def test_how_each_sighting_is_known(tmp_path: Path) -> None:
    sightings, answers = of_pipeline(_run(tmp_path))
    told = sightings[["image", "individual", "status", "probability"]].to_numpy().tolist()
    assert told == [
        ["a.jpg", "Anna", "labelled", 1.0],
        ["b.jpg", "=Bo", "labelled", 1.0],
        ["q.jpg", "Anna", "answered", 0.95],
        ["r.jpg", "new_0001", "answered", 0.6],
        ["s.jpg", "=Bo", "answered", 0.5],
    ]
    assert sightings.columns.tolist() == COLUMNS
    assert len(answers) == 6
    terms = darwin_core(sightings)
    assert terms["identificationVerificationStatus"].tolist() == ["verified"] * 2 + ["unverified"] * 3
    named = ["occurrenceID", "eventDate", "organismID", "vernacularName", "identificationRemarks"]
    assert terms.loc[2, named].tolist() == ["q.jpg", "2026-05-09", "Anna", "orca", "probability 0.950"]
    assert terms["identificationRemarks"].tolist()[:2] == ["labelled", "labelled"]
    placed = darwin_core(sightings.assign(latitude=54.5, longitude=-3.25))
    assert placed.loc[0, ["decimalLatitude", "decimalLongitude"]].tolist() == [54.5, -3.25]
    species = ["Orcinus_orca", "Tursiops truncatus", "bottlenose_dolphin", "Blue whale 2", None]
    terms = darwin_core(sightings.assign(species=species))
    assert terms["scientificName"].fillna("").tolist() == ["Orcinus orca", "Tursiops truncatus", "", "", ""]
    assert terms["vernacularName"].fillna("").tolist() == ["", "", "bottlenose dolphin", "Blue whale 2", ""]


def test_decisions_count_before_the_next_run_has_seen_them(tmp_path: Path) -> None:
    data = _run(tmp_path)
    log = Log(data / "decisions/log.jsonl")
    log.append(Decision(action="confirm", photo="q.jpg", to="Anna"))
    log.append(Decision(action="rename", individual="Anna", to="Old Anna"))
    log.append(Decision(action="unsure", photo="s.jpg"))
    log.append(Decision(action="relabel", photo="b.jpg"))  # nobody knows whom it shows
    undone = log.append(Decision(action="new", photo="r.jpg", to="Cy"))
    log.append(Decision(action="undo", of=undone.id))
    told = of_pipeline(data)[0][["image", "individual", "status"]].to_numpy().tolist()
    assert told == [
        ["a.jpg", "Old_Anna", "labelled"],
        ["q.jpg", "Old_Anna", "confirmed"],
        ["r.jpg", "new_0001", "answered"],
    ]


def test_what_the_run_has_applied_is_not_applied_again(tmp_path: Path) -> None:
    """Cy was merged into =Bo, and then Anna was renamed to Cy; the run knows that already."""
    data = _run(tmp_path)
    log = Log(data / "decisions/log.jsonl")
    log.append(Decision(action="merge", individual="Cy", to="=Bo"))
    log.append(Decision(action="rename", individual="Anna", to="Cy"))
    photos, told = pd.read_parquet(data / "photos.parquet"), pd.read_parquet(data / "sightings.parquet")
    labelled = {"a.jpg": "Anna", "b.jpg": "Cy", "n.jpg": "=Bo"}
    write_table(data / "sightings.parquet", told.assign(labelled=told["image"].map(labelled)), SIGHTINGS)
    after = photos["image"].map({"a.jpg": "Cy", "b.jpg": "=Bo", "n.jpg": "=Bo"})
    write_table(data / "photos.parquet", photos.assign(identity=after.astype("string")), PHOTOS)
    answers = pd.read_parquet(data / "search/answers.parquet")
    write_table(data / "search/answers.parquet", answers.replace({"identity": {"Anna": "Cy"}}), ANSWERS)
    shown = of_pipeline(data)[0].set_index("image")["individual"].to_dict()
    assert shown == {
        "a.jpg": "Cy", "b.jpg": "=Bo", "n.jpg": "=Bo", "q.jpg": "Cy", "r.jpg": "new_0001", "s.jpg": "=Bo",
    }  # fmt: skip


def test_a_proposal_is_not_the_animal_that_has_its_name_already(tmp_path: Path) -> None:
    data = _run(tmp_path)
    Log(data / "decisions/log.jsonl").append(Decision(action="new", photo="s.jpg", to="new_0001"))
    sightings = of_pipeline(data)[0].set_index("image")["individual"]
    assert sightings[["r.jpg", "s.jpg"]].tolist() == ["new_0001_proposed", "new_0001"]


def test_the_whole_command(tmp_path: Path) -> None:
    lines = list(export(_run(tmp_path), tmp_path / "out", DAY))
    assert lines[0] == f"5 sightings (3 answered, 2 labelled): {tmp_path}/out"
    assert lines[1] == f"2 individuals on 2 occasions: {tmp_path}/out/history.inp"  # r and s are not sure enough
    assert lines[2].startswith("animals seen: 3; if answers may be wrong, 2 to ")
    assert (tmp_path / "out/history.inp").read_text() == (
        "/* occasions: 2026-05-01, 2026-05-09 */\n/* =Bo */ 10 1;\n/* Anna */ 11 1;\n"
    )
    sheet = pd.read_excel(tmp_path / "out/sightings.xlsx")
    assert sheet["individual"].tolist() == ["Anna", "'=Bo", "Anna", "new_0001", "'=Bo"]  # no formula
    table = pd.read_csv(tmp_path / "out/history.csv", dtype={"ch": str})
    assert table["2026-05-09"].tolist() == [0, 1]
    assert table["ch"].tolist() == ["10", "11"]
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        assert (tmp_path / f"out/discovery.{kind}").read_bytes().startswith(start)


def test_each_species_is_counted_for_itself(tmp_path: Path) -> None:
    data = _run(tmp_path)
    photos = pd.read_parquet(data / "photos.parquet")
    kinds = {"b.jpg": "Blue_whale", "s.jpg": "Blue_whale"}
    photos["species"] = photos["image"].map(kinds).fillna("orca").astype("string")
    write_table(data / "photos.parquet", photos, PHOTOS)
    lines = list(export(data, tmp_path / "out", DAY))
    assert lines[1] == f"Blue whale: 1 individual on 2 occasions: {tmp_path}/out/history_Blue_whale.inp"
    assert lines[2].startswith("Blue whale: animals seen: 1; if answers may be wrong, 1 to ")
    assert f"orca: 1 individual on 2 occasions: {tmp_path}/out/history_orca.inp" in lines
    assert (tmp_path / "out/history_Blue_whale.inp").read_text().splitlines()[1] == "/* =Bo */ 10 1;"
    assert (tmp_path / "out/history_orca.inp").read_text().splitlines()[1] == "/* Anna */ 11 1;"
    assert sorted(path.name for path in (tmp_path / "out").glob("history*")) == [
        "history_Blue_whale.csv", "history_Blue_whale.inp", "history_orca.csv", "history_orca.inp",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["copy", "link"])
def test_photos_go_into_folders_and_the_originals_stay(tmp_path: Path, how: str) -> None:
    data = _run(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "photos").iterdir()}
    wanted = Wanted("day", 0.9, how, 7)  # type: ignore[arg-type]
    assert "5 photos new in folders by individual" in " ".join(export(data, tmp_path / "out", wanted))
    placed = sorted(
        path.relative_to(tmp_path / "out/photos").as_posix() for path in (tmp_path / "out/photos").rglob("*.jpg")
    )
    assert placed == ["=Bo/b.jpg", "=Bo/s.jpg", "Anna/a.jpg", "Anna/q.jpg", "new_0001/r.jpg"]
    copy = tmp_path / "out/photos/Anna/a.jpg"
    assert copy.is_symlink() == (how == "link")
    assert copy.read_bytes() == (tmp_path / "photos/a.jpg").read_bytes()
    assert {path: path.read_bytes() for path in (tmp_path / "photos").iterdir()} == before
    assert "0 photos new in folders" in " ".join(export(data, tmp_path / "out", wanted))
    (tmp_path / "photos/q.jpg").unlink()
    with pytest.raises(UserError, match=r"q.jpg is gone: put it back, or export without --folders"):
        list(export(data, tmp_path / "else", wanted))


@pytest.mark.parametrize("how", ["copy", "link"])
def test_folders_follow_the_decisions(tmp_path: Path, how: str) -> None:
    data, wanted = _run(tmp_path), Wanted("day", 0.9, how, 7)  # type: ignore[arg-type]
    list(export(data, tmp_path / "out", wanted))
    photos = tmp_path / "out/photos"
    (photos / "Anna/notes.txt").write_text("mine")
    (photos / "=Bo/b.jpg").unlink()
    (photos / "=Bo/b.jpg").write_text("mine, too")  # in place of what was made there
    log = Log(data / "decisions/log.jsonl")
    log.append(Decision(action="confirm", photo="q.jpg", to="=Bo"))
    log.append(Decision(action="unusable", photo="r.jpg"))
    log.append(Decision(action="rename", individual="=Bo", to="Bo"))
    told = "3 photos new in folders by individual, 3 taken away that showed somebody else before: "
    assert told in " ".join(export(data, tmp_path / "out", wanted))
    placed = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.*") if path.name[0] != ".")
    assert placed == ["=Bo/b.jpg", "Anna/a.jpg", "Anna/notes.txt", "Bo/b.jpg", "Bo/q.jpg", "Bo/s.jpg"]
    assert not (photos / "new_0001").exists()


def test_names_that_look_alike_on_a_disk_stay_apart(tmp_path: Path) -> None:
    for number, name in enumerate(["a.jpg", "b.jpg", "c.jpg"]):
        save_photo(tmp_path / name, scenery(number))
    table = pd.DataFrame(
        {
            "path": ["a.jpg", "b.jpg", "c.jpg"],
            "image": ["x/1.jpg", "x:1.jpg", "X:1.JPG"],
            "individual": ["A/1", "A:1", "a:1"],
        }
    )
    assert into_folders(table, tmp_path, tmp_path / "out", "copy") == (3, 0)
    placed = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*/*.*")}
    assert len({name.casefold() for name in placed}) == 3


def test_without_probabilities_or_sure_names_it_says_so(tmp_path: Path) -> None:
    data = _run(tmp_path)
    answers = pd.read_parquet(data / "search/answers.parquet").assign(probability=np.nan)
    write_table(data / "search/answers.parquet", answers, ANSWERS)
    lines = list(export(data, tmp_path / "out", DAY))
    assert lines[2] == "animals seen: 3; if answers may be wrong, nobody can tell: there are no probabilities"
    told = pd.read_parquet(data / "sightings.parquet")
    write_table(data / "sightings.parquet", told.assign(date=None), SIGHTINGS)
    assert list(export(data, tmp_path / "undated", DAY))[1:] == [
        "no capture history: no sighting has a date. --occasion also takes a column, such as encounter"
    ]
    photos = pd.read_parquet(data / "photos.parquet")
    write_table(data / "photos.parquet", photos.assign(identity=pd.Series([None] * 6, dtype="string")), PHOTOS)
    assert list(export(data, tmp_path / "out", DAY))[1:] == [
        "no name is sure enough for a capture history (--least 0.9)"
    ]


def test_a_folder_never_leaves_the_place_where_it_is_made(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.jpg", scenery(1))
    table = pd.DataFrame({"path": ["a.jpg"], "image": ["x/../../a.jpg"], "individual": ["../..: evil?"]})
    assert into_folders(table, tmp_path, tmp_path / "out", "copy") == (1, 0)
    (made,) = (tmp_path / "out").rglob("*.jpg")
    assert made.relative_to(tmp_path / "out").as_posix() == "_.._ evil_/x_.._.._a.jpg"


def test_a_further_animal_of_a_photo_is_a_file_that_opens(tmp_path: Path) -> None:
    save_photo(tmp_path / "a.jpg", scenery(1))
    table = pd.DataFrame({"path": "a.jpg", "image": ["a.jpg", "a.jpg#2"], "individual": "Anna"})
    assert into_folders(table, tmp_path, tmp_path / "out", "copy") == (2, 0)
    assert sorted(path.name for path in (tmp_path / "out/Anna").iterdir()) == ["a#2.jpg", "a.jpg"]


def _three_possible(encounters: list[str | None], first: str, individuals: list[str]) -> set[float]:
    """Numbers of animals drawn where three photos are each `first` with 0.5, else Bo."""
    images = ["p", "q", "r"]
    sightings = pd.DataFrame({"image": images, "individual": individuals, "encounter": encounters})
    rows = [(image, rank, name, 0.5) for image in images for rank, name in ((1, first), (2, "Bo"))]
    answers = pd.DataFrame(rows, columns=["query", "rank", "identity", "probability"])
    counts: set[float] = set()
    doubt(sightings.assign(status="answered"), answers, lambda table: _note(counts, table), 1, 200)
    return counts


def _note(counts: set[float], table: pd.DataFrame) -> float:
    counts.add(float(table["individual"].nunique()))
    return max(counts)


def test_which_photos_are_drawn_together() -> None:
    assert _three_possible(["E", "F", "G"], "Anna", ["Anna"] * 3) == {1, 2}  # each for itself: Anna, Bo or both
    assert _three_possible([None] * 3, "Anna", ["Anna"] * 3) == {1}
    assert _three_possible(["E"] * 3, "Anna", ["Anna"] * 3) == {1}
    assert _three_possible(["E", "F", "G"], NEW, ["new_0001"] * 3) == {1}  # one proposal in three encounters
    assert _three_possible(["E", "F", "F"], NEW, ["new_0001", "new_0001", "new_0002"]) == {1, 2}  # joined by a chain
    assert _three_possible(["E", "F", "G"], NEW, ["new_0001", "new_0002", "new_0003"]) == {1, 2, 3}


def test_doubt_about_the_number_of_animals(tmp_path: Path) -> None:
    """Five photos of one encounter, called Anna with 0.8, else somebody new: two animals in a fifth of the draws."""
    images = [f"q{number}" for number in range(5)]
    sightings = pd.DataFrame({"image": ["a", *images], "individual": "Anna", "encounter": [None, *["E"] * 5]})
    sightings["status"] = ["labelled", *["answered"] * 5]
    rows = [(image, rank, name, chance) for image in images for rank, name, chance in ((1, "Anna", 0.8), (2, NEW, 0.2))]
    answers = pd.DataFrame(rows, columns=["query", "rank", "identity", "probability"])
    counts: list[float] = []

    def animals(table: pd.DataFrame) -> float:
        counts.append(float(table["individual"].nunique()))
        return counts[-1]

    assert doubt(sightings, answers, animals, 1) == (1, 2)
    assert set(counts) == {1, 2}  # one encounter is one animal or two, never six
    assert np.mean(np.array(counts) == 2) == pytest.approx(0.2, abs=0.04)
    assert np.isnan(doubt(sightings, answers.assign(probability=np.nan), animals, 1)).all()


def test_two_animals_of_one_encounter_that_may_both_be_wrong_stay_two() -> None:
    sightings = pd.DataFrame(
        {"image": ["p", "q"], "individual": ["Anna", "Bo"], "encounter": "E", "status": "answered"}
    )
    rows = [("p", 1, "Anna", 0.5), ("p", 2, NEW, 0.5), ("q", 1, "Bo", 0.5), ("q", 2, NEW, 0.5)]
    answers = pd.DataFrame(rows, columns=["query", "rank", "identity", "probability"])
    assert doubt(sightings, answers, lambda table: float(table["individual"].nunique()), 1) == (2, 2)


def test_photos_of_one_proposed_animal_are_drawn_together_in_all_their_encounters() -> None:
    """Both are new_0001, or both are Anna: one animal either way."""
    sightings = pd.DataFrame(
        {"image": ["p", "q"], "individual": "new_0001", "encounter": ["E", "F"], "status": "answered"}
    )
    rows = [(image, rank, name, 0.5) for image in "pq" for rank, name in ((1, NEW), (2, "Anna"))]
    answers = pd.DataFrame(rows, columns=["query", "rank", "identity", "probability"])
    assert doubt(sightings, answers, lambda table: float(table["individual"].nunique()), 1) == (1, 1)
