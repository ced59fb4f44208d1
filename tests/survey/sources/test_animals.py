"""Animals of one photo told apart, from a table with a row a box to the crops that are planned."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.crops.cropping import plan
from finprint.params import load_params
from finprint.store.tables import BOXES, PHOTOS, SIDES, read_table, write_table
from finprint.survey.prepare import Survey, survey
from finprint.survey.sources import read_source

HEADER = "path,identity,part,box"
BODY, FIN, OTHER = "0 0 60 40", "20 2 30 12", "62 5 90 50"


def _survey(folder: Path, *rows: str, **csv: Any) -> Survey:
    (folder / "metadata.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    for number, name in enumerate(dict.fromkeys(row.partition(",")[0] for row in rows)):
        save_photo(folder / name, scenery(number, 96, 64))
    return _prepared(folder, **({"box": "box", "box_form": "corners", "part": "part"} | csv))


def _prepared(folder: Path, **csv: Any) -> Survey:
    params = prepare_params(source="csv", new_share=0.0, csv=prepare_params().csv.model_dump() | csv)
    return survey(read_source(params, folder)[0], params, 1)


def _told(collection: Survey) -> list[tuple[str, str, list[str]]]:
    """Animals: their id, name, and the parts that boxes show of them."""
    parts = collection.boxes.groupby("image")["part"].agg(list)
    return [
        (image, "?" if pd.isna(name) else name, parts.get(image, []))
        for image, name in collection.photos[["image", "identity"]].itertuples(index=False, name=None)
    ]


def test_body_and_fin_of_one_animal_are_no_two_animals(tmp_path: Path) -> None:
    rows = [f"a.jpg,A,body,{BODY}", f"a.jpg,A,fin,{FIN}", f"a.jpg,B,body,{OTHER}", f"b.jpg,A,fin,{FIN}"]
    assert _told(_survey(tmp_path, *rows)) == [
        ("a.jpg", "A", ["body", "fin"]), ("a.jpg#2", "B", ["body"]), ("b.jpg", "A", ["fin"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([f",body,{BODY}", f",fin,{FIN}"], [("a.jpg", "?", ["body", "fin"])]),
        ([f",fin,{FIN}", f"A,body,{BODY}"], [("a.jpg", "A", ["fin", "body"])]),
        ([f",body,{OTHER}", f",fin,{FIN}"], [("a.jpg", "?", ["body"]), ("a.jpg#2", "?", ["fin"])]),
        ([f"A,body,{BODY}", f"B,fin,{FIN}"], [("a.jpg", "A", ["body"]), ("a.jpg#2", "B", ["fin"])]),
        ([f"A,fin,{FIN}", f"A,fin,{OTHER}"], [("a.jpg", "A", ["fin"]), ("a.jpg#2", "A", ["fin"])]),
        (
            [f",body,{OTHER}", f",body,{BODY}", f",fin,{FIN}"],
            [("a.jpg", "?", ["body"]), ("a.jpg#2", "?", ["body", "fin"])],
        ),
        ([f"unknown,body,{OTHER}", f"unknown,fin,{FIN}"], [("a.jpg", "?", ["body"]), ("a.jpg#2", "?", ["fin"])]),
        ([f"A,body,{BODY}", f"unknown,fin,{FIN}"], [("a.jpg", "A", ["body", "fin"])]),
        ([f"A,body,{BODY}", ",fin,"], [("a.jpg", "A", ["body"])]),
        ([f"A,body,{BODY}", "B,fin,"], [("a.jpg", "A", ["body"]), ("a.jpg#2", "B", [])]),
    ],
)
def test_parts_without_a_name_belong_where_they_lie(tmp_path: Path, rows: list[str], wanted: Any) -> None:
    assert _told(_survey(tmp_path, *(f"a.jpg,{row}" for row in rows))) == wanted


def test_the_names_of_photos_to_identify_tell_nothing_apart(tmp_path: Path) -> None:
    """Only `evaluate` may know them: boxes belong together by their place."""
    rows = [
        f"a.jpg,A,body,{BODY}",
        f"q.jpg,B,body,{OTHER}",
        f"q.jpg,B,fin,{FIN}",
        f"r.jpg,B,body,{BODY}",
        f"r.jpg,C,fin,{FIN}",
    ]
    told = _told(_survey(tmp_path, *rows, split="path", query_value="q.jpg"))
    assert told == [
        ("a.jpg", "A", ["body"]), ("r.jpg", "B", ["body"]), ("r.jpg#2", "C", ["fin"]),
        ("q.jpg", "?", ["body"]), ("q.jpg#2", "?", ["fin"]),
    ]  # fmt: skip


def test_one_box_twice_is_one_animal(tmp_path: Path) -> None:
    """Whatever the case of its part; under two names it is nobody's, which the rejects tell."""
    one, other = "10 10 30 30", "50 10 70 30"
    rows = [f"a.jpg,A17,Fin,{one}", f"a.jpg,A17,fin,{one}", f"a.jpg,B03,fin,{other}"]
    told = _survey(tmp_path, *rows, f"b.jpg,A17,fin,{one}", f"b.jpg,B03,fin,{one}", f"c.jpg,B03,fin,{one}")
    photos = told.photos[["image", "identity"]].to_numpy().tolist()
    assert photos == [["a.jpg", "A17"], ["a.jpg#2", "B03"], ["c.jpg", "B03"]]
    assert told.boxes["part"].tolist() == ["fin"] * 3
    assert told.rejects[["image", "reason"]].to_numpy().tolist() == [
        ["b.jpg", "labelled as A17 and as B03: keep one of the rows"],
        ["b.jpg", "box of a photo that is missing or rejected"],
        ["b.jpg", "box of a photo that is missing or rejected"],
        ["a.jpg", f"box ({one}) twice: the first is used"],
    ]


