"""What the owner decided: dropped, relabelled, merged; what nobody knows is an error."""

from pathlib import Path

import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.survey.sources import read_source
from finprint.survey.sources.decisions import decision
from finprint.survey.sources.sheets import read_sheet
from finprint.survey.sources.source import Source


def _decided(folder: SurveyFolder, *lines: str) -> tuple[Source, dict[str, int]]:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,", "c.jpg,orca,Old Tom,", "d.jpg,orca,B,", "e.jpg,orca,,")
    folder.photos("q.jpg", "r.jpg", split="test")
    folder.table("test_truth.csv", "image,individual_id", "q.jpg,B", "r.jpg,Z")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,3,4", "b.jpg,fin,1,2,3,4")
    folder.table("decisions.csv", "action,id,to,why", *lines)
    return read_source(prepare_params(), folder.root)


def test_each_action(folder: SurveyFolder) -> None:
    found, counts = _decided(
        folder, "merge,Old Tom,Old_Tom,spaces", "drop,a.jpg,,blurred", "relabel,b.jpg,Old_Tom,", "relabel,d.jpg,,who?",
        "drop,r.jpg,,", "relabel,e.jpg,B,",
    )  # fmt: skip
    assert counts == {"drop": 2, "merge": 1, "relabel": 3}
    assert found.labelled[["image", "identity"]].fillna("?").to_numpy().tolist() == [
        ["b.jpg", "Old_Tom"],
        ["c.jpg", "Old_Tom"],
        ["d.jpg", "?"],
        ["e.jpg", "B"],
    ]
    assert found.queries["image"].tolist() == ["q.jpg"]
    assert found.boxes["image"].tolist() == ["b.jpg"]


def test_the_truth_is_merged_and_relabelled_as_well(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "merge,Old Tom,Tom,", "merge,B,A,", "relabel,r.jpg,A,")
    assert found.truth.to_numpy().tolist() == [["q.jpg", "A"], ["r.jpg", "A"]]
    assert found.labelled["identity"].fillna("?").tolist() == ["A", "A", "Tom", "A", "?"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("delete,a.jpg,,", "action 'delete' is none of drop, merge, relabel"),
        ("drop,a.jpeg,,", "no photo is called 'a.jpeg'; did you mean 'a.jpg'?"),
        ("relabel,zzzzzzz,A,", "no photo is called 'zzzzzzz'"),
        ("relabel,a.jpg,Old_Tim,", "no individual is called 'Old_Tim'; did you mean 'Old Tom'?"),
        ("merge,old_tom,A,", "no individual is called 'old_tom'; did you mean 'Old Tom'?"),
        ("relabel,a.jpg,C,", "no individual is called 'C'"),
        ("merge,A,,", "merge needs the individual in column to"),
        ("drop,,,", "id is empty"),
    ],
)
def test_what_nobody_knows(folder: SurveyFolder, line: str, complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        _decided(folder, "drop,b.jpg,,", line)
    assert str(caught.value) == f"{folder.root}/decisions.csv line 3: {complaint}"


def test_a_name_that_was_merged_away_is_known_no_more(folder: SurveyFolder) -> None:
    with pytest.raises(UserError) as caught:
        _decided(folder, "merge,A,B,", "relabel,e.jpg,A,")
    assert str(caught.value) == f"{folder.root}/decisions.csv line 3: no individual is called 'A'"


def test_a_photo_may_be_dropped_twice(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "drop,a.jpg,,blurred", "drop,a.jpg,,again", "relabel,a.jpg,B,")
    assert found.labelled["image"].tolist() == ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]


