"""What the owner decided: dropped, relabelled, merged; what nobody knows is an error."""

import shutil
from pathlib import Path

import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.store.decisions import Decision, Log
from finprint.store.tables import TEST
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source
from finprint.survey.sources.decisions import decision
from finprint.survey.sources.sheets import read_sheet
from finprint.survey.sources.source import Source

NONE = dict.fromkeys(["drop", "merge", "relabel", "confirm", "new", "unsure", "unusable", "split", "rename"], 0)


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
    assert counts == NONE | {"drop": 2, "merge": 1, "relabel": 3}
    assert found.labelled[["image", "identity"]].fillna("?").to_numpy().tolist() == [
        ["b.jpg", "Old_Tom"],
        ["c.jpg", "Old_Tom"],
        ["d.jpg", "?"],
        ["e.jpg", "B"],
    ]
    assert found.queries["image"].tolist() == ["q.jpg"]
    assert found.boxes["image"].tolist() == ["b.jpg"]


def test_what_a_review_decides(folder: SurveyFolder) -> None:
    found, counts = _decided(
        folder, "confirm,q.jpg,Old Tom,", "new,r.jpg,New Nora,", "split,d.jpg,Bea,", "rename,A,Anna,", "unsure,e.jpg,,",
        "unusable,b.jpg,,",
    )  # fmt: skip
    each = ["confirm", "new", "split", "rename", "unsure", "unusable"]
    assert counts == NONE | dict.fromkeys(each, 1)
    assert found.labelled[["image", "identity"]].fillna("?").to_numpy().tolist() == [
        ["a.jpg", "Anna"],
        ["b.jpg", "B"],
        ["c.jpg", "Old_Tom"],
        ["d.jpg", "Bea"],
        ["e.jpg", "?"],
        ["q.jpg", "Old_Tom"],
        ["r.jpg", "New_Nora"],
    ]
    assert found.queries["image"].tolist() == []
    assert found.barred == {f"{folder.root}/train_images/b.jpg": "unusable, as a person decided"}
    done = survey(found, prepare_params(), 1)
    assert ["b.jpg", "labelled", "unusable, as a person decided"] in done.rejects.to_numpy().tolist()
    assert "b.jpg" not in done.photos["image"].tolist()


def test_a_new_individual_without_a_name_gets_one(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "new,q.jpg,,", "new,r.jpg,,", "relabel,a.jpg,new_0002,")
    names = found.labelled.set_index("image")["identity"]
    assert names[["q.jpg", "r.jpg", "a.jpg"]].tolist() == ["new_0001", "new_0002", "new_0002"]


def test_the_answers_of_the_test_do_not_tell_what_may_be_decided(folder: SurveyFolder) -> None:
    """Z is known from the truth of r.jpg alone, which nobody may know."""
    found, _ = _decided(folder, "new,q.jpg,Z,")
    assert found.labelled.set_index("image").loc["q.jpg", "identity"] == "Z"
    with pytest.raises(UserError, match="no individual is called 'Z'"):
        _decided(folder, "confirm,q.jpg,Z,")


def test_a_name_that_was_given_away_can_be_given_again(folder: SurveyFolder) -> None:
    found = _reviewed(
        folder,
        Decision(action="new", photo="q.jpg", to="Zoe"),
        Decision(action="rename", individual="Zoe", to="Zara"),
        Decision(action="new", photo="r.jpg", to="Zoe"),
    )
    assert found.labelled.set_index("image")["identity"][["q.jpg", "r.jpg"]].tolist() == ["Zara", "Zoe"]


def test_photos_of_one_new_individual(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "confirm,q.jpg,Nora,", "new,r.jpg,Nora,", "split,b.jpg,Nora,")
    names = found.labelled.set_index("image")["identity"]
    assert names[["q.jpg", "r.jpg", "b.jpg"]].tolist() == ["Nora"] * 3


def _log(folder: SurveyFolder) -> Log:
    return Log(folder.root.parent / "log.jsonl")


def _reviewed(folder: SurveyFolder, *decisions: Decision) -> Source:
    log = _log(folder)
    for one in decisions:
        log.append(one)
    _decided(folder)
    return read_source(prepare_params(), folder.root, log.path.parent)[0]


