"""Labels that lie beside the photos, and a folder of photos without animals."""

import json
from pathlib import Path

import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.look import describe, look
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source
from finprint.survey.sources.source import Source


def _fill(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        save_photo(root / name, scenery(number))


def _read(root: Path, **changes: object) -> Source:
    return read_source(prepare_params(source="folder", **changes), root)[0]


def _labelme(root: Path, name: str, image: str) -> None:
    shape = {"label": "fin", "points": [[1, 2], [5, 8]], "shape_type": "rectangle"}
    (root / name).write_text(json.dumps({"imagePath": image, "shapes": [shape]}))


def _voc(root: Path, name: str) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>8</ymax></bndbox>"
    (root / name).write_text(
        f"<annotation><filename>old.jpg</filename><object><name>fin</name>{box}</object></annotation>"
    )


@pytest.mark.parametrize("form", ["json", "xml", "txt"])
def test_labels_beside_photos_that_cameras_called_alike(tmp_path: Path, form: str) -> None:
    _fill(tmp_path, "A17/IMG_1.jpg", "B03/IMG_1.JPG", "B03/IMG_2.jpg", "queries/IMG_1.jpg")
    (tmp_path / "B03" / "notes.txt").write_text("sunny")
    for folder in ("A17", "B03", "queries"):
        if form == "json":
            _labelme(tmp_path, f"{folder}/IMG_1.json", "IMG_1.jpg")
        elif form == "xml":
            _voc(tmp_path, f"{folder}/IMG_1.xml")
        else:
            (tmp_path / folder / "IMG_1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
            (tmp_path / folder / "classes.txt").write_text("fin\n" if folder == "A17" else "body\n")
    found = _read(tmp_path, boxes=["."])
    # Each folder's own list says what its classes are called.
    parts = ["fin", "body", "body"] if form == "txt" else ["fin"] * 3
    boxed = found.boxes.set_index("image")["part"].to_dict()
    assert boxed == dict(zip(["A17/IMG_1.jpg", "B03/IMG_1.JPG", "IMG_1.jpg"], parts, strict=True))
    assert set(map(tuple, found.boxes[SIDES].to_numpy().tolist())) == {
        (0.25, 0.25, 0.75, 0.75) if form == "txt" else (1, 2, 5, 8)
    }
    assert found.counts["."]["boxes"] == 3
    assert found.strays == [("B03/notes.txt", "not a photo: .txt files are not read")]


def test_labels_beside_photos_in_kaggle_s_layout(tmp_path: Path) -> None:
    _fill(tmp_path, "train_images/a.jpg", "test_images/b.jpg")
    for name in ("train_images/a", "test_images/b"):
        _labelme(tmp_path, f"{name}.json", "x.jpg")
    (tmp_path / "train.csv").write_text("image,species,individual_id\na.jpg,orca,A17\n")
    found = read_source(prepare_params(source="happywhale", boxes=["."]), tmp_path)[0]
    assert sorted(found.boxes["image"]) == ["a.jpg", "b.jpg"]
    assert found.strays == []


def test_labels_beside_photos_that_cannot_be_read(tmp_path: Path) -> None:
    survey_folder = tmp_path / "survey"
    _fill(survey_folder, "A17/1.jpg", "A17/2.jpg")
    with pytest.raises(UserError) as caught:
        _read(survey_folder, boxes=["."])
    assert str(caught.value) == (
        f"{survey_folder} holds no labels: no .txt of YOLO, no .xml of Pascal VOC, no .json that is called as a photo "
        "beside it"
    )
    (survey_folder / "A17/1.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("body\n")  # which DVC does not watch
    with pytest.raises(UserError) as caught:
        _read(survey_folder, boxes=["."])
    assert str(caught.value) == f"{survey_folder}/A17 has no classes.txt: write prepare.boxes as .:body or :fin"
    assert _read(survey_folder, boxes=[".:fin"]).boxes["part"].tolist() == ["fin"]
    _voc(survey_folder, "A17/2.xml")
    with pytest.raises(UserError, match=r"Pascal VOC .xml\): keep one of the forms"):
        _read(survey_folder, boxes=[".:fin"])


def test_photos_without_animals(tmp_path: Path) -> None:
    _fill(tmp_path, "A17/1.jpg", "A17/2.jpg", "B03/3.jpg", "empty sea/2019/a.jpg", "empty sea/b.jpg")
    (tmp_path / "boxes.csv").write_text("image,part,x_min,y_min,x_max,y_max\nA17/1.jpg,fin,1,2,30,40\n")
    params = prepare_params(source="folder", background="empty sea")
    found = read_source(params, tmp_path)[0]
    nobody = found.labelled[found.labelled["identity"].isna()]
    assert nobody["image"].tolist() == ["empty sea/2019/a.jpg", "empty sea/b.jpg"]
    assert found.strays == []
    boxes = survey(found, params, 1).boxes
    assert boxes[boxes["part"].isna()]["image"].tolist() == nobody["image"].tolist()
    told = describe(look(tmp_path, params))
    assert "  catalogue    3 photos, 2 individuals, 1 of them with one photo\n" in told
    assert "  no animal    2 photos\n" in told


def test_photos_without_animals_beside_a_table(tmp_path: Path) -> None:
    _fill(tmp_path, "1.jpg", "sea/2.jpg")
    (tmp_path / "metadata.csv").write_text("path,identity\n1.jpg,A17\n")
    params = prepare_params(source="csv", background="sea/")
    found = read_source(params, tmp_path)[0]
    assert found.labelled["image"].tolist() == ["1.jpg", "sea/2.jpg"]
    assert found.boxes["image"].tolist() == ["sea/2.jpg"]
    assert found.strays == []
    (tmp_path / "metadata.csv").write_text("path,identity\n1.jpg,A17\nsea/2.jpg,A17\n")
    with pytest.raises(UserError) as caught:
        read_source(params, tmp_path)
    assert str(caught.value) == (
        "sea/2.jpg lies in prepare.background, whose photos show no animal, but a table lists it"
    )
    with pytest.raises(UserError) as caught:
        read_source(prepare_params(source="csv", background="land"), tmp_path)
    assert str(caught.value) == f"{tmp_path}/land holds no photo: prepare.background must name a folder of photos"
