"""A folder with a sub-folder for each individual."""

import unicodedata
from pathlib import Path

import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.survey.look import describe, look
from finprint.survey.sources import read_source
from finprint.survey.sources.folders import asked_in
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
        ("A/IMG.CR2", "not a photo: .CR2 files are not read; export these photos as JPEG"),
        ("A/notes.txt", "not a photo: .txt files are not read"),
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
        f"{tmp_path} has no folder queries, but one called Queries: set prepare.queries to it, or rename it"
    )


def test_another_name_for_the_queries(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "unknown/1.jpg")
    assert _read(tmp_path, queries="unknown").queries["image"].tolist() == ["1.jpg"]
    assert _read(tmp_path).labelled["identity"].fillna("?").tolist() == ["A", "?"]
    assert _read(tmp_path, nobody=[]).labelled["identity"].tolist() == ["A", "unknown"]


def test_no_folder_and_no_individuals(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _read(tmp_path / "gone")
    complaint = "is no folder: prepare.folder must name one with a sub-folder for each individual"
    assert str(caught.value) == f"{tmp_path}/gone {complaint}"
    _fill(tmp_path, "1.jpg", "queries/2.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has no photo in a sub-folder: give each individual a sub-folder with its photos, or set "
        "prepare.folders.identity to file if the names of files begin with their names (A17_1.jpg)"
    )


def test_a_table_that_is_not_understood_is_named(tmp_path: Path) -> None:
    _fill(tmp_path, "1.jpg", "queries/2.jpg")
    (tmp_path / "list.csv").write_text("nr,wer\n1,Zoe\n")
    with pytest.raises(
        UserError, match=r"; if list.csv names them, set prepare.source to csv, prepare.csv.file to list"
    ):
        _read(tmp_path)


def test_an_individual_cannot_be_new(tmp_path: Path) -> None:
    _fill(tmp_path, "A/1.jpg", "new_individual/1.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: new_individual/1.jpg: an individual cannot be called new_individual: rename it, or leave it empty"
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
    assert str(caught.value) == (
        f"{tmp_path}: {first} and {second} are both individual {name}: rename one of them, or set "
        "prepare.folders.identity to the level of the animals' folders (1 is the outermost)"
    )


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
        f"{labels}/IMG_1.txt: 2 photos are called so, A/IMG_1.jpg and B/IMG_1.jpg: "
        "give labels the sub-folders of their photos"
    )


def test_a_linked_folder_is_not_read(tmp_path: Path) -> None:
    """DVC does not watch what lies behind it. The survey's folder itself may be a link, as DVC follows that one."""
    _fill(tmp_path / "elsewhere", "1.jpg")
    _fill(tmp_path / "survey", "B03/1.jpg")
    (tmp_path / "survey" / "A17").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to(tmp_path / "survey")
    found = _read(tmp_path / "linked")
    assert found.labelled["path"].tolist() == [str(tmp_path / "linked/B03/1.jpg")]
    why = "is a link to a folder, and DVC does not watch what lies behind it: copy the photos into prepare.folder"
    assert found.strays == [("A17", why)]


def test_sides_and_years_below_the_animals(tmp_path: Path) -> None:
    """As a catalogue of seals has them; the same photo names recur everywhere."""
    _fill(tmp_path, "Seal 1/Left/DSC_1.JPG", "Seal 1/RIght/DSC_1.JPG", "Seal 2/Left/DSC_1.JPG", "Seal 3/DSC_1.JPG")
    _fill(tmp_path, "Seal 3/2019/DSC_1.JPG", "Seal 3/encounter 4/DSC_1.JPG", "queries/left/DSC_1.JPG")
    found = _read(tmp_path)
    columns = ["image", "species", "identity", "viewpoint", "encounter"]
    assert found.labelled[columns].fillna("?").to_numpy().tolist() == [
        ["Seal 1/Left/DSC_1.JPG", "?", "Seal_1", "left", "?"],
        ["Seal 1/RIght/DSC_1.JPG", "?", "Seal_1", "right", "?"],
        ["Seal 2/Left/DSC_1.JPG", "?", "Seal_2", "left", "?"],
        ["Seal 3/2019/DSC_1.JPG", "?", "Seal_3", "?", "?"],
        ["Seal 3/DSC_1.JPG", "?", "Seal_3", "?", "?"],
        ["Seal 3/encounter 4/DSC_1.JPG", "?", "Seal_3", "?", "Seal 3/encounter 4"],
    ]
    assert found.queries[["image", "viewpoint"]].to_numpy().tolist() == [["left/DSC_1.JPG", "left"]]
    assert found.strays == []


def test_the_level_of_the_animals_is_asked_for(tmp_path: Path) -> None:
    _fill(tmp_path, "A17/1.jpg", "A17/haul-out/2.jpg", "B03/1.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: A17 holds photos and a folder of photos, A17/haul-out: is A17 an animal or a species? Set "
        "prepare.folders.identity to the level of the animals' folders (1 is the outermost), or move the photos"
    )
    first = _read(tmp_path, folders={"identity": 1, "around": "auto", "groups": ""})
    assert first.labelled["identity"].tolist() == ["A17", "A17", "B03"]
    second = _read(tmp_path, folders={"identity": 2, "around": "species", "groups": ""})
    assert second.labelled[["species", "identity"]].to_numpy().tolist() == [["A17", "haul-out"]]
    assert second.strays == [(f"{name}/1.jpg", "lies in no individual's folder") for name in ("A17", "B03")]


def test_nobody_is_no_individual(tmp_path: Path) -> None:
    _fill(
        tmp_path, "A17/1.jpg", "Unidentified/2.jpg", "UNK/left/3.jpg", "not in catalogue/4.jpg", "unidentified 3/5.jpg"
    )
    found = _read(tmp_path)
    assert found.labelled.set_index("image")["identity"].fillna("?").to_dict() == {
        "A17/1.jpg": "A17", "UNK/left/3.jpg": "?", "Unidentified/2.jpg": "?", "not in catalogue/4.jpg": "?",
        "unidentified 3/5.jpg": "unidentified_3",
    }  # fmt: skip
    assert [finding[:2] for finding in found.findings] == [
        ("name that means nobody", "UNK"),
        ("name that means nobody", "Unidentified"),
        ("name that means nobody", "not in catalogue"),
        ("name that may mean nobody", "unidentified 3"),
    ]


def test_one_animal_whose_name_is_written_in_two_forms(tmp_path: Path) -> None:
    """An archive from a Mac has "Zoë" in two code points more than one from Windows."""
    ways = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    _fill(tmp_path, f"{ways[0]}/1.jpg", f"{ways[1]}/2.jpg")
    (tmp_path / "boxes.csv").write_text(
        "image,part,x_min,y_min,x_max,y_max\n" + "".join(f"{way}/{n}.jpg,fin,1,2,3,4\n" for way in ways for n in (1, 2))
    )
    (tmp_path / "decisions.csv").write_text("action,id,to\ndrop,Zoë/2.jpg,\n")
    found = _read(tmp_path)
    assert found.labelled[["image", "identity"]].to_numpy().tolist() == [["Zoë/1.jpg", "Zoë"]]
    assert set(found.boxes["image"]) == {"Zoë/1.jpg"}
    assert Path(found.labelled["path"][0]).exists()


@pytest.mark.parametrize(
    "name",
    [
        "query", "Querys", "quries", "test", "TEST_IMAGES", "to identify", "To_Identify", "to match", "Queries 2",
        "orca/queries", "orca/To identify",
    ],
)  # fmt: skip
def test_a_typo_in_the_name_of_the_queries(tmp_path: Path, name: str) -> None:
    _fill(tmp_path, "A/1.jpg", f"{name}/2.jpg")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has no folder queries, but one called {name}: set prepare.queries to it, or rename it"
    )
    assert _read(tmp_path, queries=name).queries["image"].tolist() == ["2.jpg"]


