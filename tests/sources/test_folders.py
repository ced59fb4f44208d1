"""A folder with a sub-folder for each individual."""

from pathlib import Path

import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.errors import UserError
from finprint.sources import read_source
from finprint.sources.source import Source


def _fill(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        save_photo(root / name, scenery(number))


def _read(root: Path, **changes: object) -> Source:
    return read_source(prepare_params(source="folder", **changes), root)[0]


def test_individuals_and_species(tmp_path: Path) -> None:
    _fill(
        tmp_path,
        "A17/IMG_1.jpg",
        "A17/IMG_2.png",
        "orca/Old  Tom/IMG_1.jpg",
        "queries/IMG_1.jpg",
        "queries/day 2/b.jpg",
    )
    found = _read(tmp_path)
    assert found.labelled[["image", "species", "identity"]].fillna("?").to_numpy().tolist() == [
        ["A17/IMG_1.jpg", "?", "A17"],
        ["A17/IMG_2.png", "?", "A17"],
        ["orca/Old  Tom/IMG_1.jpg", "orca", "Old_Tom"],
    ]
    assert found.labelled["path"].tolist() == [str(tmp_path / name) for name in found.labelled["image"]]
    assert found.queries["image"].tolist() == ["IMG_1.jpg", "day 2/b.jpg"]
    assert found.queries["path"].tolist() == [str(tmp_path / "queries" / name) for name in found.queries["image"]]
    assert found.queries["identity"].isna().all()
    assert found.strays == []


def test_what_is_no_photo_of_anybody(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "loose.jpg", "a/b/c/deep.jpg", ".cache/1.jpg")
    for name in ("A/notes.txt", "A/IMG.CR2", "A/.DS_Store", "decisions.csv", "boxes.csv"):
        (tmp_path / name).write_text("action,id,to\n" if name == "decisions.csv" else "")
    (tmp_path / "boxes.csv").write_text("image,part,x_min,y_min,x_max,y_max\nA/1.jpg,fin,1,2,3,4\n")
    found = _read(tmp_path)
    assert found.labelled["image"].tolist() == ["A/1.jpg"]
    assert len(found.boxes) == 1
    assert found.strays == [
        ("A/IMG.CR2", "no photo by its name: .CR2 files are not read"),
        ("A/notes.txt", "no photo by its name: .txt files are not read"),
        ("a/b/c/deep.jpg", "lies deeper than SPECIES/INDIVIDUAL/photo"),
        ("loose.jpg", "lies in no individual's folder"),
    ]


def test_another_name_for_the_queries(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "unknown/1.jpg")
    assert _read(tmp_path, queries="unknown").queries["image"].tolist() == ["1.jpg"]
    assert _read(tmp_path).labelled["identity"].tolist() == ["A", "unknown"]


def test_no_folder_and_no_individuals(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _read(tmp_path / "gone")
    complaint = "is no folder: prepare.folder must name one with a sub-folder for each individual"
    assert str(caught.value) == f"{tmp_path}/gone {complaint}"
    _fill(tmp_path, "1.jpg", "queries/2.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (f"{tmp_path} has no photo in a sub-folder: each individual has one with its photos")


def test_an_individual_cannot_be_new(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "new_individual/1.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: new_individual/1.jpg: an individual cannot be called new_individual: leave it empty"
    )
