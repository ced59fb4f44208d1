"""Tables of boxes in every published form: the same corners come out, and every row is accounted for."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources.annotations import read_coco
from finprint.survey.sources.boxes import count, parse, read_boxes, read_table_of_boxes

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
    assert table[["image", "part", *SIDES]].to_numpy().tolist() == [["a.jpg", "fin", *WANTED]]
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
    assert table["image"].tolist() == ["a", "c", "d", "e"]
    assert table["written"].tolist()[1:3] == ["1 2 3", "1 2 x 4"]


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
    found = parse(pd.Series(["a"]), pd.Series(["fin"]), cells, "corners", sure)
    if not boxes:
        assert found[SIDES].isna().all(axis=None)
        return
    assert found[SIDES].to_numpy(float).tolist() == [list(map(float, box)) for box in boxes]
    sized = parse(pd.Series(["a"]), pd.Series(["fin"]), cells, "size", sure)[SIDES].to_numpy(float)
    assert np.array_equal(sized[:, 2:] - sized[:, :2], np.array(boxes, float)[:, 2:])