def test_the_log_of_a_review_is_applied_after_the_table(folder: SurveyFolder) -> None:
    undone = _log(folder).append(Decision(action="drop", photo="a.jpg", who="Ada"))
    found = _reviewed(
        folder,
        Decision(action="undo", of=undone.id, who="Ada"),
        Decision(action="new", photos=("q.jpg", "r.jpg"), to="Nora"),
        Decision(action="split", individual="B", photos=("b.jpg",), to="Bea"),
        Decision(action="merge", individual="A", to="Old_Tom"),
        Decision(action="box", photo="a.jpg", box=(5, 6, 70, 80)),
        Decision(action="grade", photo="a.jpg", quality=3),
    )
    assert found.labelled.set_index("image")["identity"].fillna("?").to_dict() == {
        "a.jpg": "Old_Tom", "b.jpg": "Bea", "c.jpg": "Old_Tom", "d.jpg": "B", "e.jpg": "?", "q.jpg": "Nora",
        "r.jpg": "Nora",
    }  # fmt: skip
    boxes = found.boxes.set_index("image")
    assert boxes.loc["a.jpg", ["part", "x_min", "y_min", "x_max", "y_max", "confidence"]].tolist() == [
        "fin", 5, 6, 70, 80, 1,
    ]  # fmt: skip
    assert len(boxes) == 2


def test_a_box_that_is_drawn_in_a_review_may_be_the_first(tmp_path: Path) -> None:
    root = tmp_path / "survey"
    _folders(root, "Old Tom/a.jpg", "B/b.jpg", "queries/q.jpg")
    log = Log(tmp_path / "decisions/log.jsonl")
    log.append(Decision(action="box", photo="Old Tom/a.jpg", box=(2, 3, 20, 24)))
    params = prepare_params(source="folder")
    boxes = survey(read_source(params, root, log.path.parent)[0], params, 7).boxes
    assert boxes[["image", "x_min", "y_max"]].to_numpy().tolist() == [["Old Tom/a.jpg", 2, 24]]


