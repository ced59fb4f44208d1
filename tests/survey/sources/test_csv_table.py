"""Any table of photos, its columns called as params say."""

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.params import Prepare
from finprint.survey.sources import read_source
from finprint.survey.sources.source import Source


def _params(**columns: Any) -> Prepare:
    return prepare_params(source="csv", csv=prepare_params().csv.model_dump() | columns)


def _read(root: Path, **columns: Any) -> Source:
    return read_source(_params(**columns), root)[0]


def _table(root: Path, *lines: str, name: str = "metadata.csv") -> None:
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_the_metadata_of_wildlife_datasets(tmp_path: Path) -> None:
    _table(
        tmp_path,
        "image_id,identity,path,bbox,date,species,original_split",
        '0,A,imgs\\1.jpg,"[1.0, 2.0, 30.0, 40.0]",2019-07-03 10:00:00,orca,train',
        "1,unknown,imgs/2.jpg,,,orca,train",
        '2,B,imgs/3.jpg,"[5, 6, 7, 8]",2019-07-03,,test',
    )
    found = _read(
        tmp_path, species="species", date="date", box="bbox", split="original_split", query_value="test", part="fin"
    )
    assert found.labelled[["image", "identity", "species", "date"]].fillna("?").to_numpy().tolist() == [
        ["imgs/1.jpg", "A", "orca", "2019-07-03 10:00:00"],
        ["imgs/2.jpg", "?", "orca", "?"],
    ]
    assert found.queries[["image", "identity", "date"]].fillna("?").to_numpy().tolist() == [
        ["imgs/3.jpg", "?", "2019-07-03"]
    ]
    assert found.truth.to_numpy().tolist() == [["imgs/3.jpg", "B"]]
    assert found.boxes[["image", "part", *SIDES]].to_numpy().tolist() == [
        ["imgs/1.jpg", "fin", 1, 2, 31, 42],
        ["imgs/3.jpg", "fin", 5, 6, 12, 14],
    ]


def test_several_animals_in_one_photo(tmp_path: Path) -> None:
    rows = ("a.jpg,A,1,2,3,4", "a.jpg,B,5,6,7,8", "b.jpg,A,1,1,2,2", "a.jpg,C,,,,")
    _table(tmp_path, "path,identity,l,t,r,b", *rows)
    found = _read(tmp_path, box="l t r b", box_form="corners")
    assert found.labelled["image"].tolist() == ["a.jpg", "a.jpg#2", "b.jpg", "a.jpg#3"]
    assert found.labelled["path"].tolist() == [str(tmp_path / f"{name}.jpg") for name in "aaba"]
    assert found.boxes[["image", *SIDES]].to_numpy().tolist() == [
        ["a.jpg", 1, 2, 3, 4],
        ["a.jpg#2", 5, 6, 7, 8],
        ["b.jpg", 1, 1, 2, 2],
    ]


def test_coco_with_names(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "orca"}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "individual": 17},
            {"id": 6, "image_id": 1, "category_id": 1, "bbox": [5, 6, 7, 8], "individual": 18},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    columns = {"file": "coco.json", "image": "file_name", "identity": "individual", "species": "category"}
    found = _read(tmp_path, **columns, box="bbox")
    assert found.labelled[["image", "identity", "species"]].fillna("?").to_numpy().tolist() == [
        ["a.jpg", "17", "orca"],
        ["a.jpg#2", "18", "orca"],
        ["b.jpg", "?", "?"],
    ]
    assert found.boxes.dropna(subset=SIDES)[SIDES].to_numpy().tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert found.boxes.loc[found.boxes["written"] == "", "image"].tolist() == ["b.jpg"]  # it shows no animal


def test_loose_photos_are_queries_or_strays(tmp_path: Path) -> None:
    for number, name in enumerate(("a.jpg", "b.jpg", "queries/q.jpg", "note.txt")):
        save_photo(tmp_path / name, scenery(number)) if name.endswith("jpg") else (tmp_path / name).write_text("")
    _table(tmp_path, "path,identity", "a.jpg,A")
    found = _read(tmp_path)
    assert found.queries[["image", "path"]].to_numpy().tolist() == [["q.jpg", str(tmp_path / "queries/q.jpg")]]
    assert found.strays == [
        ("b.jpg", "on disk, but in no table"),
        ("note.txt", "not a photo: .txt files are not read"),
    ]


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    _table(tmp_path, "path,id", "a.jpg,A")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == f"{tmp_path}/metadata.csv has no column identity (it has: path, id)"
    with pytest.raises(UserError) as caught:
        _read(tmp_path, file="gone.csv")
    assert str(caught.value) == f"{tmp_path}/gone.csv is missing"
    with pytest.raises(ValueError, match="it must name one column, or four with spaces between them"):
        _params(box="x y w")


