"""What is told of a folder before any run: how it is understood, and what in it is not."""

import json
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
        ("id,breed", "pug,pug,collie", "csv"),  # Kaggle's dogs
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


NAMED = "file,individual_id 1.jpg,A 2.jpg,A 3.jpg,B"


def test_the_catalogue_s_table_comes_before_the_one_to_identify(tmp_path: Path) -> None:
    photos = [*(f"train/{n}.jpg" for n in (1, 2, 3)), *(f"test/{n}.jpg" for n in (1, 2, 3))]  # the same names
    asked = "file,individual_id 1.jpg,C 2.jpg,C 3.jpg,C"
    for number, tables in enumerate(({"train": NAMED, "test": asked}, {"gallery": NAMED, "query": asked})):
        told = _tables(tmp_path / str(number), photos, **tables)
        assert told == f"test {next(iter(tables))}.csv: image from file, identity from individual_id"
    blank = _tables(tmp_path / "blank", photos, a="file,individual_id 1.jpg, 2.jpg, 3.jpg,", z=NAMED)
    assert blank.startswith("test z.csv: ")


@pytest.mark.parametrize(
    ("rows", "mark"),
    [
        ("1.jpg,A,Train 2.jpg,A,Train 3.jpg,B,Test", "Test"),
        ("1.jpg,A,gallery 2.jpg,B,gallery 3.jpg,B,Query", "Query"),
    ],
)
def test_marks_of_photos_to_identify_whatever_their_case(tmp_path: Path, rows: str, mark: str) -> None:
    _tables(tmp_path, ["1.jpg", "2.jpg", "3.jpg"], table=f"file,name,subset {rows}")
    looked = look.look(tmp_path, prepare_params(source="sample"))
    assert (looked.params.csv.split, looked.params.csv.query_value) == ("subset", mark)
    assert looked.source.queries["image"].tolist() == ["3.jpg"]


def test_the_split_that_has_marks_counts(tmp_path: Path) -> None:
    rows = "1.jpg,A,a,train 2.jpg,A,b,train 3.jpg,B,b,test"
    _tables(tmp_path, ["1.jpg", "2.jpg", "3.jpg"], table=f"file,name,split,original_split {rows}")
    assert look.look(tmp_path, prepare_params(source="sample")).params.csv.split == "original_split"


def test_another_table_lists_the_photos_to_identify(tmp_path: Path) -> None:
    """All photos lie in one folder, as in several competitions; test.csv tells sides, too."""
    photos = [f"images/{number}.jpg" for number in range(1, 6)]
    _tables(tmp_path, photos, train=NAMED, test="image,viewpoint 4,left", z="file,predictions 4,A 5,A")
    source = look.look(tmp_path, prepare_params(source="sample")).source
    asked = dict(zip(source.queries["image"], source.queries["viewpoint"].fillna("?"), strict=True))
    assert asked == {"images/4.jpg": "left", "images/5.jpg": "?"}
    assert [name for name, _ in source.strays if name.endswith(".jpg")] == []


@pytest.mark.parametrize("place", ["images", "test"])
def test_a_table_that_names_photos_to_identify_tells_the_truth(place: str, tmp_path: Path) -> None:
    photos = [f"images/{number}.jpg" for number in range(1, 4)] + [f"{place}/{number}.jpg" for number in (4, 5)]
    _tables(tmp_path, photos, train=NAMED, test="file,name 4.jpg,A 5.jpg,")
    source = look.look(tmp_path, prepare_params(source="sample")).source
    assert source.truth.to_numpy().tolist() == [["images/4.jpg" if place == "images" else "4.jpg", "A"]]
    assert source.queries["identity"].isna().all()
    assert len(source.queries) == 2


def test_the_validation_share_s_table_is_read_as_well(tmp_path: Path) -> None:
    photos = [f"images/{number}.jpg" for number in range(1, 7)]
    rows = {"train": "file,label 1.jpg,A 2.jpg,A 3.jpg,B", "valid": "file,label 4.jpg,A 5.jpg,B", "test": "file 6.jpg"}
    told = _tables(tmp_path, photos, **rows, validity="file,label 1.jpg,C", valid_scores="file,score 4.jpg,1")
    assert told == "csv train.csv: image from file, identity from label"
    lines = [" ".join(line.split()) for line in describe(tmp_path, prepare_params(source="sample")).splitlines()]
    assert "catalogue 5 photos, 2 individuals, 0 of them with one photo" in lines
    assert "to identify 1 photo" in lines


def test_photos_to_identify_in_a_folder_with_a_table(tmp_path: Path) -> None:
    photos = ["train/1.jpg", "train/2.jpg", "train/3.jpg", "test/5.jpg", "test/4.jpg"]
    _tables(tmp_path, photos, train=NAMED, test="file,side 4.jpg,left 6.jpg,right")
    source = look.look(tmp_path, prepare_params(source="sample")).source
    assert dict(zip(source.queries["image"], source.queries["viewpoint"].fillna("?"), strict=True)) == {
        "4.jpg": "left", "5.jpg": "?",
    }  # fmt: skip


