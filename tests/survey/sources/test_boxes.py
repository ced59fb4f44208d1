"""Tables of boxes in every published form: the same corners come out, and every row is accounted for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from finprint.__main__ import app
from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources.box_columns import Columns, parse
from finprint.survey.sources.boxes import count, read_boxes, read_table_of_boxes
from finprint.survey.sources.coco import read_coco

WANTED = [10.0, 20.0, 110.0, 70.0]


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _coco(path: Path, **changes: object) -> Path:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "none.jpg"}],
        "categories": [{"id": 3, "name": "fin"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 100, 50], "name": "A17"}],
    }
    path.write_text(json.dumps(content | changes))
    return path


@pytest.mark.parametrize(
    ("header", "row", "part"),
    [
        ("image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,10,20,110,70", ""),
        ("filename,x,y,w,h", "a.jpg,10,20,100,50", "fin"),  # fullbody_annotations.csv
        ("bbox,conf,height,image", "[[ 10  20 110  70]],[0.83],2400,a.jpg", "fin"),  # *_charm.csv
        ("image,species,individual_id,box", "a.jpg,orca,A,10 20 110 70", "fin"),  # train2.csv
        ("path,box,part", 'a.jpg,"(10.0, 2e1, 110, 70)",fin', ""),
    ],
)
def test_published_forms(tmp_path: Path, header: str, row: str, part: str) -> None:
    found = read_table_of_boxes(_write(tmp_path / "t.csv", header, row), part)
    assert found[["image", "part", *SIDES]].to_numpy().tolist() == [["a.jpg", "fin", *WANTED]]
    assert found["confidence"].tolist() == [0.83 if "conf" in header else 1.0]
    assert not found["share"].any()


def test_coco(tmp_path: Path) -> None:
    table, counts = count(read_table_of_boxes(_coco(tmp_path / "c.json")), 0)
    boxed = table[table["written"] != ""]
    assert boxed[["image", "part", *SIDES]].to_numpy().tolist() == [["a.jpg", "fin", *WANTED]]
    assert counts == {"rows": 2, "boxes": 1, "empty": 1, "malformed": 0, "unsure": 0}
    joined = read_coco(tmp_path / "c.json")
    assert joined[["file_name", "category", "name"]].fillna("?").to_numpy().tolist() == [
        ["a.jpg", "fin", "A17"],
        ["none.jpg", "?", "?"],
    ]


def test_coco_without_marks_and_no_coco(tmp_path: Path) -> None:
    assert read_coco(_coco(tmp_path / "c.json", annotations=[], categories=[]))["category"].isna().all()
    for content, complaint in (
        ("[]", r"is not in COCO's form \(images, annotations, categories\): "),
        ("{}", r"is not in COCO's form \(images, annotations, categories\): "),
        ("not json", "is no JSON: Expecting value: line 1 column 1"),
    ):
        with pytest.raises(UserError, match=rf"c\.json {complaint}"):
            read_coco(_write(tmp_path / "c.json", content))


def test_yolo(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    _write(labels / "a.txt", "1 0.5 0.5 0.2 0.4", "0 0.25 0.25 0.5 0.5 0.9", "7 0.1 0.1 0.1 0.1", "0 0.5 x 1 1")
    (labels / "b.txt").write_text("")
    with pytest.raises(UserError) as caught:
        read_table_of_boxes(labels)
    assert str(caught.value) == f"{labels} has no classes.txt: write prepare.boxes as labels:body or :fin"
    _write(labels / "classes.txt", "body", "fin")
    table, counts = count(read_table_of_boxes(labels, photos=["d/a.JPG", "b.png"]), 0)
    assert counts == {"rows": 5, "boxes": 2, "empty": 1, "malformed": 2, "unsure": 0}
    good = table.dropna(subset=SIDES)
    assert good[["image", "part"]].to_numpy().tolist() == [["d/a.JPG", "fin"], ["d/a.JPG", "body"]]
    assert np.allclose(good[SIDES].to_numpy(float), [[0.4, 0.3, 0.6, 0.7], [0, 0, 0.5, 0.5]])
    assert good["share"].all()
    assert good["confidence"].tolist() == [1.0, 0.9]
    _, counts = count(read_table_of_boxes(labels, "fin"), 0)
    assert counts["boxes"] == 3  # one part for all: the class numbers do not count


def test_every_row_is_counted_once(tmp_path: Path) -> None:
    rows = ["a,1 2 3 4,0.9", "b,,", "c,1 2 3,0.9", "d,1 2 x 4,0.9", "e,1 2 3 4 5 6 7 8,[0.5 0.1]", "f,5 6 7 8,0.2"]
    _write(tmp_path / "t.csv", "image,box,conf", *rows)
    table, counts = read_boxes(tmp_path, ["t.csv:fin"], 0.25, [])
    assert counts == {"t.csv": {"rows": 7, "boxes": 2, "empty": 1, "malformed": 2, "unsure": 2}}
    assert table["image"].tolist() == ["a", "b", "c", "d", "e"]  # b shows no animal
    assert table["written"].tolist()[1:4] == ["", "1 2 3", "1 2 x 4"]


def test_boxes_csv_is_read_unasked_and_others_must_be_there(tmp_path: Path) -> None:
    assert read_boxes(tmp_path, [], 0, [])[1] == {}
    _write(tmp_path / "boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a,fin,1,2,3,4")
    _write(tmp_path / "more.csv", "image,box", "b,1 2 3 4")
    table, counts = read_boxes(tmp_path, ["more.csv:body"], 0, [])
    assert list(counts) == ["boxes.csv", "more.csv"]
    assert table[["image", "part"]].to_numpy().tolist() == [["a", "fin"], ["b", "body"]]
    assert list(read_boxes(tmp_path, ["boxes.csv:fin"], 0, [])[1]) == ["boxes.csv"]
    with pytest.raises(UserError) as caught:
        read_boxes(tmp_path, ["mor.csv"], 0, [])
    assert str(caught.value) == f"{tmp_path}/mor.csv is missing: prepare.boxes names it"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ("photo,box", "has no column image (it has: photo, box)"),
        ("image,left,right", "has no column x_min, y_min, x_max, y_max (it has: image, left, right)"),
        ("image,box", "does not say what its boxes show: write prepare.boxes as t.csv:body or :fin"),
    ],
)
def test_tables_of_no_known_form(tmp_path: Path, header: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        read_table_of_boxes(_write(tmp_path / "t.csv", header, "a,b,c"[: 2 * header.count(",") + 1]))
    assert str(caught.value) == f"{tmp_path}/t.csv {complaint}"


@given(
    boxes=st.lists(st.tuples(*[st.integers(-50, 5000)] * 4).filter(lambda box: max(box) > 1), max_size=3),
    form=st.sampled_from(["{} {} {} {}", "[{}, {}, {}, {}]", "({};{};{};{})", "{}.0,{}.0,{}.0,{}.0"]),
)
def test_whatever_the_brackets(boxes: list[tuple[int, int, int, int]], form: str) -> None:
    """Several boxes a cell stand in brackets of their own, or beside as many confidences."""
    text = " ".join(form.format(*box) for box in boxes) or None
    cells = pd.Series([text], dtype="string")
    sure = None if form[0] in "[(" else pd.Series([" ".join(["0.5"] * len(boxes))], dtype="string")
    found = parse(Columns(pd.Series(["a"]), pd.Series(["fin"]), cells, sure), "corners")
    if not boxes:
        assert found[SIDES].isna().all(axis=None)
        return
    assert found[SIDES].to_numpy(float).tolist() == [list(map(float, box)) for box in boxes]
    sized = parse(Columns(pd.Series(["a"]), pd.Series(["fin"]), cells, sure), "size")[SIDES].to_numpy(float)
    wanted = np.array(boxes, float)
    assert np.array_equal(sized[:, 2:] - sized[:, :2], np.abs(wanted[:, 2:]))
    assert np.array_equal(sized[:, :2], wanted[:, :2] + np.minimum(wanted[:, 2:], 0))  # drawn leftwards or upwards


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,4000,3000,fin,10,20,110,70"),  # TensorFlow's
        ("Image;Part;X Min;Y Min;X Max;Y Max", "a.jpg;fin;10,0;20;110,0;70,0"),  # from a European Excel
        ("image_path,label,x1,y1,x2,y2,score", "a.jpg,fin,10,20,110,70,1"),
        ("img,category,left,top,width,height", "a.jpg,fin,10,20,100,50"),
        ("file_name,part,bbox_x,bbox_y,bbox_w,bbox_h", "a.jpg,fin,10,20,100,50"),
        ("image,part,x_center,y_center,width,height", "a.jpg,fin,60,45,100,50"),
        ("image,part,cx,cy,w,h", "a.jpg,fin,60,45,100,50"),
        ("image,part,left,top,right,bottom", "a.jpg,fin,10,20,110,70"),
        ("image\tpart\tbox", "a.jpg\tfin\t10 20 110 70"),
        ("image;part;box", "a.jpg;fin;10,0 20 110,0 70"),
        ("image,part,polygon", 'a.jpg,fin,"[[10, 20], [110, 25], [60, 70]]"'),
        ("image,part,bbox", 'a.jpg,fin,"[10, 70, 60, 20, 110, 30, 50, 65]"'),  # a turned box
    ],
)
def test_what_columns_are_called(tmp_path: Path, header: str, row: str) -> None:
    table = read_table_of_boxes(_write(tmp_path / "t.csv", header, row))
    assert table[["image", "part", *SIDES]].to_numpy().tolist() == [["a.jpg", "fin", *WANTED]]
    assert count(table, 0)[1]["boxes"] == 1


def test_a_cell_of_four_numbers_is_corners_or_extents_by_its_column(tmp_path: Path) -> None:
    corners = ["a,50 60 90 80", "b,10 10 20 20", "c,9 9 5 5"]
    table = read_table_of_boxes(_write(tmp_path / "t.csv", "image,bbox", *corners), "fin")
    assert table[SIDES].to_numpy(float).tolist() == [[50, 60, 90, 80], [10, 10, 20, 20], [9, 9, 5, 5]]
    extents = ["a,50 60 20 10", "b,90 10 20 20", "c,1 1 5 5"]
    table = read_table_of_boxes(_write(tmp_path / "t.csv", "image,bbox", *extents), "fin")
    assert table[SIDES].to_numpy(float).tolist() == [[50, 60, 70, 70], [90, 10, 110, 30], [1, 1, 6, 6]]


def test_numbers_that_can_be_two_things_are_malformed(tmp_path: Path) -> None:
    """With decimal commas: four numbers, or four points?"""
    _write(tmp_path / "t.csv", "image;box", "a;10,5 20,5 30,5 40,5", "b;1 2 3 4 5", "c;10 20 30 40")
    table, counts = count(read_table_of_boxes(tmp_path / "t.csv", "fin"), 0)
    assert counts == {"rows": 3, "boxes": 1, "empty": 0, "malformed": 2, "unsure": 0}
    assert table["written"].tolist() == ["10,5 20,5 30,5 40,5", "1 2 3 4 5", "10 20 30 40"]


def test_shares_and_pixels(tmp_path: Path) -> None:
    header, shares = "image,part,x,y,w,h", ["a,fin,0.25,0.5,0.25,0.5", "b,fin,0,0,1,1"]
    table = read_table_of_boxes(_write(tmp_path / "t.csv", header, *shares))
    assert table["share"].all()
    assert table[SIDES].to_numpy(float).tolist() == [[0.25, 0.5, 0.5, 1], [0, 0, 1, 1]]
    assert not read_table_of_boxes(_write(tmp_path / "t.csv", header, "a,fin,0,0,1,1", "b,fin,5,5,9,9"))["share"].any()
    with pytest.raises(UserError) as caught:
        read_table_of_boxes(_write(tmp_path / "t.csv", header, *shares, "c,fin,10,20,30,40"))
    assert str(caught.value) == (
        f"{tmp_path}/t.csv mixes shares of the photo's sides (0.25, 0.5, 0.25, 0.5 of a) and pixels "
        "(10, 20, 30, 40 of c): write all boxes in one of the two"
    )


def _labels(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True)
    _write(folder / "a.txt", *lines)
    return folder


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "../classes.txt"])
def test_yolo_s_classes_are_lines(tmp_path: Path, name: str) -> None:
    labels = _labels(tmp_path / "set" / "labels", "0 .5 .5 .2 .4", "1 .5 .5 .2 .4", "2 .5 .5 .2 .4")
    (labels / name).write_text("\ufeffdorsal fin \r\nbody\r\n\r\n", encoding="utf-8")
    table = read_table_of_boxes(labels)
    assert table["part"].tolist()[:2] == ["dorsal fin", "body"]
    assert count(table, 0)[1] == {"rows": 3, "boxes": 2, "empty": 0, "malformed": 1, "unsure": 0}


@pytest.mark.parametrize("names", ["[dorsal fin, body]", "\n  0: dorsal fin\n  1: body\n"])
def test_yolo_s_data_yaml(tmp_path: Path, names: str) -> None:
    labels = _labels(tmp_path / "set" / "train" / "labels", "0 .5 .5 .2 .4", "1 .5 .5 .2 .4")
    (tmp_path / "set" / "data.yaml").write_text(f"train: images/train\nnames: {names}\n")
    for beside in ("train.txt", "README.roboflow.txt", "._a.txt"):
        _write(tmp_path / "set" / beside, "images/a.jpg")
    table = read_table_of_boxes(tmp_path / "set", photos=["W1/a.jpg"])
    assert table[["image", "part"]].to_numpy().tolist() == [["W1/a.jpg", "dorsal fin"], ["W1/a.jpg", "body"]]
    (tmp_path / "set" / "data.yaml").write_text("nc: 2\n")
    with pytest.raises(UserError, match=r"data\.yaml does not list the classes under `names`: 'names'"):
        read_table_of_boxes(tmp_path / "set")
    assert labels.exists()


@pytest.mark.parametrize(
    ("line", "corners", "confidence"),
    [
        ("0 .5 .5 .2 .4", [0.4, 0.3, 0.6, 0.7], 1.0),
        ("0.0 5e-1 0.5 0.2 0.4 0.9", [0.4, 0.3, 0.6, 0.7], 0.9),
        ("0 .4 .5 .5 .3 .6 .5 .5 .7", [0.4, 0.3, 0.6, 0.7], 1.0),  # a turned box
        ("0 .4 .5 .5 .3 .6 .5 .5 .7 .8", [0.4, 0.3, 0.6, 0.7], 0.8),
        ("0 .4 .3 .6 .3 .5 .7", [0.4, 0.3, 0.6, 0.7], 1.0),  # a polygon
        ("0 .5 .5 .2", None, 1.0),
        ("0 .5 .5", None, 1.0),
        ("0 512 300 100 80", None, 1.0),  # pixels
        ("fin .5 .5 .2 .4", [0.4, 0.3, 0.6, 0.7], 1.0),
    ],
)
def test_yolo_s_lines(tmp_path: Path, line: str, corners: list[float] | None, confidence: float) -> None:
    (row,) = read_table_of_boxes(_labels(tmp_path / "labels", line), "fin").to_dict("records")
    found = [row[side] for side in SIDES]
    assert np.isnan(found).all() if corners is None else np.allclose(found, corners)
    assert row["confidence"] == confidence


@pytest.mark.parametrize(("unit", "wanted"), [("pixels", [50, 40, 70, 50]), ("percent", [0.5, 0.4, 0.7, 0.5])])
def test_yolo_s_labels_in_another_unit(tmp_path: Path, unit: str, wanted: list[float]) -> None:
    _labels(tmp_path / "labels", "0 60 45 20 10")
    with pytest.raises(UserError) as caught:
        read_boxes(tmp_path, ["labels:fin"], 0, [])
    assert str(caught.value) == (
        f"{tmp_path}/labels gives no usable box (1 row, 1 malformed; the first box is written as '0 60 45 20 10'). If "
        "they are pixels or percent, write NAME:PART:pixels or NAME:PART:percent in prepare.boxes. a.txt begins with "
        "'0 60 45 20 10'"
    )
    (row,) = read_boxes(tmp_path, [f"labels:fin:{unit}"], 0, [])[0].to_dict("records")
    assert [*(row[side] for side in SIDES), row["share"]] == [*wanted, unit == "percent"]


def test_how_tables_may_call_photos(tmp_path: Path) -> None:
    photos = ["A17/IMG_1.JPG", "A17/caf\u00e9.jpg", "B/IMG_2.jpg", "C/IMG_2.jpg", "C/IMG_3.jpg", "top.jpg"]
    calls = {
        "A17/IMG_1.JPG": "A17/IMG_1.JPG", "img_1.jpg": "A17/IMG_1.JPG", "IMG_1": "A17/IMG_1.JPG",
        "photos/A17/IMG_1.JPG": "A17/IMG_1.JPG", "A17\\IMG_1.JPG": "A17/IMG_1.JPG", "IMG_1.png": "A17/IMG_1.JPG",
        "cafe\u0301.jpg": "A17/caf\u00e9.jpg", "IMG_2.jpg": "IMG_2.jpg", "C/IMG_2.jpg": "C/IMG_2.jpg",
        "IMG%5F3.jpg": "C/IMG_3.jpg", "IMG_0003.jpg": "C/IMG_3.jpg", "D:\\x\\IMG_3.jpg": "C/IMG_3.jpg",
        "D/IMG_3.jpg": "D/IMG_3.jpg", "any/where/top.jpg": "top.jpg", "4.jpg": "4.jpg",
    }  # fmt: skip
    _write(tmp_path / "t.csv", "image,box", *(f"{name},1 2 3 4" for name in calls))
    table, _ = read_boxes(tmp_path, ["t.csv:fin"], 0, photos)
    assert table["image"].tolist() == list(calls.values())


def test_two_photos_of_one_label(tmp_path: Path) -> None:
    labels = _labels(tmp_path / "labels", "0 .5 .5 .2 .4")
    with pytest.raises(UserError) as caught:
        read_table_of_boxes(labels, "fin", ["A/a.jpg", "B/a.jpg"])
    wanted = f"{labels}/a.txt: 2 photos are called so, A/a.jpg and B/a.jpg: give labels the sub-folders of their photos"
    assert str(caught.value) == wanted


def test_the_command_counts_tables_of_any_form(tmp_path: Path) -> None:
    labels = _labels(tmp_path / "labels", "0 .5 .5 .2 .4")
    (labels / "b.txt").write_text("")
    _coco(tmp_path / "c.json")
    _write(tmp_path / "t.csv", "image;box", "a;10 20 30 40", "b;1 2 3")
    ran = CliRunner().invoke(app, ["boxes", str(labels), str(tmp_path / "c.json"), str(tmp_path / "t.csv")])
    assert ran.output.splitlines() == [
        "labels: 2 rows, 1 box, 1 empty, 0 malformed",
        "c.json: 2 rows, 1 box, 1 empty, 0 malformed",
        "t.csv: 2 rows, 1 box, 0 empty, 1 malformed",
    ]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,part,bbox_xywh", 'a.jpg,fin,"10, 20, 100, 50"'),
        ("image,part,box_cxcywh", "a.jpg,fin,60 45 100 50"),
        ("image,part,bbox_xyxy", "a.jpg,fin,10 20 110 70"),
        ("image,part,bbox", 'a.jpg,fin,"[np.int64(10), np.float64(20.0), np.int64(110), np.int64(70)]"'),
        ("image,part,bbox", 'a.jpg,fin,"array([10., 20., 110., 70.], dtype=float32)"'),
        ("image,part,bbox", 'a.jpg,fin,"tensor([[10, 20, 110, 70]])"'),
        ("image,part,x,y,w,h", "a.jpg,fin,110,70,-100,-50"),  # drawn from right to left, upwards
        ("image,part,bbox", 'a.jpg,fin,"{""x"": 10, ""y"": 20, ""width"": 100, ""height"": 50}"'),
        ("image,part,bbox", "a.jpg,fin,\"{'xmin': 10, 'ymin': 20.0, 'xmax': 110, 'ymax': 70}\""),
        ("xmin,ymin,xmax,ymax,confidence,class,name,image", "10,20,110,70,0.9,0,fin,a.jpg"),  # a detector's
        (
            "filename,width,height,class,xmin,ymin,xmax,ymax",
            "a_jpg.rf.0a1b2c.jpg,200,100,fin,10,20,110,70",
        ),  # Roboflow's
    ],
)
def test_more_ways_to_write_a_box(tmp_path: Path, header: str, row: str) -> None:
    table = read_table_of_boxes(_write(tmp_path / "t.csv", header, row), photos=["A17/a.jpg"])
    assert table[["image", "part", *SIDES]].to_numpy().tolist() == [["A17/a.jpg", "fin", *WANTED]]
    assert table[["drawn_width", "drawn_height"]].notna().all(axis=None) == ("width" in header.split(","))


def test_percent_and_empty_cells(tmp_path: Path) -> None:
    header = "image,part,x_min,y_min,x_max,y_max"
    rows = ["a,fin,5%,20 %,55%,70.5%", "b,fin,nan,nan,NaN,nan", "c,fin,,,,", "d,fin,N/A,-,null,None", "e,fin,1%,2,3,4"]
    table, counts = count(read_table_of_boxes(_write(tmp_path / "t.csv", header, *rows)), 0)
    assert counts == {"rows": 5, "boxes": 1, "empty": 3, "malformed": 1, "unsure": 0}
    assert table[SIDES].to_numpy(float)[0].tolist() == [0.05, 0.2, 0.55, 0.705]
    assert table["share"].all()
    table = read_table_of_boxes(_write(tmp_path / "t.csv", "image,part,box", "a,fin,1 2 3 4", "b,fin,NaN"))
    assert table["written"].tolist() == ["1 2 3 4", ""]


def test_numbers_of_classes_tell_no_part(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"t\.csv does not say what its boxes show: write prepare\.boxes as t\.csv:body"
    ):
        read_table_of_boxes(_write(tmp_path / "t.csv", "image,class,box", "a,0,1 2 3 4"))
