"""How `start` reads a folder: without its wrapping, and classes as classes."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import save_photo, scenery

from finprint.base.errors import UserError
from finprint.base.params import changed
from finprint.params import Params, load_params
from finprint.start.facts import facts_of
from finprint.start.reading import changes, read, unwrapped
from finprint.start.writing import write_params
from finprint.survey.look import Looked, look

OURS = Path(__file__).parents[2] / "params.yaml"


def fill(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        save_photo(root / name, scenery(number))
    return root


def read_classes(root: Path, base: Params | None = None) -> Looked:
    return read(root, base or load_params(OURS), classes=True)


def named(looked: Looked) -> set[str]:
    return set(looked.animals["identity"].dropna())


def test_one_folder_around_the_others_is_taken_off(tmp_path: Path) -> None:
    inner = tmp_path / "zip/dataset"
    fill(inner, "train/A17/1.jpg", "train/B03/1.jpg", "test/1.jpg")
    (tmp_path / "__MACOSX").mkdir()
    assert unwrapped(tmp_path) == inner
    assert unwrapped(inner / "train") == inner / "train"
    (inner / "labels.csv").write_text("image\n")
    fill(tmp_path / "more", "zip/images/1.jpg")
    (tmp_path / "more/zip/metadata.csv").write_text("image\n")
    assert unwrapped(tmp_path / "more") == tmp_path / "more/zip"
    fill(tmp_path / "classes", "_other/1.jpg", "fish/2019/1.jpg", "fish/2020/1.jpg")
    assert unwrapped(tmp_path / "classes") == tmp_path / "classes"
    (tmp_path / "labels.csv").write_text("image\n")
    assert unwrapped(tmp_path) == tmp_path, "a table lies there, so it is the folder that was meant"


@pytest.mark.parametrize(
    "names",
    [
        ["unknown", "copepod"],
        ["left", "right"],
        ["good", "bad"],
        ["tiger_shark", "manta_ray"],
        ["left", "fish"],
        ["2019", "fish"],
    ],
)
def test_any_word_may_be_a_class(names: list[str], tmp_path: Path) -> None:
    fill(tmp_path, *(f"train/{name}/{number}.jpg" for name in names for number in (1, 2)), "test/1.jpg")
    assert named(read_classes(tmp_path)) == set(names)


def test_one_photo_elsewhere_does_not_change_what_the_others_show(tmp_path: Path) -> None:
    fill(tmp_path, *(f"{name}/{side}/1.jpg" for name in ("fish", "crab") for side in ("left", "right")))
    fill(tmp_path, "2019/images/1.jpg", "queries/1.jpg")
    assert named(read_classes(tmp_path)) == {"fish", "crab"}


def test_words_that_mean_nobody_stay_where_no_class_is_called_so(tmp_path: Path) -> None:
    base = load_params(OURS)
    fill(tmp_path / "some", "unknown/1.jpg", "copepod/1.jpg", "queries/1.jpg")
    told = {key: value for key, value, _ in changes(read_classes(tmp_path / "some").params, base.prepare)}
    assert told["nobody"] == [word for word in base.prepare.nobody if word != "unknown"]
    assert told["encounter_gap"] == 0
    fill(tmp_path / "none", "diatom/1.jpg", "copepod/1.jpg", "queries/1.jpg")
    assert [key for key, *_ in changes(read_classes(tmp_path / "none").params, base.prepare)] == ["encounter_gap"]
    fill(tmp_path / "around", "unknown/fishA/1.jpg", "known/fishB/1.jpg", "known/fishC/1.jpg", "queries/1.jpg")
    looked = read_classes(tmp_path / "around")
    assert named(looked) == named(look(tmp_path / "around", looked.params)) == {"fishA", "fishB", "fishC"}


def test_another_folder_gets_back_what_stood_in_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(OURS.read_text())
    seals = fill(Path("data/raw/seals"), "A17/1.jpg", "A17/2.jpg", "B03/1.jpg", "unknown/1.jpg", "queries/q.jpg")
    fresh = read(seals, load_params(), classes=False).params
    classes = fill(Path("data/raw/classes"), "train/unknown/1.jpg", "train/left/1.jpg", "test/q.jpg")
    looked = read(classes, load_params(), classes=True)
    values = {f"prepare.{key}": value for key, value, _ in changes(looked.params, load_params().prepare)}
    write_params(Path("params.yaml"), values | {"prepare.folder": str(classes), "classes.of": ["identity"]})
    folders = {"prepare.folders.identity", "prepare.folders.around"}
    assert set(values) == {"prepare.nobody", "prepare.encounter_gap", *folders}
    assert read(classes, load_params(), classes=True).params == load_params().prepare.model_copy(
        update={"source": "folder", "queries": "test", "csv": looked.params.csv}
    )
    assert read(seals, load_params(), classes=False).params == fresh
    write_params(Path("params.yaml"), {"prepare.folder": str(seals)})
    assert read(seals, load_params(), classes=False).params.encounter_gap == 60, "as individuals it has encounters"
    own = changed(load_params(OURS), {"prepare.encounter_gap": 5})
    assert read(seals, own, classes=False).params.encounter_gap == 5, "that is somebody's own choice"


@pytest.mark.parametrize(
    ("header", "cells", "identity"),
    [
        ("image,species", "cod,cod,tuna", "species"),
        ("image_id,dx", "nv,nv,mel", "dx"),
        (
            "filename,width,height,class,xmin,ymin,xmax,ymax",
            "90,90,90;90,90,90;cod,cod,tuna;1,1,1;1,1,1;9,9,9;9,9,9",
            "class",
        ),
    ],
)
def test_columns_of_classes(header: str, cells: str, identity: str, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(3)]
    fill(tmp_path, *(f"images/{name}" for name in names), "test/9.jpg")
    rows = zip(names, *(cell.split(",") for cell in cells.split(";")), strict=True)
    (tmp_path / "labels.csv").write_text("\n".join([header, *map(",".join, rows)]))
    looked = read_classes(tmp_path)
    assert (looked.params.csv.identity, named(looked)) == (
        identity,
        set(cells.replace(";", ",").split(",")) & {"cod", "tuna", "nv", "mel"},
    )
    assert len(looked.source.queries) == 1
    with pytest.raises(UserError):
        read(tmp_path, load_params(OURS), classes=False)  # no individual is named


def test_shares_of_a_collection_hold_the_same_classes(tmp_path: Path) -> None:
    """Also under a name that reads like a class, and in a folder beside a note."""
    shares = [f"{share}/{name}/{share}{name}.jpg" for share in ("train", "dev") for name in ("cod", "tuna")]
    fill(tmp_path / "dataset", *shares, "test/1.jpg")
    (tmp_path / "README.txt").write_text("fish")
    assert unwrapped(tmp_path) == tmp_path / "dataset"
    looked = read_classes(tmp_path / "dataset")
    assert (named(looked), len(looked.animals)) == ({"cod", "tuna"}, 4)


def test_the_first_folders_that_hold_images_are_classes_where_some_lie_deeper(tmp_path: Path) -> None:
    fill(tmp_path, "fish/tuna/1.jpg", "fish/cod/1.jpg", "crab/1.jpg", "crab/more/2.jpg")
    looked = read_classes(tmp_path)
    assert dict(zip(looked.animals["image"], looked.animals["identity"], strict=True)) == {
        "fish/tuna/1.jpg": "tuna",
        "fish/cod/1.jpg": "cod",
        "crab/1.jpg": "crab",
        "crab/more/2.jpg": "crab",
    }


def test_files_named_after_their_classes(tmp_path: Path) -> None:
    """As cats and dogs on Kaggle; names that a camera gives tell nothing."""
    fill(tmp_path, *(f"train/{name}{number}.jpg" for name in ("cat.", "Maine Coon_") for number in range(6)))
    fill(tmp_path, "train/README.jpg", "test1/1.jpg")
    looked = read_classes(tmp_path)
    assert looked.params.folders.identity == "file"
    assert dict(looked.animals["identity"].value_counts()) == {"cat": 6, "Maine_Coon": 6}
    assert looked.source.strays == [
        ("train/README.jpg", "its name is no name with a number behind it, such as A17_1"),
    ]
    assert looked.source.queries["image"].tolist() == ["1.jpg"]
    names = [
        f"{share}/{name}_{number}.jpg" for share in ("train", "dev") for name in ("IMG", "DSC") for number in range(6)
    ]
    camera = fill(tmp_path / "b", *names)
    with pytest.raises(UserError, match=r"has folders of shares \(dev, train\), and none of classes"):
        facts_of(read_classes(camera), classes=True)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ([f"ant{number}/1.jpg" for number in range(12)], "has one image of each of 12 classes"),
        ([f"{name}/{n}.jpg" for name in ("bee", "image") for n in range(6)], "has a class called 'image', as the"),
    ],
)
def test_classes_that_cannot_be_judged_or_written_are_refused_at_once(
    names: list[str], complaint: str, tmp_path: Path
) -> None:
    fill(tmp_path, *names)
    with pytest.raises(UserError, match=complaint):
        facts_of(read_classes(tmp_path), classes=True)


def test_a_column_for_each_class(tmp_path: Path) -> None:
    """In a table of each share, as Roboflow and Kaggle write them."""
    for share, count in (("train", 6), ("valid", 2), ("test", 2)):
        fill(tmp_path / share, *(f"{number}.jpg" for number in range(count)))
        rows = "".join(f"{number}.jpg, {1 - number % 2}, {number % 2}\n" for number in range(count))
        (tmp_path / share / "_classes.csv").write_text(f"filename, cat, dog\n{rows}")
    looked = read_classes(tmp_path)
    assert looked.params.csv.identity == "one-hot"
    assert dict(zip(looked.animals["image"], looked.animals["identity"], strict=True)) == {
        f"{share}/{number}.jpg": ("cat", "dog")[number % 2]
        for share, count in (("train", 6), ("valid", 2))
        for number in range(count)
    }
    assert len(looked.source.queries) == 2


def test_a_table_of_classes_beside_folders_that_do_not_tell_them(tmp_path: Path) -> None:
    """As of a dermatoscope's images in two parts, with their lesions, which stay together."""
    fill(tmp_path, *(f"Images_part_{part}/ISIC_{part}{number}.jpg" for part in (1, 2) for number in range(4)))
    rows = [f"L{part}{number // 2},ISIC_{part}{number},{'mn'[number // 2]}el" for part in (1, 2) for number in range(4)]
    (tmp_path / "meta.csv").write_text("\n".join(["lesion_id,image_id,dx", *rows]))
    looked = read_classes(tmp_path)
    assert dict(looked.animals["identity"].value_counts()) == {"mel": 4, "nel": 4}
    assert looked.animals["encounter"].nunique() == 4
    fill(tmp_path / "b", *(f"{name}/{number}.jpg" for name in ("cat", "dog") for number in range(4)))
    rows = [f"{name}/{number}.jpg,{name}" for name in ("cat", "dog") for number in range(4)]
    (tmp_path / "b/meta.csv").write_text("\n".join(["image,label", *rows]))
    assert read_classes(tmp_path / "b").params.source == "folder", "the folders tell the same"