def test_decisions_on_photos_of_identify_hold_wherever_these_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Photos are the same if their content is, whatever they are called; those that come later wait."""
    root = tmp_path / "survey"
    _folders(root, "Old Tom/a.jpg", "B/b.jpg", "queries/x 1.jpg", "queries/june/IMG_1.jpg", "Nora/y.jpg")
    elsewhere = save_photo(tmp_path / "IMG_2.jpg", scenery(9))
    log = Log(tmp_path / "decisions/log.jsonl")
    one, two = (sha256_path(root / "queries" / name) for name in ("x 1.jpg", "june/IMG_1.jpg"))
    # In June's folder other photos are called so: the content counts, and not the name.
    log.append(Decision(action="confirm", photo="june/IMG_1.jpg", contents=(one,), to="Old_Tom"))
    log.append(Decision(action="new", photo="IMG_2.jpg", contents=(sha256_path(elsewhere),), to="New Zoe"))
    log.append(Decision(action="rename", individual="New Zoe", to="Zoe B"))
    log.append(Decision(action="confirm", photo="a.jpg", contents=(two,), to="Zoe B"))
    log.append(Decision(action="new", photo="n.jpg", contents=(sha256_path(root / "Nora/y.jpg"),), to="Nora"))
    log.append(Decision(action="confirm", photo="n.jpg#2", contents=(two,), to="B"))  # nobody can tell it here

    def names() -> dict[str, str]:
        found = read_source(prepare_params(source="folder"), root, log.path.parent)[0].labelled
        return dict(zip(found["image"], found["identity"], strict=True))

    known = {
        "Old Tom/a.jpg": "Old_Tom", "B/b.jpg": "B", "x 1.jpg": "Old_Tom", "june/IMG_1.jpg": "Zoe_B",
        "Nora/y.jpg": "Nora",
    }  # fmt: skip
    assert names() == known
    assert capsys.readouterr().out == "the decisions on 2 photos wait until the photos are in the collection\n"
    shutil.copy(elsewhere, root / "queries/from june.jpg")
    assert names() == known | {"from june.jpg": "Zoe_B"}


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"action": "confirm", "photo": "gone", "to": "A"}, "no photo is called 'gone'"),
    (
        {"action": "new", "photo": "q.jpg", "to": "A"},
        "'A' is in the catalogue already, so it is not new: write confirm",
    ),
    (
        {"action": "rename", "individual": "A", "to": "B"},
        "'B' is another individual already: to make them one, write merge",
    ),
    ({"action": "confirm", "photo": "a.jpg", "to": "B"}, "'a.jpg' is labelled as 'A' already: write relabel"),
    (
        {"action": "split", "individual": "A", "photos": ["e.jpg"], "to": "C"},
        "'e.jpg' shows nobody who is known, so there is nobody to split",
    ),
    (
        {"action": "new", "photo": "q.jpg", "to": "Nora"},
        "two decisions give the name 'Nora' to two new individuals, in 'r.jpg' and 'q.jpg': give one of them another "
        "name",
    ),
]


@pytest.mark.parametrize(("fields", "complaint"), IMPOSSIBLE)
def test_what_cannot_be_is_named_with_who_decided_it(
    folder: SurveyFolder, fields: dict[str, object], complaint: str
) -> None:
    log, one = _log(folder), Decision.model_validate(fields)
    log.append(Decision(action="new", photo="r.jpg", to="Nora"))
    line = log.append(one.model_copy(update={"who": "Ada"}))
    with pytest.raises(UserError) as caught:
        _reviewed(folder)
    assert str(caught.value) == (
        f"{log.path}: {one.action} by Ada, {line.when}: {complaint}; undo this decision in the review page, or move "
        "the log away if it is about other photos"
    )


def test_photos_already_dealt_keep_their_side_when_others_are_decided(tmp_path: Path) -> None:
    names = [f"animal {number}/{photo}.jpg" for number in range(15) for photo in range(3)]
    _folders(tmp_path, *names, *(f"queries/{number}.jpg" for number in range(4)))
    params = prepare_params(source="folder", new_share=0.2)

    def dealt() -> dict[str, tuple[str, int]]:
        photos = survey(read_source(params, tmp_path)[0], params, 1).photos
        return {image: (split, fold) for image, split, fold in photos[["image", "split", "fold"]].to_numpy()}

    before = dealt()
    (tmp_path / "decisions.csv").write_text(
        "action,id,to\nconfirm,queries/0.jpg,animal 3\nnew,queries/1.jpg,Nora\nunusable,queries/2.jpg,\n"
        "unusable,animal 5/0.jpg,\n"
    )
    after = dealt()
    assert len(set(before) - set(after)) == 2  # the unusable ones
    moved = {image for image in after if before[image] != after[image]}
    joined = {image for image in moved if before[image][0] == TEST}
    assert {image.rpartition("/")[2] for image in joined} == {"0.jpg", "1.jpg"}
    assert all(after[image][0] != TEST for image in joined)
    # A new name can let one individual go that was held out, because a least number is; nobody else moves.
    assert len({image.rpartition("/")[0] for image in moved - joined}) <= 1
    assert all(before[image][1] == after[image][1] for image in moved - joined)


def test_the_truth_is_merged_and_relabelled_as_well(folder: SurveyFolder) -> None:
    found, _ = _decided(folder, "merge,Old Tom,Tom,", "merge,B,A,", "relabel,r.jpg,A,")
    assert found.truth.to_numpy().tolist() == [["q.jpg", "A"], ["r.jpg", "A"]]
    assert found.labelled["identity"].fillna("?").tolist() == ["A", "A", "Tom", "A", "?"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (
            "delete,a.jpg,,",
            "action 'delete' is none of drop, merge, relabel, confirm, new, unsure, unusable, split, rename",
        ),
        ("drop,a.jpeg,,", "no photo is called 'a.jpeg'; did you mean 'a.jpg'?"),
        ("relabel,zzzzzzz,A,", "no photo is called 'zzzzzzz'"),
        ("relabel,a.jpg,Old_Tim,", "no individual is called 'Old_Tim'; did you mean 'Old Tom'?"),
        ("merge,old_tom,A,", "no individual is called 'old_tom'; did you mean 'Old Tom'?"),
        ("relabel,a.jpg,C,", "no individual is called 'C'"),
        ("merge,A,,", "merge needs the individual in column to"),
        ("rename,A,,", "rename needs the individual in column to"),
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
    assert read_source(prepare_params(), folder.root)[1] == NONE


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
    assert counts == NONE | {"merge": 1, "relabel": 1}


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


@pytest.mark.parametrize("line", ["new,q.jpg,Unknown,", "split,a.jpg,?,", "rename,A,New_Individual,", "merge,A,unk,"])
def test_no_decision_makes_an_individual_whose_name_means_nobody(folder: SurveyFolder, line: str) -> None:
    with pytest.raises(UserError) as caught:
        _decided(folder, line)
    name = line.split(",")[2]
    assert str(caught.value) == (
        f"{folder.root}/decisions.csv line 2: {name!r} means nobody, so no individual can be called so"
    )
