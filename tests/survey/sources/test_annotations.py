"""Boxes as annotation programs export them: whatever the program, the same corners, parts and photos come out."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources.boxes import count, read_boxes, read_table_of_boxes
from finprint.survey.sources.coco import read_coco

BOX = [10.0, 20.0, 110.0, 70.0]  # of a.jpg, 200 x 100 px
SHARES = [0.05, 0.2, 0.55, 0.7]
POINTS = [[10, 20], [110, 20], [60, 70]]
ACROSS, DOWN = [10, 110, 60], [20, 20, 70]


def _label_studio(*regions: dict[str, Any]) -> list[dict[str, Any]]:
    result = [
        {"value": region, "original_width": 200, "original_height": 100, "type": "rectanglelabels"}
        for region in regions
    ]
    return [
        {"data": {"image": "/data/upload/3/0a1b2c3d-a.jpg"}, "annotations": [{"result": result}]},
        {"data": {"image": "/data/local-files/?d=x/no%20ne.jpg"}, "annotations": [{"result": []}]},
    ]


PERCENT = {"x": 5, "y": 20, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["dorsal fin"]}
FORMS: dict[str, Any] = {
    "coco": {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "x/no ne.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 100, 50]}],
        "categories": [{"id": 1, "name": "dorsal fin"}],
    },
    "coco, a polygon": {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "x/no ne.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[10, 20, 110, 20, 60, 70]]}],
        "categories": [{"id": 1, "name": "dorsal fin"}],
    },
    "megadetector": {
        "images": [
            {"file": "a.jpg", "detections": [{"category": "1", "conf": 1, "bbox": [0.05, 0.2, 0.5, 0.5]}]},
            {"file": "x/no ne.jpg", "failure": "Failure image access"},
        ],
        "detection_categories": {"1": "dorsal fin"},
    },
    "via": {
        "a.jpg123": {
            "filename": "a.jpg",
            "regions": [
                {
                    "shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 100, "height": 50},
                    "region_attributes": {"part": "dorsal fin", "quality": {"good": True}},
                }
            ],
        },
        "none9": {"filename": "x/no ne.jpg", "regions": []},
    },
    "via's project": {
        "_via_settings": {},
        "_via_img_metadata": {
            "a.jpg123": {
                "filename": "a.jpg",
                "regions": {
                    "0": {
                        "shape_attributes": {"name": "polygon", "all_points_x": ACROSS, "all_points_y": DOWN},
                        "region_attributes": {"kind": {"dorsal fin": True, "body": False}},
                    }
                },
            },
            "none9": {"filename": "x/no ne.jpg", "regions": {}},
        },
    },
    "via 3": {
        "project": {}, "config": {},
        "attribute": {"1": {"aname": "part", "options": {"0": "dorsal fin", "1": "body"}}},
        "file": {"1": {"fid": 1, "fname": "a.jpg"}, "2": {"fid": 2, "fname": "x/no ne.jpg"}},
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {"1_x": {"vid": "1", "xy": [2, 10, 20, 100, 50], "av": {"1": "0"}}},
    },
    "label studio": _label_studio(PERCENT),
    "label studio, a polygon": _label_studio(
        {"points": [[5, 20], [55, 20], [30, 70]], "polygonlabels": ["dorsal fin"]}
    ),
    "label studio, json-min": [
        {"image": "/data/upload/0a1b2c3d-a.jpg", "id": 1, "label": [PERCENT | {"original_width": 200}]},
        {"image": "/data/local-files/?d=x/no%20ne.jpg", "id": 2},
    ],
    "createml": [
        {"image": "a.jpg", "annotations": [
            {"label": "dorsal fin", "coordinates": {"x": 60, "y": 45, "width": 100, "height": 50}}
        ]},
        {"image": "x/no ne.jpg", "annotations": []},
    ],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_json(tmp_path: Path, form: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(FORMS[form]), encoding="utf-8-sig")
    table, counts = count(read_table_of_boxes(path), 0.25)
    assert counts == {"rows": 2, "boxes": 1, "empty": 1, "malformed": 0, "unsure": 0}
    assert table[["image", "part"]].to_numpy().tolist()[0] == ["a.jpg", "dorsal fin"]
    assert np.allclose(table[SIDES].to_numpy(float)[0], SHARES if table["share"].iloc[0] else BOX)
    assert "x/no ne.jpg" in read_table_of_boxes(path)["image"].tolist()
    assert set(read_table_of_boxes(path, "fin")["part"]) == {"fin"}


@pytest.mark.parametrize("form", ["coco", "megadetector", "via", "label studio"])
def test_compressed_json(tmp_path: Path, form: str) -> None:
    path = tmp_path / "boxes.json.gz"
    path.write_bytes(gzip.compress(json.dumps(FORMS[form]).encode()))
    (tmp_path / "boxes.json").write_text(json.dumps(FORMS[form]))
    assert read_table_of_boxes(path).equals(read_table_of_boxes(tmp_path / "boxes.json"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"boxes\.json\.gz is damaged: Compressed file ended before"):
        read_table_of_boxes(path)


@pytest.mark.parametrize("column", ["label", "bbox"])
def test_label_studio_s_table(tmp_path: Path, column: str) -> None:
    regions = json.dumps([PERCENT | {"original_width": 200, "original_height": 100}])
    polygon = json.dumps([{"points": [[5, 20], [55, 20], [30, 70]], "polygonlabels": ["dorsal fin"]}])
    rows = [
        [1, "/data/upload/3/0a1b2c3d-a.jpg", regions],
        [2, "/data/local-files/?d=x/no%20ne.jpg", ""],
        [3, "http://localhost:8080/data/upload/3/0a1b2c3d-a.jpg", polygon],
    ]
    pd.DataFrame(rows, columns=["annotation_id", "image", column]).to_csv(tmp_path / "ls.csv", index=False)
    table, counts = count(read_table_of_boxes(tmp_path / "ls.csv"), 0)
    assert counts == {"rows": 3, "boxes": 2, "empty": 1, "malformed": 0, "unsure": 0}
    assert table["image"].tolist() == ["a.jpg", "x/no ne.jpg", "a.jpg"]
    assert table["part"].tolist()[::2] == ["dorsal fin"] * 2
    assert np.allclose(table[SIDES].to_numpy(float)[::2], [SHARES] * 2)
    pd.DataFrame([[9, "a.jpg", regions[:-3]]], columns=["id", "image", column]).to_csv(tmp_path / "ls.csv", index=False)
    with pytest.raises(UserError, match=r"ls\.csv line 2: the regions are not as Label Studio writes them: Expecting"):
        read_table_of_boxes(tmp_path / "ls.csv")


def test_coco_s_numbers_may_be_texts(tmp_path: Path) -> None:
    coco = json.loads(json.dumps(FORMS["coco"]))
    coco["images"][0]["id"] = coco["annotations"][0]["image_id"] = "a-1"
    coco["annotations"][0]["bbox"] = ["10", "20", "100.0", "50"]
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert read_table_of_boxes(tmp_path / "coco.json")[SIDES].to_numpy(float)[0].tolist() == BOX


def test_people_and_ships_are_no_animals(tmp_path: Path) -> None:
    codes = {"1": "animal", "2": "person", "3": "vehicle"}
    seen = [{"category": code, "conf": 0.9, "bbox": [0.05, 0.2, 0.5, 0.5]} for code in codes]
    content = {"images": [{"file": "a.jpg", "detections": seen}, {"file": "b.jpg", "detections": seen[1:]}]}
    (tmp_path / "md.json").write_text(json.dumps(content | {"detection_categories": codes}))
    table = read_table_of_boxes(tmp_path / "md.json")
    assert table[["image", "part", "confidence"]].fillna("").to_numpy().tolist() == [
        ["a.jpg", "animal", 0.9],
        ["b.jpg", "", 0.0],  # no proof that no animal is there
    ]


def test_coco_s_results_name_photos_or_are_refused(tmp_path: Path) -> None:
    one = {"image_id": "a", "category_id": 1, "bbox": [10, 20, 100, 50], "score": 0.9}
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([one, one | {"image_id": 7, "file_name": "x/b.jpg"}]))
    table = read_table_of_boxes(path, "fin", ["A17/a.jpg", "b.jpg"])
    assert table[["image", "confidence", *SIDES]].to_numpy().tolist() == [
        ["A17/a.jpg", 0.9, *BOX], ["b.jpg", 0.9, *BOX],
    ]  # fmt: skip
    path.write_text(json.dumps([one | {"image_id": 7}]))
    with pytest.raises(UserError, match="in none of the known forms"):
        read_table_of_boxes(path, "fin")


def test_via_s_table(tmp_path: Path) -> None:
    rows = [
        "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes",
        'a.jpg,1,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":100,""height"":50}","{""part"":""fin""}"',
        'a.jpg,1,"{}",1,0,"{""name"":""ellipse"",""cx"":60,""cy"":45,""rx"":50,""ry"":25}","{""part"":""body""}"',
        'b.jpg,1,"{}",0,0,"{}","{}"',
    ]
    (tmp_path / "via.csv").write_text("\n".join(rows) + "\n")
    table = read_table_of_boxes(tmp_path / "via.csv")
    assert table[["image", "part"]].iloc[:2].to_numpy().tolist() == [["a.jpg", "fin"], ["a.jpg", "body"]]
    assert table[SIDES].iloc[:2].to_numpy(float).tolist() == [BOX, BOX]
    assert count(table, 0)[1] == {"rows": 3, "boxes": 2, "empty": 1, "malformed": 0, "unsure": 0}
    (tmp_path / "via.csv").write_text("\n".join([*rows, 'c.jpg,1,{},1,0,"{""x"":",{}']) + "\n")
    with pytest.raises(UserError, match=r"via\.csv line 5: the region is not as VIA writes it: Expecting value"):
        read_table_of_boxes(tmp_path / "via.csv")


def test_labelme(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    shapes = [
        {"label": "fin", "points": [[110, 70], [10, 20]], "shape_type": "rectangle"},
        {"label": "body", "points": POINTS, "shape_type": "polygon"},
        {"label": "eye", "points": [[50, 50], [53, 54]], "shape_type": "circle"},
    ]
    for name, drawn in (("a", shapes), ("b", [])):
        content = {"version": "5", "imagePath": f"..\\photos\\{name}.jpg", "imageData": None, "shapes": drawn}
        (folder / f"{name}.json").write_text(json.dumps(content))
    table = read_table_of_boxes(folder)
    assert table[["image", "part"]].iloc[:3].to_numpy().tolist() == [["a.jpg", part] for part in ("fin", "body", "eye")]
    assert table[SIDES].iloc[:3].to_numpy(float).tolist() == [BOX, BOX, [45, 45, 55, 55]]
    assert count(table, 0)[1] == {"rows": 4, "boxes": 3, "empty": 1, "malformed": 0, "unsure": 0}
    assert read_table_of_boxes(folder, photos=["A17/a.JPG", "B/b.jpg"])["image"].unique().tolist() == [
        "A17/a.JPG",
        "B/b.jpg",
    ]


VOC = "<annotation><filename>{}</filename><size><width>200</width></size>{}</annotation>"
OBJECT = "<object><name>fin</name>{}</object>"
BNDBOX = "<bndbox><xmin>10</xmin><ymin>20.0</ymin><xmax>110</xmax><ymax>70</ymax></bndbox>"


def test_pascal_voc(tmp_path: Path) -> None:
    folder = tmp_path / "voc"
    folder.mkdir()
    turned = "<robndbox><cx>60</cx><cy>45</cy><w>50</w><h>100</h><angle>1.5707963267948966</angle></robndbox>"
    polygon = "<polygon><x1>10</x1><y1>20</y1><x2>110</x2><y2>20</y2><x3>60</x3><y3>70</y3></polygon>"
    points = "<polygon><pt><x>10</x><y>20</y></pt><pt><x>110</x><y>70</y></pt></polygon>"
    shapes = [BNDBOX, turned, polygon, points]
    (folder / "a.xml").write_text(VOC.format("old name.png", "".join(OBJECT.format(shape) for shape in shapes)))
    (folder / "b.xml").write_text(VOC.format("b.jpg", ""))
    (folder / "c.xml").write_text(VOC.format("c.jpg", OBJECT.format("")))
    table = read_table_of_boxes(folder, photos=["W1/a.jpg", "W2/b.jpg", "c.jpg"])
    assert table["image"].tolist() == ["W1/a.jpg"] * 4 + ["W2/b.jpg", "c.jpg"]
    assert np.allclose(table[SIDES].iloc[:4].to_numpy(float), [BOX] * 4)
    assert table["part"].iloc[:4].tolist() == ["fin"] * 4
    assert count(table, 0)[1] == {"rows": 6, "boxes": 4, "empty": 1, "malformed": 1, "unsure": 0}
    (tmp_path / "one.xml").write_text(VOC.format("a.jpg", OBJECT.format(BNDBOX)))
    assert read_table_of_boxes(tmp_path / "one.xml")[SIDES].to_numpy(float).tolist() == [BOX]


def test_cvat(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(
        '<?xml version="1.0"?><annotations><version>1.1</version><meta/>'
        '<image id="0" name="a.jpg" width="200" height="100">'
        '<box label="fin" xtl="10" ytl="20" xbr="110" ybr="70"><attribute name="individual">A17</attribute></box>'
        '<box label="fin" xtl="35" ytl="-5" xbr="85" ybr="95" rotation="90.0"/>'
        '<polygon label="fin" points="10.00,20.00;110.00,20.00;60.00,70.00"/>'
        '<ellipse label="fin" cx="60" cy="45" rx="50" ry="25"/><tag label="x"/></image>'
        '<image id="1" name="b.jpg" width="9" height="9"></image></annotations>'
    )
    table = read_table_of_boxes(tmp_path / "annotations.xml")
    assert np.allclose(table[SIDES].iloc[:4].to_numpy(float), [BOX] * 4)
    assert count(table, 0)[1] == {"rows": 5, "boxes": 4, "empty": 1, "malformed": 0, "unsure": 0}


def test_turned_boxes_become_upright(tmp_path: Path) -> None:
    """Label Studio turns about the first corner, in pixels; CVAT's COCO about the centre."""
    turned = PERCENT | {"x": 55, "y": 20, "width": 25, "height": 100, "rotation": 90}
    (tmp_path / "ls.json").write_text(json.dumps(_label_studio(turned)))
    found = read_table_of_boxes(tmp_path / "ls.json")[SIDES].to_numpy(float)[0]
    assert np.allclose(found, [0.05, 0.2, 0.55, 0.7])
    coco = json.loads(json.dumps(FORMS["coco"]))
    coco["annotations"][0] |= {"bbox": [35, -5, 50, 100], "attributes": {"rotation": 90.0}}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert np.allclose(read_table_of_boxes(tmp_path / "coco.json")[SIDES].to_numpy(float)[0], BOX)
    coco["annotations"][0] |= {"bbox": [0, 0, 10, 10], "attributes": {"rotation": 45}}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    reach = 5 * math.sqrt(2)
    assert np.allclose(
        read_table_of_boxes(tmp_path / "coco.json")[SIDES].to_numpy(float)[0],
        [5 - reach, 5 - reach, 5 + reach, 5 + reach],
    )