@pytest.mark.parametrize(
    ("dates", "day_first"),
    [
        (["01/02/2020", "03/02/2020", "04/05/2020"], True),  # nothing tells
        (["13/02/2020", "02/14/2020", "02/15/2020"], False),  # as Excel does to half of them
        (["13/02/2020", "03/02/2020", "04/05/2020"], "auto"),
    ],
)
def test_dates_that_do_not_tell_their_order_stop_nothing(
    dates: list[str], day_first: bool | str, tmp_path: Path
) -> None:
    fill(tmp_path, *(f"{number}.jpg" for number in range(3)))
    rows = "".join(f"{number}.jpg,{'AAB'[number]},{date}\n" for number, date in enumerate(dates))
    (tmp_path / "table.csv").write_text(f"file,whale,date\n{rows}")
    looked = read(tmp_path, load_params(OURS), classes=False)
    assert looked.params.day_first == day_first
    assert [key for key, *_ in changes(looked.params, load_params(OURS).prepare) if key == "day_first"] == (
        [] if day_first == "auto" else ["day_first"]
    )


def test_photos_to_identify_where_nothing_marks_them(tmp_path: Path) -> None:
    """Those in a folder of nobody, those that a table calls unknown, those that it does not list."""
    known = [f"{name}/{number}.jpg" for name in ("A17", "B03") for number in (1, 2)]
    fill(tmp_path / "a", *known, "Unidentified/9.jpg")
    assert read(tmp_path / "a", load_params(OURS), classes=False).source.queries["image"].tolist() == ["9.jpg"]
    images = [f"{number}.jpg" for number in range(5)]
    names = ["A", "A", "B", "B", "unknown"]
    fill(tmp_path / "b", *images)
    (tmp_path / "b/table.csv").write_text("file,dolphin_id\n" + "".join(map("{},{}\n".format, images, names)))
    assert read(tmp_path / "b", load_params(OURS), classes=False).source.queries["image"].tolist() == ["4.jpg"]
    (tmp_path / "b/table.csv").write_text("file,dolphin_id\n" + "".join(map("{},{}\n".format, images[:4], names)))
    looked = read(tmp_path / "b", load_params(OURS), classes=False)
    assert looked.source.queries["image"].tolist() == ["4.jpg"]
    assert looked.source.strays == []