def test_a_part_for_all_boxes(tmp_path: Path) -> None:
    """Then every box is an animal."""
    rows = [f"a.jpg,A,body,{BODY}", f"a.jpg,A,fin,{FIN}"]
    assert _told(_survey(tmp_path, *rows, part="fin")) == [("a.jpg", "A", ["fin"]), ("a.jpg#2", "A", ["fin"])]


@pytest.mark.parametrize("several", [["a.jpg,A,fin,1 2 3", "b.jpg,B,fin,x"], ["a.jpg,A,fin,1 2 3 4 5", "b.jpg,,,"]])
def test_no_usable_box(tmp_path: Path, several: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        _survey(tmp_path, *several)
    written = several[0].rpartition(",")[2]
    wanted = f"{tmp_path}/metadata.csv, box: no row gives a usable box; the first is written as {written!r}"
    assert str(caught.value) == wanted


@pytest.mark.parametrize("form", ["csv", "coco"])
def test_each_named_animal_is_cropped_by_its_own_box(tmp_path: Path, form: str) -> None:
    """From the tables that `prepare` writes to what `crop` plans: two named animals in a photo, one with two boxes."""
    if form == "csv":
        rows = [f"a.jpg,A,body,{BODY}", f"a.jpg,A,fin,{FIN}", f"a.jpg,B,body,{OTHER}", f"b.jpg,B,body,{BODY}"]
        collection = _survey(tmp_path, *rows)
    else:
        boxes = [(1, "A", 1, [0, 0, 60, 40]), (1, "A", 2, [20, 2, 10, 10]), (1, "B", 1, [62, 5, 28, 45])]
        content = {
            "images": [{"id": id, "file_name": f"{name}.jpg"} for id, name in enumerate(("a", "b", "sea"), start=1)],
            "categories": [{"id": 1, "name": "body"}, {"id": 2, "name": "fin"}],
            "annotations": [
                {"image_id": image, "category_id": category, "bbox": box, "attributes": {"individual": name}}
                for image, name, category, box in [*boxes, (2, "B", 1, [0, 0, 60, 40])]
            ],
        }  # fmt: skip
        (tmp_path / "coco.json").write_text(json.dumps(content))
        for number, name in enumerate(("a", "b", "sea")):
            save_photo(tmp_path / f"{name}.jpg", scenery(number, 96, 64))
        columns = {"image": "file_name", "identity": "attributes.individual", "part": "category"}
        collection = _prepared(tmp_path, file="coco.json", box="bbox", **columns)
    write_table(tmp_path / "out" / "photos.parquet", collection.photos, PHOTOS)
    write_table(tmp_path / "out" / "boxes.parquet", collection.boxes, BOXES)
    photos = read_table(tmp_path / "out" / "photos.parquet", PHOTOS)
    crop = load_params(Path(__file__).parents[3] / "params.yaml").crop
    jobs = plan(
        photos, read_table(tmp_path / "out" / "boxes.parquet", BOXES), crop.model_copy(update={"boxes_from": "given"})
    )
    planned = {
        image: (name, {box.part: box.box.tolist() for box in job.given})
        for image, name, job in zip(photos["image"], photos["identity"].fillna("?"), jobs, strict=True)
    }
    assert planned == {
        "a.jpg": ("A", {"body": [0, 0, 60, 40], "fin": [20, 2, 30, 12]}),
        "a.jpg#2": ("B", {"body": [62, 5, 90, 50]}),
        "b.jpg": ("B", {"body": [0, 0, 60, 40]}),
    } | ({"sea.jpg": ("?", {})} if form == "coco" else {})
    assert len({job.key for job in jobs}) == len(jobs)
    bare = collection.boxes[collection.boxes["part"].isna()]
    assert bare["image"].tolist() == (["sea.jpg"] if form == "coco" else [])
    assert np.isnan(bare[SIDES].to_numpy(float)).all()