def test_no_decisions(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    assert read_source(prepare_params(), folder.root)[1] == {"drop": 0, "merge": 0, "relabel": 0}


def test_chains_and_no_column_to(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "merge,A,new_name,", "merge,new_name,B,", "merge,Old Tom,Tom,")
    assert found.labelled["identity"].fillna("?").tolist() == ["B", "B", "Tom", "B", "?"]
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")
    folder.table("test_truth.csv", "image,individual_id")
    folder.table("decisions.csv", "action,id", "drop,a.jpg")
    assert "a.jpg" not in read_source(prepare_params(), folder.root)[0].labelled["image"].tolist()


def test_a_photo_to_identify_gets_a_truth(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos("q.jpg", split="test")
    folder.table("decisions.csv", "action,id,to", "relabel,q.jpg,A")
    found, _ = read_source(prepare_params(), folder.root)
    assert found.truth.to_numpy().tolist() == [["q.jpg", "A"]]
    assert found.queries["identity"].isna().all()


def test_a_dropped_photo_takes_its_animals_along(tmp_path: Path) -> None:
    rows = ["path,identity,box", "a.jpg,A,1 2 3 4", "a.jpg,B,5 6 7 8", "b.jpg,A,1 1 2 2"]
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    csv = prepare_params().csv.model_dump() | {"box": "box"}
    for lines, left in ((["drop,a.jpg,"], ["b.jpg"]), (["drop,a.jpg#2,"], ["a.jpg", "b.jpg"])):
        (tmp_path / "decisions.csv").write_text("\n".join(["action,id,to", *lines]) + "\n")
        found, _ = read_source(prepare_params(source="csv", csv=csv), tmp_path)
        assert found.labelled["image"].tolist() == left
        assert found.boxes["image"].tolist() == left


def _folders(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        save_photo(root / name, scenery(number))


@pytest.mark.parametrize("one", ["eg1107"])
@pytest.mark.parametrize("to", ["Eg 1107", "Eg_1107"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_as_they_are_on_disk_and_as_the_page_shows_them(
    tmp_path: Path, one: str, to: str, separator: str
) -> None:
    _folders(tmp_path, "Eg 1107/a.jpg", "eg1107/b.jpg", "queries/q q.jpg")
    rows = [["Action", "ID", "To"], ["merge", one, to], ["Relabel", "queries/q q.jpg", to], ["merge", one, to]]
    (tmp_path / "decisions.csv").write_text("\n".join(separator.join(row) for row in rows) + "\n")
    found, counts = read_source(prepare_params(source="folder"), tmp_path)
    assert found.labelled["identity"].tolist() == ["Eg_1107", "Eg_1107"]
    assert found.truth.to_numpy().tolist() == [["q q.jpg", "Eg_1107"]]
    assert counts == {"drop": 0, "merge": 1, "relabel": 1}


def test_a_folder_s_hint_works_when_it_is_followed(tmp_path: Path) -> None:
    _folders(tmp_path, "Eg 1107/a.jpg", "A/b.jpg")
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("action,id,to\nmerge,A,eg 1107\nmerge,B,A\n")
    with pytest.raises(UserError) as caught:
        read_source(prepare_params(source="folder"), tmp_path)
    assert str(caught.value) == f"{decisions} line 3: no individual is called 'B'"
    decisions.write_text("action,id,to\nmerge,eg 1107,A\n")
    with pytest.raises(UserError) as caught:
        read_source(prepare_params(source="folder"), tmp_path)
    told = str(caught.value)
    assert told == f"{decisions} line 2: no individual is called 'eg 1107'; did you mean 'Eg 1107'?"
    decisions.write_text(f"action,id,to\nmerge,{told.split(chr(39))[3]},A\n")
    assert read_source(prepare_params(source="folder"), tmp_path)[0].labelled["identity"].tolist() == ["A", "A"]


@pytest.mark.parametrize(
    "called",
    ["Zo\u00eb/caf\u00e9 1.jpg", "Zoe\u0308/cafe\u0301 1.jpg", "Zo\u00eb\\caf\u00e9 1.jpg", "Zo\u00eb/caf\u00e9_1.jpg"],
)
def test_photos_are_found_in_any_unicode_form(tmp_path: Path, called: str) -> None:
    _folders(tmp_path, "Zo\u00eb/caf\u00e9 1.jpg", "B/b.jpg")
    (tmp_path / "decisions.csv").write_text(f"action,id,to\nrelabel,{called},B\nmerge,B,Zoe\u0308\n")
    found, _ = read_source(prepare_params(source="folder"), tmp_path)
    assert found.labelled["identity"].tolist() == ["Zo\u00eb", "Zo\u00eb"]


def test_happywhale_s_photos_by_their_place_on_disk(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "drop,train_images/a.jpg,,", "relabel,test_images/q.jpg,Old_Tom,")
    assert "a.jpg" not in found.labelled["image"].tolist()
    assert found.truth.to_numpy().tolist() == [["r.jpg", "Z"], ["q.jpg", "Old_Tom"]]


TEXT = st.text("aé ,;\t|\"'\n=#", min_size=1, max_size=8).filter(lambda text: text == text.strip())


@given(one=TEXT, to=TEXT)
def test_a_suggested_line_says_what_it_should(tmp_path_factory: pytest.TempPathFactory, one: str, to: str) -> None:
    """Whatever the names: pasted below the header, the line is read as it was meant."""
    path = tmp_path_factory.mktemp("decisions") / "decisions.csv"
    path.write_text(f"action,id,to\n{decision('merge', one, to)}\n{decision('drop', to)}\n")
    rows = read_sheet(path, ["action", "id"]).fillna("").to_numpy().tolist()
    assert rows == [["merge", one, to], ["drop", to, ""]]


def test_suggested_lines_are_plain_where_they_can_be() -> None:
    assert decision("merge", "a17", "A 17") == "merge,a17,A 17"
    assert decision("drop", 'a,"b".jpg') == 'drop,"a,""b"".jpg",'
    assert decision("relabel", "a;b.jpg", "A") == '"relabel","a;b.jpg","A"'


@pytest.mark.parametrize("name", ["unknown", "Not in catalogue", "?", ""])
def test_a_name_that_means_nobody_relabels_to_nobody(folder: SurveyFolder, name: str) -> None:
    found, counts = _decided(folder, f"relabel,a.jpg,{name},", f"relabel,q.jpg,{name},")
    assert counts["relabel"] == 2
    assert found.labelled.set_index("image")["identity"].isna()["a.jpg"]
    assert found.truth["image"].tolist() == ["r.jpg"]
