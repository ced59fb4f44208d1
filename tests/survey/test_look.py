"""What is told of a folder before any run: how it is understood, and what in it is not."""

from pathlib import Path

import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.store.decisions import LOG, Decision, Log
from finprint.survey import look
from finprint.survey.params import Prepare


def describe(folder: Path, params: Prepare) -> str:
    """What `finprint check --folder` prints."""
    return look.describe(look.look(folder, params))


def test_a_folder_of_animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["A17/left/1.jpg", "A17/Right/1.jpg", "B03/1.jpg", "Unknown/1.jpg", "2019/1.jpg", "queries/q.jpg"]
    for number, name in enumerate(names):
        save_photo(tmp_path / name, scenery(number))
    (tmp_path / "B03/2.jpg").write_text("this photo is not decoded")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "C1").symlink_to("B03")
    copy = "DVC does not watch what lies behind it: copy the photos into prepare.folder"
    assert describe(tmp_path, prepare_params(source="sample")).splitlines() == [
        f"{tmp_path} is read with prepare.source: folder",
        "  folders       NAME/photo (3 photos); NAME/side/photo (2 photos); elsewhere (1 photo)",
        "  catalogue     5 photos, 2 individuals, 0 of them with one photo",
        "  nobody named  1 photo",
        "  individuals   A17 2; B03 2",
        "  viewpoint     not told 4; left 1; right 1",
        "  to identify   1 photo",
        f"  not used      C1: is a link to a folder, and {copy}",
        "                notes.txt: not a photo: .txt files are not read",
        "                2019/1.jpg: lies in no individual's folder: 2019 reads like a year or date; if an animal is "
        "called so, set prepare.folders.identity to 1",
        "  look at       name that means nobody: Unknown (1 photo; if it is an individual's name, remove it from "
        "prepare.nobody)",
    ]
    monkeypatch.setattr(look, "SHOWN", 1)
    assert "                and 2 more" in describe(tmp_path, prepare_params(source="folder")).splitlines()


def test_a_table(tmp_path: Path) -> None:
    for number in range(3):
        save_photo(tmp_path / f"{number}.jpg", scenery(number))
    rows = ["0.jpg,A,13/04/2021 10:00,e", "1.jpg,A,31/02/2021,", "3.jpg,B,,"]
    (tmp_path / "metadata.csv").write_text("\n".join(["path,identity,date,met", *rows]) + "\n")
    csv = prepare_params().csv.model_dump() | {"date": "date", "encounter": "met"}
    text = describe(tmp_path, prepare_params(source="sample", csv=csv))
    assert text.splitlines() == [
        f"{tmp_path} is read with prepare.source: csv",
        "  table             metadata.csv: image from path, identity from identity, encounter from met, date from date",
        "  catalogue         3 photos, 2 individuals, 1 of them with one photo",
        "  individuals       A 2; B 1",
        "  encounters        1, told for 1 of 3 photos",
        "  dates             1 of 3 photos, 2021-04-13 to 2021-04-13",
        "  dates not read    1.jpg: '31/02/2021' is no possible date, read with the day first",
        "  to identify       0 photos",
        "  cannot be opened  3.jpg: not on disk",
        "  not used          2.jpg: on disk, but in no table",
    ]


@pytest.mark.parametrize(
    ("header", "cells", "read"),
    [
        ("file,label", "sea,sea,beach", "csv"),
        ("file,class_name,label", "sea,sea,beach;1,1,2", "csv"),
        ("file,species,class", "seal,seal,seal;Mammalia,Mammalia,Mammalia", "folder"),  # one class of animals
        ("file,label,coordinates", "sea,sea,beach;1.5 2,1.5 2,1.5 2", "csv"),  # of a place
        ("Image,Id", "w_1,w_1,w_2", "csv"),  # Kaggle's humpbacks
        ("Image,whaleID", "whale_1,whale_2,whale_3", "csv"),  # Kaggle's right whales
        ("Image,Id", "1,2,3", "folder"),  # numbers of the rows
        ("file,label,xmin,ymin,xmax,ymax", "fin,fin,body;1,1,1;1,1,1;9,9,9;9,9,9", "folder"),  # what boxes show
        ("file,class,bbox", "fin,fin,body;1 1 9 9,1 1 9 9,1 1 9 9", "folder"),
    ],
)
def test_which_columns_tell_classes(tmp_path: Path, header: str, cells: str, read: str) -> None:
    for number in range(3):
        save_photo(tmp_path / "A" / f"{number}.jpg", scenery(number))
    columns = [f"A/{number}.jpg" for number in range(3)], *(cell.split(",") for cell in cells.split(";"))
    (tmp_path / "labels.csv").write_text("\n".join([header, *(",".join(row) for row in zip(*columns, strict=True))]))
    lines = describe(tmp_path, prepare_params(source="sample")).splitlines()
    assert lines[0] == f"{tmp_path} is read with prepare.source: {read}"
    if read == "csv":
        image, identity = header.split(",")[:2]
        assert lines[1].split(maxsplit=1)[1] == f"labels.csv: image from {image}, identity from {identity}"