def test_an_animal_whose_name_is_a_little_like_queries(tmp_path: Path) -> None:
    _fill(tmp_path, "Queenie/1.jpg", "Testa/2.jpg")
    assert _read(tmp_path).labelled["identity"].tolist() == ["Queenie", "Testa"]


@pytest.mark.parametrize("boxes", ["../boxes2.csv", "/etc/passwd"])
def test_boxes_that_dvc_would_not_watch(tmp_path: Path, boxes: str) -> None:
    _fill(tmp_path, "A/1.jpg")
    with pytest.raises(UserError, match="leads out of"):
        _read(tmp_path, boxes=[f"{boxes}:fin"])


def test_names_with_spaces_around_them(tmp_path: Path) -> None:
    _fill(tmp_path, " A17 / 1 .jpg", "B03/1.jpg")
    found = _read(tmp_path)
    assert found.labelled[["image", "identity"]].to_numpy().tolist() == [[" A17 / 1 .jpg", "A17"], ["B03/1.jpg", "B03"]]
    assert all(Path(path).exists() for path in found.labelled["path"])


def test_nothing_but_an_archive(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(UserError) as caught:
        _read(tmp_path)
    assert str(caught.value).endswith(
        "the first of 1 that are not used: photos.zip: not a photo: .zip files are not read; unpack it"
    )


def test_nothing_but_links(tmp_path: Path) -> None:
    _fill(tmp_path / "far", "1.jpg")
    (tmp_path / "near").mkdir()
    (tmp_path / "near/A17").symlink_to(tmp_path / "far")
    with pytest.raises(UserError) as caught:
        _read(tmp_path / "near")
    assert str(caught.value) == (
        f"{tmp_path}/near has no photo in a sub-folder: give each individual a sub-folder with its photos, or set "
        "prepare.folders.identity to file if the names of files begin with their names (A17_1.jpg); the first of 1 "
        "that are not used: A17: is a link to a folder, and DVC does not watch what lies behind it: copy the photos "
        "into prepare.folder"
    )


def _grouped(root: Path, table: str) -> Source:
    _fill(root, "ant/1.jpg", "ant/2.jpg", "bee/1.jpg", "queries/3.jpg")
    (root / "trips.csv").write_text(table)
    return _read(root, folders={"identity": "auto", "around": "auto", "groups": "trips.csv:boat"})


def test_a_table_beside_the_folders_tells_what_belongs_together(tmp_path: Path) -> None:
    found = _grouped(tmp_path, "image;boat\nbee/1.jpg;Unknown\nant\\2.jpg;7\nant/1.jpg;7\ngone.jpg;8\n")
    assert found.labelled["encounter"].tolist() == ["boat 7", "boat 7", "boat Unknown"]
    assert found.queries["encounter"].isna().all()
    assert found.strays == []


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("image,boat\nant/1.jpg,7\nant/2.jpg,\nbee/1.jpg,8\n", "trips.csv line 3: boat is empty"),
        ("image,boat\nant/1.jpg,\nant/2.jpg,\nbee/1.jpg,\n", "trips.csv line 2: boat is empty"),
        ("image,ship\nant/1.jpg,7\n", r"trips.csv has no column boat \(it has: image, ship\)"),
        (
            "image,boat\nant/1.jpg,7\nant/2.jpg,8\n",
            r"trips.csv has no row for bee/1.jpg \(1 of 3 photos have none\): add them, each with its boat",
        ),
        ("image,boat\nant/1.jpg,7\nant/1.jpg,8\n", "ant/1.jpg has rows of two groups: keep one of them"),
        ("image,boat\nant/1.jpg,7\n,8\n", "trips.csv line 3: image is empty"),
        ("image,boat\n../1.jpg,7\n", "trips.csv line 2: '../1.jpg' leads out of"),
    ],
)
def test_a_table_of_groups_that_cannot_be_used_is_named(tmp_path: Path, table: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        _grouped(tmp_path, table)


def test_the_folder_of_photos_to_identify_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "A17").mkdir()
    params = prepare_params(queries="queries")
    assert asked_in(tmp_path, params) == "queries"
    (tmp_path / "To identify").mkdir()
    assert asked_in(tmp_path, params) == "To identify"
    (tmp_path / "test").mkdir()
    assert asked_in(tmp_path, params) == "To identify, test"
    assert asked_in(tmp_path, prepare_params(queries="test")) == "test"


