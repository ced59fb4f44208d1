"""Reading a survey: ids as text, every mistake of its owner named with file, line and cure."""

import pandas as pd
import pytest
from conftest import SurveyFolder, prepare_params

from finprint.base.errors import UserError
from finprint.store.tables import SIDES
from finprint.survey.sources import read_source
from finprint.survey.sources.source import Source

TYPOS = {"bottlenose_dolpin": "bottlenose_dolphin", "globis": "short_finned_pilot_whale"}


def _read(folder: SurveyFolder) -> Source:
    return read_source(prepare_params(species_typos=TYPOS), folder.root)[0]


def _complaint(folder: SurveyFolder) -> str:
    with pytest.raises(UserError) as caught:
        _read(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder.root), "SURVEY")


def test_a_whole_survey(folder: SurveyFolder) -> None:
    folder.train("b.jpg,bottlenose_dolpin,00123,e1", "a.jpg,orca,875923901e14,", "c.jpg,,,e2")
    folder.photos("y.jpg", "x.jpg", split="test")
    folder.table("sample_submission.csv", "image,predictions", "y.jpg,a b", "x.jpg,a b")
    folder.table("test.csv", "image,species,encounter,viewpoint", "x.jpg,globis,e9,Left", "y.jpg,orca,,dorsal")
    folder.table("test_truth.csv", "image,species,individual_id", "x.jpg,orca,00123", "y.jpg,orca,new_individual")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,30.5,40")
    found = _read(folder)
    assert found.labelled.columns.tolist() == [
        "image", "path", "species", "identity", "encounter", "date", "viewpoint", "location", "latitude", "longitude",
    ]  # fmt: skip
    assert found.labelled.iloc[:, :8].fillna("?").to_numpy().tolist() == [
        ["b.jpg", f"{folder.root}/train_images/b.jpg", "bottlenose_dolphin", "00123", "e1", "?", "?", "?"],
        ["a.jpg", f"{folder.root}/train_images/a.jpg", "orca", "875923901e14", "?", "?", "?", "?"],
        ["c.jpg", f"{folder.root}/train_images/c.jpg", "?", "?", "e2", "?", "?", "?"],
    ]
    assert found.queries.columns.tolist() == found.labelled.columns.tolist()
    assert found.queries.iloc[:, :8].fillna("?").to_numpy().tolist() == [
        ["y.jpg", f"{folder.root}/test_images/y.jpg", "orca", "?", "?", "?", "dorsal", "?"],
        ["x.jpg", f"{folder.root}/test_images/x.jpg", "short_finned_pilot_whale", "?", "e9", "?", "left", "?"],
    ]
    assert found.truth.to_numpy().tolist() == [["x.jpg", "00123"], ["y.jpg", "new_individual"]]
    assert found.boxes[["image", "part", *SIDES]].to_numpy().tolist() == [["a.jpg", "fin", 1, 2, 30.5, 40]]
    assert found.strays == []


@pytest.mark.parametrize("identity", ["875923901e14", "00123", "NA", "nan", "None", "1e400", "True", "12.50"])
def test_ids_stay_as_written(folder: SurveyFolder, identity: str) -> None:
    folder.train(f"{identity}.jpg,orca,{identity},")
    found, _ = read_source(prepare_params(nobody=[]), folder.root)
    assert found.labelled[["image", "identity"]].to_numpy().tolist() == [[f"{identity}.jpg", identity]]
    nobody = identity in ("NA", "nan", "None")  # unless params say otherwise
    assert _read(folder).labelled["identity"].isna().tolist() == [nobody]