def test_photos_without_a_name_are_to_identify_if_nothing_else_is(tmp_path: Path) -> None:
    photos = ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    _tables(tmp_path / "blank", photos, table=f"{NAMED} 4.jpg,")
    source = look.look(tmp_path / "blank", prepare_params(source="sample")).source
    assert source.queries["image"].tolist() == ["4.jpg"]
    assert source.labelled["image"].tolist() == photos[:3]
    _tables(tmp_path / "asked", [*photos, "queries/5.jpg"], table=f"{NAMED} 4.jpg,")
    assert look.look(tmp_path / "asked", prepare_params(source="sample")).source.queries["image"].tolist() == ["5.jpg"]
    boxed = "file,name,bbox 1.jpg,A,1;1;9;9 2.jpg,A,1;1;9;9 3.jpg,B,1;1;9;9 4.jpg,,1;1;9;9"
    _tables(tmp_path / "boxed", photos, table=boxed)
    assert not len(look.look(tmp_path / "boxed", prepare_params(source="sample")).source.queries)


@pytest.mark.parametrize(
    ("header", "box", "form"),
    [
        ("x,y,w,h", "x y w h", "size"),
        ("xmin,ymin,xmax,ymax", "xmin ymin xmax ymax", "corners"),
        ("x_center,y_center,width,height", "x_center y_center width height", "centre"),
        ("bbox", "bbox", "size"),
    ],
)
def test_columns_of_boxes(tmp_path: Path, header: str, box: str, form: str) -> None:
    cells = "1;1;9;9" if header == "bbox" else "1,1,9,9"
    rows = " ".join(f"{number}.jpg,{'AAB'[number - 1]},{cells}" for number in (1, 2, 3))
    _tables(tmp_path, ["1.jpg", "2.jpg", "3.jpg"], table=f"file,name,{header} {rows}")
    csv = look.look(tmp_path, prepare_params(source="sample")).params.csv
    assert (csv.box, csv.box_form) == (box, form)


@pytest.mark.parametrize("table", ["Image,Id 1.jpg,w_1 2.jpg,w_1 3.jpg,w_2", "image_id,label 1,w_1 2,w_1 3,w_2"])
def test_train_images_with_a_table_of_other_columns(tmp_path: Path, table: str) -> None:
    photos = [*(f"train_images/{n}.jpg" for n in (1, 2, 3)), *(f"test_images/{n}.jpg" for n in (1, 2, 3))]
    assert _tables(tmp_path, photos, train=table).startswith("test_images train.csv: image from ")
    assert len(look.look(tmp_path, prepare_params(source="sample")).source.queries) == 3


def test_kaggle_s_layout_where_both_folders_count_from_one(tmp_path: Path) -> None:
    photos = [*(f"train_images/{n}.jpg" for n in (1, 2, 3)), *(f"test_images/{n}.jpg" for n in (1, 2))]
    train = "image,species,individual_id 1.jpg,seal,A 2.jpg,seal,A 3.jpg,seal,B"
    _tables(tmp_path, photos, train=train, test="image,viewpoint 1.jpg,left 2.jpg,right")
    source = look.look(tmp_path, prepare_params(source="sample")).source
    assert source.labelled["image"].tolist() == photos[:3]
    assert dict(zip(source.queries["image"], source.queries["viewpoint"], strict=True)) == {
        "1.jpg": "left", "2.jpg": "right",
    }  # fmt: skip


def test_photos_to_identify_with_the_names_of_others(tmp_path: Path) -> None:
    _tables(tmp_path, ["A17/1.jpg", "A17/2.jpg", "B03/1.jpg", "queries/A17/1.jpg", "queries/B03/3.jpg"])
    source = look.look(tmp_path, prepare_params(source="sample")).source
    assert source.queries["image"].tolist() == ["queries/A17/1.jpg", "queries/B03/3.jpg"]
    assert source.truth.to_numpy().tolist() == [["queries/A17/1.jpg", "A17"], ["queries/B03/3.jpg", "B03"]]


def test_files_of_a_mac_do_not_matter(tmp_path: Path) -> None:
    photos = ["train_images/1.jpg", "train_images/2.jpg", "train_images/3.jpg", "test_images/4.jpg"]
    for name in ("train_images", "test_images"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".DS_Store").write_bytes(b"")
    train = "image,species,individual_id 1.jpg,seal,A 2.jpg,seal,A 3.jpg,seal,B"
    assert _tables(tmp_path, photos, train=train).startswith("happywhale ")


def test_train_images_beside_a_table_of_another_name(tmp_path: Path) -> None:
    photos = ["train_images/1.jpg", "train_images/2.jpg", "train_images/3.jpg", "test_images/4.jpg"]
    told = _tables(tmp_path, photos, labels=NAMED)
    assert told == "test_images labels.csv: image from file, identity from individual_id"