def test_coco_s_nested_attributes(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "meta": {"camera": "X", "lens": {"mm": 400}}}],
        "categories": [{"id": 1, "name": "fin"}],
        "annotations": [
            {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "track_id": 7.0,
             "attributes": {"individual": "007", "occluded": False, "track_id": 3}}
        ],
    }  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(content))
    (row,) = read_coco(tmp_path / "c.json").to_dict("records")
    assert row == {
        "image_id": "0", "file_name": "a.jpg", "meta.camera": "X", "meta.lens.mm": "400", "category_id": "1",
        "bbox": "[1, 2, 3, 4]", "track_id": "7", "attributes.individual": "007", "attributes.occluded": "false",
        "attributes.track_id": "3", "category": "fin",
    }  # fmt: skip
    content["annotations"].append({"image_id": 99, "category_id": 1, "bbox": [1, 2, 3, 4]})
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_coco(tmp_path / "c.json")
    assert str(caught.value) == f"{tmp_path}/c.json: 1 annotation of images that it does not list, such as 99"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.json", "{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("a.json", '{"whales": 1, "b": 2}', "is in none of the known forms (COCO, MegaDetector, VIA, LabelMe, Label "
         "Studio, CreateML): it is a dict of whales, b"),
        ("a.json", '[{"whale": 1}]', "is in none of the known forms (COCO, MegaDetector, VIA, LabelMe, Label Studio, "
         "CreateML): it is a list, and its first entry is a dict of whale"),
        ("a.json", '{"shapes": [{"label": "fin"}]}', "is incomplete or not in its usual form: KeyError('points')"),
        ("a.xml", "<a", "is no XML: unclosed token: line 1, column 0"),
        ("a.xml", "<annotations><track/></annotations>", "is CVAT's form for video: export it as CVAT for images 1.1, "
         "COCO or YOLO"),
        ("a.xml", "<kml><Place/></kml>", "is in none of the known forms (Pascal VOC, CVAT): it is kml of Place"),
    ],
)  # fmt: skip
def test_what_is_in_no_known_form(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as caught:
        read_table_of_boxes(tmp_path / name)
    assert str(caught.value) == f"{tmp_path}/{name} {complaint}"


def test_nothing_usable_is_an_error_that_shows_the_table(tmp_path: Path) -> None:
    voc = tmp_path / "voc"
    voc.mkdir()
    for name in "ab":
        (voc / f"{name}.xml").write_text(VOC.format(f"{name}.jpg", ""))
    (tmp_path / "bad.csv").write_text("image,box,note\na.jpg,1 2 3,x\nb.jpg,4 5,\n")
    (tmp_path / "none.csv").write_text("image,box\n")
    (tmp_path / "other.csv").write_text("image,box\nx.jpg,1 2 3 4\n")
    (tmp_path / "unsure.csv").write_text("image,box,conf\na.jpg,1 2 3 4,.1\n")
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "a.xml").write_text(VOC.format("a.jpg", OBJECT.format(BNDBOX)))
    (tmp_path / "mixed" / "a.txt").write_text("0 .5 .5 .1 .1")
    (tmp_path / "void").mkdir()
    for name, complaint in {
        "voc": "gives no usable box (2 rows, 2 empty). a.xml begins with '<annotation><filename>a.jpg</filename><size>"
        "<width>200</width></size></annotation>'",
        "bad.csv": "gives no usable box (2 rows, 2 malformed; the first box is written as '1 2 3'). Its columns: "
        "image, box, note; its first row: a.jpg, 1 2 3, x",
        "none.csv": "gives no usable box (it is empty). Its columns: image, box; its first row: none",
        "unsure.csv": "gives no usable box (1 row, 1 unsure; the first box is written as '1 2 3 4'). All are below "
        "prepare.box_confidence. Its columns: image, box, conf; its first row: a.jpg, 1 2 3 4, .1",
        "other.csv": "lists none of your photos: it has 'x.jpg', and they have names like 'a.jpg'",
        "mixed": "holds labels in several forms (1 YOLO .txt and 1 Pascal VOC .xml): give each a folder of its own",
        "void": "holds no labels: no .txt of YOLO, no .xml of Pascal VOC, no .json",
    }.items():
        with pytest.raises(UserError) as caught:
            read_boxes(tmp_path, [f"{name}:fin"], 0.25, ["a.jpg", "b.jpg"])
        assert str(caught.value) == f"{tmp_path}/{name} {complaint}"
