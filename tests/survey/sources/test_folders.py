"""A folder with a sub-folder for each individual."""

from pathlib import Path

import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.survey.sources import read_source
from finprint.survey.sources.source import Source


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


def test_a_slash_behind_the_name_of_the_queries_does_no_harm(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "queries/2.jpg")
    assert _read(tmp_path, queries="queries/").queries["image"].tolist() == ["2.jpg"]


def test_queries_called_nearly_so_are_no_individual(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "Queries/2.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has no queries, but Queries: set prepare.queries to it, or rename the folder"
    )


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


@pytest.mark.parametrize("other", ["beluga/001", "00 1/..", "001"])
def test_one_name_in_two_folders(tmp_path: Path, other: str) -> None:
    """Two species number their animals alike; a space became an underscore: they must not become one."""
    pair = {"beluga/001": ("orca/001", "beluga/001"), "00 1/..": ("00 1", "00_1"), "001": ("001", "orca/001")}[other]
    _fill(tmp_path, f"{pair[0]}/a.jpg", f"{pair[1]}/b.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    first, second = sorted(pair)
    name = pair[0].rpartition("/")[2].replace(" ", "_")
    assert str(caught.value) == f"{tmp_path}: {first} and {second} are both individual {name}: rename one of them"


def test_yolo_labels_find_their_photo(tmp_path: Path) -> None:
    _fill(tmp_path, "A/IMG_1.jpg", "B/IMG_1.jpg", "B/IMG_2.jpg", "queries/Q.jpg")
    labels = tmp_path / "labels"
    (labels / "A").mkdir(parents=True)
    for name in ("A/IMG_1", "IMG_2", "Q"):
        (labels / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    found = _read(tmp_path, boxes=["labels:fin"])
    assert found.boxes["image"].tolist() == ["A/IMG_1.jpg", "B/IMG_2.jpg", "Q.jpg"]
    assert found.strays == []
    (labels / "IMG_1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UserError) as caught:
        _read(tmp_path, boxes=["labels:fin"])
    assert str(caught.value) == (
        f"{labels}/IMG_1.txt: 2 photos are called so, A/IMG_1.jpg and B/IMG_1.jpg: file labels as their photos"
    )


def test_a_linked_folder_is_read(tmp_path: Path) -> None:
    _fill(tmp_path / "elsewhere", "1.jpg")
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "A17").symlink_to(tmp_path / "elsewhere")
    assert _read(tmp_path / "survey").labelled["image"].tolist() == ["A17/1.jpg"]