def _tables(root: Path, photos: list[str], **tables: str) -> str:
    """How a folder with these photos and tables is read: the form, and the table with its columns."""
    for number, name in enumerate(photos):
        save_photo(root / name, scenery(number))
    for name, text in tables.items():
        (root / f"{name}.csv").write_text(text.replace(" ", "\n") + "\n")
    lines = describe(root, prepare_params(source="sample")).splitlines()
    return f"{lines[0].split(': ')[-1]} {lines[1].split(maxsplit=1)[1]}"


def test_names_that_are_sure_come_before_names_that_are_not(tmp_path: Path) -> None:
    photos = ["1.jpg", "2.jpg", "3.jpg"]
    rated = "file,label 1.jpg,good 2.jpg,good 3.jpg,poor"
    named = "file,individual_id 1.jpg,A 2.jpg,A 3.jpg,B"
    assert _tables(tmp_path / "two", photos, a_quality=rated, individuals=named).startswith("csv individuals.csv: ")
    blank = "Image,Id 1.jpg,new_whale 2.jpg,new_whale 3.jpg,w_1"
    humpbacks = {"sample_submission": blank, "train": "Image,Id 1.jpg,w_1 2.jpg,w_1 3.jpg,w_2"}
    assert _tables(tmp_path / "kaggle", photos, **humpbacks) == "csv train.csv: image from Image, identity from Id"
    sorted_ = ["A17/1.jpg", "B3/2.jpg", "B3/3.jpg"]
    assert _tables(tmp_path / "sorted", sorted_, ratings=rated) == "folder NAME/photo (3 photos)"
    dealt = ["train/1.jpg", "test/2.jpg", "test/3.jpg"]
    assert _tables(tmp_path / "dealt", dealt, ratings=rated) == "csv ratings.csv: image from file, identity from label"
    numbers = "file,id,remark 1.jpg,1,mother 1.jpg,1,calf 2.jpg,2,calf"  # of the rows
    assert _tables(tmp_path / "rows", ["A/1.jpg", "A/2.jpg"], notes=numbers).startswith("folder")


@pytest.mark.parametrize(
    ("names", "queries"),
    [
        ("1,2,3", "test"),
        ("train/1.jpg,train/2.jpg,4", "test"),  # 4 is nowhere
        ("1,2,train/5.jpg", "test"),
        ("1,2,5", "queries"),  # the table names a photo of the test share
        ("1,2,test/q.jpg", "queries"),
    ],
)
def test_photos_to_identify_beside_a_table(tmp_path: Path, names: str, queries: str) -> None:
    photos = ["train/1.jpg", "train/2.jpg", "train/3.jpg", "test/1.jpg", "test/5.jpg", "test/q.jpg"]
    rows = [f"{name},{label}" for name, label in zip(names.split(","), "AAB", strict=True)]
    _tables(tmp_path, photos, labels=" ".join(["file,label", *rows]))
    looked = look.look(tmp_path, prepare_params(source="sample"))
    assert (looked.params.source, looked.params.queries) == ("csv", queries)
    assert len(looked.source.queries) == (3 if queries == "test" else 0)
    (tmp_path / "metadata.csv").write_text("photograph,identity\n1,A\n")
    with pytest.raises(UserError, match=r"metadata.csv has no column path"):
        look.look(tmp_path, prepare_params(source="sample"))


def test_kaggle_s_layout_with_boxes_and_decisions(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,a,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,3,4")
    folder.table("decisions.csv", "action,id,to", "drop,b.jpg,")
    text = describe(folder.root, prepare_params(source="sample"))
    assert f"{folder.root} is read with prepare.source: happywhale" in text
    assert "  boxes        boxes.csv: 1 row, 1 box, " in text
    assert "  decisions    1 drop, 0 merge, 0 relabel" in text


def test_what_would_be_refused_is(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        describe(tmp_path / "gone", prepare_params(source="sample"))
    assert str(caught.value) == f"{tmp_path}/gone is no folder"
    with pytest.raises(UserError) as caught:
        describe(Path(), prepare_params(source="sample"))
    assert str(caught.value) == ". is the project itself: name the photos' folder"
    for number, name in enumerate(["A17/1.jpg", "A17/bay/2.jpg"]):
        save_photo(tmp_path / name, scenery(number))
    with pytest.raises(UserError, match="A17 holds photos and a folder of photos"):
        describe(tmp_path, prepare_params(source="sample"))


def test_decisions_of_the_review_are_counted_for_the_project_s_own_folder(
    folder: SurveyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos("q.jpg", "r.jpg", split="test")
    monkeypatch.chdir(tmp_path)
    Log(look.REVIEWED / LOG).append(Decision(action="confirm", photo="q.jpg", to="A"))
    text = describe(folder.root, prepare_params(folder="survey"))
    assert "1 confirm" in text
    assert "  to identify  1 photo" in text
    assert "confirm" not in describe(folder.root, prepare_params(folder="elsewhere"))