def test_only_an_empty_cell_is_missing(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,,", "b.jpg,orca,0,", "c.jpg,orca,-1,")
    assert _read(folder).labelled["identity"].isna().tolist() == [True, False, False]


def test_commas_quotes_and_letters(folder: SurveyFolder) -> None:
    folder.train('"sept, 3.jpg",orca,Ærø-ü,"e ""1"""')
    row = _read(folder).labelled.iloc[0]
    assert (row["image"], row["identity"], row["encounter"]) == ("sept, 3.jpg", "Ærø-ü", 'e "1"')


def test_what_a_spreadsheet_writes(folder: SurveyFolder) -> None:
    """A byte-order mark, Windows' line ends, spaces behind the commas."""
    folder.photos("a.jpg")
    text = "image, species, individual_id\r\na.jpg, orca, X1\r\n"
    (folder.root / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert _read(folder).labelled["identity"].tolist() == ["X1"]


def test_photos_in_no_table_are_strays(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos("z.jpg", "b.jpg", ".hidden.jpg")
    folder.photos("q.jpg", "r.jpg", split="test")
    folder.table("sample_submission.csv", "image,predictions", "r.jpg,")
    assert _read(folder).strays == [
        (name, "on disk, but in no table") for name in ("train_images/b.jpg", "train_images/z.jpg", "test_images/q.jpg")
    ]


def test_without_a_list_all_test_photos_are_queries(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos("z.jpg", "b.jpg", split="test")
    folder.table("test.csv", "image,species", "z.jpg,orca", "z.jpg,twice")
    queries = _read(folder).queries
    assert queries["image"].tolist() == ["b.jpg", "z.jpg"]
    assert queries["species"].fillna("?").tolist() == ["?", "orca"]


@pytest.mark.parametrize("count", [0, 1])
def test_few_test_photos(folder: SurveyFolder, count: int) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos(*["q.jpg"][:count], split="test")
    found = _read(folder)
    assert found.queries["image"].tolist() == ["q.jpg"][:count]
    assert found.queries.columns.tolist() == found.labelled.columns.tolist()
    assert len(found.truth) == len(found.boxes) == 0


def test_boxes_alone_train_a_detector(folder: SurveyFolder) -> None:
    folder.photos("b.jpg", "a.jpg")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,3,4")
    found = _read(folder)
    assert found.labelled["image"].tolist() == ["a.jpg", "b.jpg"]
    assert found.labelled["identity"].isna().all()


def test_no_folder(folder: SurveyFolder) -> None:
    (folder.root / "train_images").rmdir()
    assert _complaint(folder) == (
        "SURVEY/train_images is no folder: prepare.folder must name a folder with train_images/ and train.csv"
    )


def test_no_table_at_all(folder: SurveyFolder) -> None:
    folder.photos("a.jpg")
    assert _complaint(folder) == (
        "SURVEY/train.csv is missing, and so is boxes.csv: one of them must say what the photos show"
    )


@pytest.mark.parametrize(
    ("name", "header", "complaint"),
    [
        ("train.csv", "image,species,id", "SURVEY/train.csv has no column individual_id (it has: image, species, id)"),
        (
            "train.csv",
            "image;species;individual_id",
            "SURVEY/train.csv is no CSV table: its header has 3 columns, and each row has one",
        ),
        (
            "sample_submission.csv",
            "photo,species,id",
            "SURVEY/sample_submission.csv has no column image (it has: photo, species, id)",
        ),
        ("test.csv", "file,species,id", "SURVEY/test.csv has no column image (it has: file, species, id)"),
        (
            "test_truth.csv",
            "image,species,id",
            "SURVEY/test_truth.csv has no column individual_id (it has: image, species, id)",
        ),
        (
            "boxes.csv",
            "image,part,x_min",
            "SURVEY/boxes.csv has no column y_min, x_max, y_max (it has: image, part, x_min)",
        ),
    ],
)
def test_a_missing_column(folder: SurveyFolder, name: str, header: str, complaint: str) -> None:
    folder.train("a.jpg,orca,A,")
    folder.table(name, header, "a,b,c")
    assert _complaint(folder) == complaint


def test_an_empty_table(folder: SurveyFolder) -> None:
    (folder.root / "train.csv").write_text("")
    assert _complaint(folder) == "SURVEY/train.csv is empty: its first line must name the columns"


def test_a_ragged_table(folder: SurveyFolder) -> None:
    folder.table("train.csv", "image,species,individual_id", "a.jpg,orca,A", "b.jpg,orca,A,B,C")
    assert _complaint(folder).startswith("SURVEY/train.csv is no CSV table: ")
    assert "line 3" in _complaint(folder)


def test_a_comma_behind_each_row_shifts_no_column(folder: SurveyFolder) -> None:
    folder.photos("a.jpg")
    folder.table("train.csv", "image,species,individual_id", "a.jpg,orca,A,")
    labelled = read_source(prepare_params(), folder.root)[0].labelled
    assert labelled[["image", "species", "identity"]].to_numpy().tolist() == [["a.jpg", "orca", "A"]]


def test_a_table_in_another_encoding(folder: SurveyFolder) -> None:
    folder.photos("a.jpg")
    (folder.root / "train.csv").write_bytes("image,species,individual_id\na.jpg,orca,Ærø\n".encode("latin-1"))
    assert read_source(prepare_params(), folder.root)[0].labelled["identity"].tolist() == ["Ærø"]


def test_a_row_without_a_photo(folder: SurveyFolder) -> None:
    folder.table("train.csv", "image,species,individual_id", "a.jpg,orca,A", ",orca,B")
    assert _complaint(folder) == "SURVEY/train.csv line 3: image is empty"


@pytest.mark.parametrize("name", ["New Individual", "new_individual"])
def test_an_individual_called_new(folder: SurveyFolder, name: str) -> None:
    folder.train("a.jpg,orca,A,", f"b.jpg,orca,{name},")
    assert _complaint(folder) == (
        "SURVEY: b.jpg: an individual cannot be called new_individual: rename it, or leave it empty"
    )


@pytest.mark.parametrize("space", [" ", "\t", "\u00a0"])
def test_spaces_in_a_name(folder: SurveyFolder, space: str) -> None:
    folder.train("a.jpg,orca,A ,", f"b.jpg,orca,Old{space}Tom,", f"c.jpg,orca,{space}Old{space}{space}Tom,")
    folder.table("test_truth.csv", "image,individual_id", "q.jpg,new_individual", "r.jpg,Old Tom")
    found, _ = read_source(prepare_params(), folder.root)
    assert found.labelled["identity"].tolist() == ["A", "Old_Tom", "Old_Tom"]
    assert found.truth["identity"].tolist() == ["new_individual", "Old_Tom"]


def test_two_individuals_that_would_be_called_alike(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,Old_Tom,", "b.jpg,orca,Old Tom,")
    assert _complaint(folder) == (
        "SURVEY: 'Old_Tom' and 'Old Tom' would both be called Old_Tom: rename one of them, or write into "
        "decisions.csv: merge,Old_Tom,Old Tom"
    )
    folder.table("decisions.csv", "action,id,to", "merge,Old_Tom,Old Tom")
    assert read_source(prepare_params(), folder.root)[0].labelled["identity"].tolist() == ["Old_Tom", "Old_Tom"]


def test_one_name_in_both_folders(folder: SurveyFolder) -> None:
    folder.train("b.jpg,orca,A,", "a.jpg,orca,A,", "c.jpg,orca,B,")
    folder.photos("c.jpg", "b.jpg", split="test")
    assert _complaint(folder) == (
        "SURVEY: 2 photos of the catalogue with the name of a photo to identify, such as b.jpg: "
        "rename one of the two, because a photo's name is its id"
    )


def test_reading_leaves_the_survey_as_it_was(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    one, other = _read(folder), _read(folder)
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before
    pd.testing.assert_frame_equal(one.labelled, other.labelled)
    assert one.strays == other.strays


def test_a_link_within_the_folder_is_read_and_linked_photos_are_not(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,A,")
    (folder.root / "originals").mkdir()
    (folder.root / "train_images/a.jpg").rename(folder.root / "originals/a.jpg")
    (folder.root / "train_images/a.jpg").symlink_to("../originals/a.jpg")
    assert _read(folder).barred == {}
    (folder.root / "train_images").rename(folder.root / "photos")
    (folder.root / "train_images").symlink_to("photos")
    assert _complaint(folder) == (
        "SURVEY/train_images is a link to a folder, and DVC does not watch what lies behind it: copy the photos into "
        "prepare.folder"
    )