def test_several_folders_of_photos_to_identify(tmp_path: Path) -> None:
    """As a share for tests, in folders of names, beside photos that nobody has named."""
    _fill(tmp_path, "seg_train/seg_train/Cat/1.jpg", "seg_train/seg_train/Dog/2.jpg")
    _fill(tmp_path, "seg_test/seg_test/Cat/1.jpg", "seg_test/seg_test/Dog/1.jpg", "seg_pred/seg_pred/1.jpg")
    source = look(tmp_path, prepare_params(source="sample")).source
    assert dict(zip(source.queries["image"], source.queries["path"], strict=True)) == {
        name: str(tmp_path / name)
        for name in ("seg_pred/seg_pred/1.jpg", "seg_test/seg_test/Cat/1.jpg", "seg_test/seg_test/Dog/1.jpg")
    }
    assert dict(zip(source.truth["image"], source.truth["identity"], strict=True)) == {
        "seg_test/seg_test/Cat/1.jpg": "Cat",
        "seg_test/seg_test/Dog/1.jpg": "Dog",
    }
    assert sorted(source.labelled["identity"]) == ["Cat", "Dog"]


@pytest.mark.parametrize(
    ("asked", "truth"),
    [
        (["Cat/3.jpg", " Dog/left/4.jpg"], ["Cat", "Dog"]),
        (["Cat/3.jpg", "Zed/4.jpg"], ["Cat", "Zed"]),  # a new one
        (["cat/3.jpg", "DOG/4.jpg"], ["Cat", "Dog"]),
        (["pets/Cat/3.jpg", "pets/Dog/4.jpg"], ["Cat", "Dog"]),
        (["Cat/3.jpg", "Zed/4.jpg", "Yak/5.jpg"], []),  # most are no names
        (["Cat/3.jpg", "Dog/4.jpg", "trip 2/5.jpg"], []),
        (["Cat/3.jpg", "Dog/4.jpg", "5.jpg"], []),
        (["2019/3.jpg"], []),
        ([], []),
    ],
)
def test_photos_to_identify_in_folders_of_names_tell_who_they_show(
    tmp_path: Path, asked: list[str], truth: list[str]
) -> None:
    """As in collections that are divided into train and test."""
    _fill(tmp_path, "train/Cat/1.jpg", "train/Dog/2.jpg", *(f"test/{name}" for name in asked))
    source = _read(tmp_path, queries="test")
    told = dict(zip(source.truth["image"], source.truth["identity"], strict=True))
    assert told == dict(zip(asked, truth, strict=False))
    assert list(source.labelled["identity"]) == ["Cat", "Dog"]
    known = f", {len(truth)} of them with names, which only evaluate and judge read" if truth else ""
    photos = "1 photo" if len(asked) == 1 else f"{len(asked)} photos"
    lines = describe(look(tmp_path, prepare_params(source="folder", queries="test"))).splitlines()
    assert f"  to identify  {photos}{known}" in lines