def test_a_table_beside_folders_tells_dates_and_sides(tmp_path: Path) -> None:
    fill(tmp_path, "A17/1.jpg", "A17/2.jpg", "B03/3.jpg", "B03/left/4.jpg", "queries/9.jpg")
    (tmp_path / "dates.csv").write_text(
        "photo,name,date,side\nA17/1.jpg,A17,2020-05-01,left\nB03/left/4.jpg,B03,2020-05-02,right\nqueries/9.jpg,,2020-05-03,"
    )
    looked = read(tmp_path, load_params(OURS), classes=False)
    assert looked.params.source == "folder"
    told = pd.concat([looked.animals, looked.source.queries]).set_index("image")
    assert told["date"].dropna().to_dict() == {
        "A17/1.jpg": "2020-05-01", "B03/left/4.jpg": "2020-05-02", "9.jpg": "2020-05-03",
    }  # fmt: skip
    assert told["viewpoint"].dropna().to_dict() == {"A17/1.jpg": "left", "B03/left/4.jpg": "left"}
    assert looked.source.strays == []


def test_a_table_s_columns_do_not_stay_for_the_next_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(OURS.read_text())
    tables = {  # its columns; the identity, the box and its form that are read
        "image,label": ("label", "", "size"),
        "image,label,whale_id,x_center,y_center,width,height": ("whale_id", "x_center y_center width height", "centre"),
        "image,label,whale_id,bbox": ("whale_id", "bbox", "size"),
        "image,label,individual": ("individual", "", "size"),
    }
    cells = {"image": ("0.jpg", "1.jpg", "2.jpg"), "bbox": ("30;20;20;20",) * 3, "x_center": ("40",) * 3}
    for number, (header, wanted) in enumerate(tables.items()):
        columns = [
            cells.get(name, ("A", "A", "B") if name[0] in "lwi" and name != "width" else ("20",) * 3)
            for name in header.split(",")
        ]
        folder = fill(Path(f"data/raw/{number}"), "0.jpg", "1.jpg", "2.jpg", "queries/q.jpg")
        (folder / "labels.csv").write_text("\n".join([header, *map(",".join, zip(*columns, strict=True))]))
        csv = read(folder, load_params(), classes=False).params.csv
        assert (csv.identity, csv.box, csv.box_form) == wanted
        written = {f"prepare.csv.{key}": value for key, value in csv.model_dump().items()}
        write_params(Path("params.yaml"), written | {"prepare.source": "csv", "prepare.folder": str(folder)})