def test_photos_without_boxes_are_no_rejects(tmp_path: Path) -> None:
    _table(tmp_path, "path,identity", "./im/a.jpg,A", "im\\b.jpg,B")
    for name in ("a.jpg", "b.jpg"):
        save_photo(tmp_path / "im" / name, scenery(1))
    found = _read(tmp_path)
    assert len(found.boxes) == 0
    assert found.labelled["image"].tolist() == ["im/a.jpg", "im/b.jpg"]
    assert found.strays == []


def test_an_empty_table_and_a_row_without_a_photo(tmp_path: Path) -> None:
    _table(tmp_path, "path,identity,x,y,w,h")
    assert len(_read(tmp_path, box="x y w h").labelled) == 0
    (tmp_path / "c.json").write_text(json.dumps({"images": [{"id": 1}, {"id": 2, "file_name": "a.jpg"}]}))
    with pytest.raises(UserError) as caught:
        _read(tmp_path, file="c.json", image="file_name", identity="")
    assert str(caught.value) == f"{tmp_path}/c.json: file_name is empty in 1 row"


def test_a_table_in_a_sub_folder_is_no_stray(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    _table(tmp_path / "notes", "path,identity", "a.jpg,A")
    save_photo(tmp_path / "a.jpg", scenery(1))
    assert _read(tmp_path, file="notes/metadata.csv").strays == []


def test_any_file_that_the_table_names_is_used_and_no_stray(tmp_path: Path) -> None:
    """Other suffixes, and absolute paths that lead into the folder; an id is never absolute."""
    names = ["a.jfif", "b.jpg", "c.photo"]
    for number, name in enumerate(names):
        save_photo(tmp_path / "photo.jpg", scenery(number)).rename(tmp_path / name)
    _table(tmp_path, "path,identity", "a.jfif,A", f"{tmp_path}/b.jpg,B", "c.photo,A")
    found = _read(tmp_path)
    assert found.labelled["image"].tolist() == names
    assert found.labelled["path"].tolist() == [str(tmp_path / name) for name in names]
    assert found.strays == []


@pytest.mark.parametrize("path", ["../x.jpg", "/etc/x.jpg", "C:\\x.jpg"])
def test_a_photo_outside_of_the_folder(tmp_path: Path, path: str) -> None:
    _table(tmp_path, "path,identity", "a.jpg,A", f"{path},B")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/metadata.csv line 3: {path!r} leads out of {tmp_path}, and DVC does not watch what lies there: "
        "copy the photos into prepare.folder"
    )