def test_a_list_of_animals_is_no_list_of_photos(tmp_path: Path) -> None:
    photos = ["A17/001.jpg", "A17/002.jpg", "B03/003.jpg"]
    assert _tables(tmp_path / "numbers", photos, animals="id,name 1,A17 2,B03 3,C11").startswith("folder ")
    best = "name,photo A17,001.jpg B03,003.jpg"
    assert _tables(tmp_path / "best", photos, animals=best).startswith("folder ")


def test_nameless_photos_beside_others_to_identify(tmp_path: Path) -> None:
    """With boxes of their own, and listed in the table of the catalogue."""
    names = ["images/1.jpg", "images/2.jpg", "images/3.jpg", "queries/4.jpg", "queries/5.jpg"]
    rows = "path,identity,bbox,location " + " ".join(
        f"{name},{who},1;1;9;9,51.5;-0.1" for name, who in zip(names, ["A", "A", "B", "", "unknown"], strict=True)
    )
    told = _tables(tmp_path, names, metadata=rows)
    assert told == "csv metadata.csv: image from path, identity from identity, box from bbox"
    source = look.look(tmp_path, prepare_params(source="sample")).source
    assert source.queries["image"].tolist() == names[3:]
    assert source.boxes["image"].tolist() == names


def test_boxes_of_animals_need_no_part(tmp_path: Path) -> None:
    for number, name in enumerate(["A17/1.jpg", "A17/2.jpg", "B03/1.jpg", "queries/1.jpg"]):
        save_photo(tmp_path / name, scenery(number))
    (tmp_path / "boxes.csv").write_text("image,x_min,y_min,x_max,y_max\nA17/1.jpg,1,1,9,9\n")
    boxes = look.look(tmp_path, prepare_params(source="sample")).source.boxes
    assert boxes["part"].tolist() == ["body"]


def test_coco_s_annotations_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """As Wild Me publishes its catalogues of belugas, hyenas and leopards."""
    photos = [f"images/train2022/{number:012}.jpg" for number in range(1, 7)]
    shown = [{"id": number, "file_name": Path(name).name} for number, name in enumerate(photos)]
    names = ["A17", "A17", "B03", "B03", "____", "C11"]
    marks = [
        {"id": n, "image_id": n, "category_id": 1, "name": name, "viewpoint": "left", "bbox": [2, 2, 20, 20]}
        for n, name in enumerate(names)
    ]
    content = {"images": shown, "annotations": marks, "categories": [{"id": 1, "name": "beluga_whale"}]}
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train2022.json").write_text(json.dumps(content))
    told = _tables(tmp_path, photos)
    columns = "image from file_name, identity from name, viewpoint from viewpoint, box from bbox"
    assert told == f"csv annotations/instances_train2022.json: {columns}"
    lines = [" ".join(line.split()) for line in describe(tmp_path, prepare_params(source="sample")).splitlines()]
    assert "catalogue 6 photos, 3 individuals, 1 of them with one photo" in lines
    assert "nobody named 1 photo" in lines
    assert not any(line.startswith("not used") for line in lines)


def test_a_table_in_a_sub_folder_counts_if_it_lists_most_photos(tmp_path: Path) -> None:
    photos = [
        "images/1.jpg",
        "images/2.jpg",
        "images/3.jpg",
        "images/4.jpg",
        "images/5.jpg",
        "test/1.jpg",
        "test/2.jpg",
    ]
    for count in (2, 3):
        (tmp_path / f"{count}/labels").mkdir(parents=True)
        rows = [f"{number}.jpg,{'AB'[number > 1]}" for number in range(1, count + 1)]
        (tmp_path / f"{count}/labels/train.csv").write_text("\n".join(["file,name", *rows]))
    with pytest.raises(UserError, match="no folder names an animal"):
        _tables(tmp_path / "2", photos)
    told = _tables(tmp_path / "3", photos)
    assert told == "test labels/train.csv: image from file, identity from name"


def test_many_tables_in_sub_folders_are_labels(tmp_path: Path) -> None:
    photos = [f"images/{number}.jpg" for number in range(21)]
    (tmp_path / "labels").mkdir()
    for number in range(21):
        (tmp_path / f"labels/{number}.csv").write_text("file,name\n" + "\n".join(f"{n}.jpg,A" for n in range(21)))
    with pytest.raises(UserError, match="no folder names an animal"):
        _tables(tmp_path, photos)
    (tmp_path / "labels/20.csv").unlink()
    assert _tables(tmp_path, photos).startswith("csv labels/0.csv: ")


def test_train_images_with_folders(tmp_path: Path) -> None:
    photos = ["train_images/A17/1.jpg", "train_images/A17/2.jpg", "train_images/B03/1.jpg", "test_images/1.jpg"]
    assert _tables(tmp_path, photos) == "test_images folder/NAME/photo (3 photos)"


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