def _boxed(root: Path, *cells: str) -> Path:
    """Photos of 96 x 64 px with these boxes."""
    rows = [f'{number}.jpg,{"AB"[number % 2]},"{cell}"' for number, cell in enumerate(cells)]
    for number in range(len(cells)):
        save_photo(root / f"{number}.jpg", scenery(number, 96, 64))
    (root / "metadata.csv").write_text("\n".join(["path,identity,bbox", *rows]))
    return fill(root, "queries/q.jpg")


def test_boxes_are_read_in_the_form_that_fits(tmp_path: Path) -> None:
    corners = _boxed(tmp_path / "corners", *(f"{60 + n}, 30, {85 + n}, 60" for n in range(8)))
    csv = read(corners, load_params(OURS), classes=False).params.csv
    assert (csv.box, csv.box_form) == ("bbox", "corners")
    size = _boxed(tmp_path / "size", *(f"{40 + n}, 30, 20, 20" for n in range(8)))
    assert read(size, load_params(OURS), classes=False).params.csv.box_form == "size"


def test_boxes_that_fit_no_form_are_refused_at_once(tmp_path: Path) -> None:
    large = _boxed(tmp_path, *(f"{400 + n}, 300, {200 + n}, {150 + 2 * n}" for n in range(20)))
    with pytest.raises(UserError, match="Were they drawn on larger copies"):
        read(large, load_params(OURS), classes=False)


def test_a_form_that_fits_by_chance_is_not_taken(tmp_path: Path) -> None:
    """Boxes of larger copies, x_min, y_min, width, height."""
    large = _boxed(
        tmp_path / "large", *(f"{58 + n % 20}, {38 + n % 10}, {40 + n % 11}, {44 + n % 7}" for n in range(30))
    )
    with pytest.raises(UserError, match=r"Were they drawn on larger copies|are empty or reach outside"):
        read(large, load_params(OURS), classes=False)