def test_photos_that_cannot_be_opened_say_why(tmp_path: Path) -> None:
    save_photo(tmp_path / "far/a.jpg", scenery(1))
    root = tmp_path / "survey"
    save_photo(root / "IMG_1.JPG", scenery(2))
    (root / "linked").symlink_to(tmp_path / "far")
    os.mkfifo(root / "pipe.jpg")
    save_photo(root / "Img_1.jpg", scenery(3))
    _table(root, "path,identity", "linked/a.jpg,A", "img_1.jpg,B", "pipe.jpg,A", "gone.jpg,A")
    found = _read(root)
    copy = "DVC does not watch what lies behind it: copy the photos into prepare.folder"
    assert found.barred == {
        f"{root}/linked/a.jpg": f"linked is a link to a folder, and {copy}",
        f"{root}/img_1.jpg": "not on disk; 2 files may be meant, IMG_1.JPG and Img_1.jpg: write the whole path",
        f"{root}/pipe.jpg": "is no file but a pipe: remove it",
    }


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("A17/IMG_1", "A17/IMG_1.JPG"),
        ("img_1.jpg", "A17/IMG_1.JPG"),
        ("IMG%201.jpg", "IMG 1.jpg"),
        ("C:\\Users\\me\\A17\\IMG_1.JPG", "photos/A17/IMG_1.JPG"),
        ("C:\\Users\\me\\IMG_1.JPG", "A17/IMG_1.JPG"),
        ("/Volumes/disk/IMG_1.JPG", "A17/IMG_1.JPG"),
        ("../photos/IMG_1.JPG", "A17/IMG_1.JPG"),
        ("https://some.where/a%20b/IMG_1.JPG", "A17/IMG_1.JPG"),
        ("7.jpg", "0007.jpg"),
        ("7", "A17/0007.jpg"),
        ("A17/IMG_12", "A17/IMG_0012.JPG"),
    ],
)
def test_names_that_can_only_be_one_file(
    tmp_path: Path, written: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are found, which is told; where two files fit they are not, and the reason says so."""
    save_photo(tmp_path / file, scenery(1))
    save_photo(tmp_path / "17.jpg", scenery(2))
    _table(tmp_path, "path,identity", f"{written},A", "17.jpg,B")
    found = _read(tmp_path)
    assert found.labelled[["image", "path"]].to_numpy().tolist()[0] == [file, str(tmp_path / file)]
    assert (found.barred, found.strays) == ({}, [])
    assert capsys.readouterr().out == (
        f"{tmp_path}/metadata.csv: 1 name of photos written otherwise than on disk; each can only be one file, as "
        f"{written!r} is {file}\n"
    )


def test_names_that_may_be_several_files_or_another_row_s(tmp_path: Path) -> None:
    for number, name in enumerate(("A/1.jpg", "B/1.jpg", "C/02.jpg", "queries/04.jpg")):
        save_photo(tmp_path / name, scenery(number))
    _table(tmp_path, "path,identity", "1.jpg,A", "C/02.jpg,B", "C/2.jpg,A", "4.jpg,A")
    found = _read(tmp_path)
    assert found.labelled["image"].tolist() == ["1.jpg", "C/02.jpg", "C/2.jpg", "4.jpg"]
    assert found.queries["image"].tolist() == ["04.jpg"]
    assert found.barred == {
        f"{tmp_path}/1.jpg": "not on disk; 2 files may be meant, A/1.jpg and B/1.jpg: write the whole path"
    }


def test_viewpoints_places_and_nobodies(tmp_path: Path) -> None:
    rows = [
        "a.jpg,Unidentified,LEFT side,Skye,?",
        "b.jpg,?,R,n/a,e1",
        "c.jpg,A17,dorsal,,unknown",
        "d.jpg,nn,unknown,,",
    ]
    _table(tmp_path, "path,identity,view,place,met", *rows)
    facts = {"viewpoint": "view", "location": "place", "encounter": "met", "unknown": "nn"}
    found = _read(tmp_path, **facts)
    columns = ["identity", "viewpoint", "location", "encounter"]
    assert found.labelled[columns].fillna("").to_numpy().tolist() == [["A17", "dorsal", "", ""]]
    assert found.queries[columns].fillna("").to_numpy().tolist() == [
        ["", "left", "Skye", ""],
        ["", "right", "", "e1"],
        ["", "", "", ""],
    ]


def test_latitude_and_longitude(tmp_path: Path) -> None:
    _table(tmp_path, "path,identity,lat,lon", 'a.jpg,A,"-43,2",171.5', "b.jpg,B,n/a,")
    found = _read(tmp_path, latitude="lat", longitude="lon")
    assert found.labelled[["latitude", "longitude"]].fillna(-1).to_numpy().tolist() == [[-43.2, 171.5], [-1, -1]]
    for written, why in (("43.2S", "which is no number"), ("91", "which is not on this Earth")):
        _table(tmp_path, "path,identity,lat,lon", f"a.jpg,A,{written},171.5")
        with pytest.raises(UserError) as caught:
            _read(tmp_path, latitude="lat", longitude="lon")
        assert str(caught.value) == f"a.jpg: latitude is '{written}', {why}"


@pytest.mark.parametrize("place", ["56.12, -3.2", "57.5", "57.5 N 3.1 W"])
def test_coordinates_are_no_places(tmp_path: Path, place: str) -> None:
    _table(tmp_path, "path,identity,place", f'a.jpg,A,"{place}"')
    with pytest.raises(UserError) as caught:
        _read(tmp_path, location="place")
    assert str(caught.value) == (
        f"{tmp_path}/metadata.csv: place holds coordinates ({place}), which differ from photo to photo: "
        "prepare.csv.location must be a column of names of places, or ''"
    )


def test_a_table_and_a_disk_in_two_forms_of_unicode(tmp_path: Path) -> None:
    for disk, table in (("NFD", "NFC"), ("NFC", "NFD")):
        root = tmp_path / disk
        there, written = (unicodedata.normalize(form, "café/Zoë.jpg") for form in (disk, table))
        save_photo(root / there, scenery(1))
        _table(root, "path,identity", f"{written},Zoë", f"gone.jpg,{unicodedata.normalize(table, 'Zoë')}")
        found = _read(root)
        assert found.labelled["image"].tolist() == ["café/Zoë.jpg", "gone.jpg"]
        assert found.labelled["path"][0] == f"{root}/{there}"
        assert found.labelled["identity"].nunique() == 1
        assert found.strays == []


def test_loose_photos_in_a_folder_almost_called_queries(tmp_path: Path) -> None:
    save_photo(tmp_path / "Querys/1.jpg", scenery(1))
    _table(tmp_path, "path,identity", "a.jpg,A")
    with pytest.raises(UserError, match="has no folder queries, but one called Querys: set"):
        _read(tmp_path)
