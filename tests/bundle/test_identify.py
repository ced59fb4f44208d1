"""New photos are named by a bundle as the pipeline names them."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from finished import SETTINGS, Project, draw

from finprint.answers.rules import Rules
from finprint.base.errors import UserError
from finprint.bundle import vectors
from finprint.bundle.bundle import Bundle
from finprint.bundle.identified import Identified
from finprint.bundle.identify import _in_the_gallery, identify, identify_one, rows_of_crops
from finprint.bundle.sheets import COLUMNS
from finprint.bundle.writing import read_finished, write_bundle


@pytest.fixture
def bundle(project: Project) -> Bundle:
    return Bundle.load(project.bundle)


def test_the_pipelines_own_photos_get_the_pipelines_answers(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    identified = identify([project.queries], bundle, tmp_path / "out")
    ours, theirs = (
        table.sort_values(["query", "rank"], ignore_index=True) for table in (identified.answers, project.answers)
    )
    assert len(theirs) == 5 * 17
    assert theirs["probability"].notna().all()
    for column in ("query", "rank", "identity", "match"):
        pd.testing.assert_series_equal(ours[column], theirs[column])
    np.testing.assert_allclose(ours["probability"], theirs["probability"], atol=1e-6)
    assert identified.photos["problem"].isna().all()


def test_the_chance_of_a_new_animal_is_told_of_each_photo(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    identified = identify([project.queries], bundle, tmp_path / "out")
    answered = project.answers[project.answers["identity"] == "new_individual"].set_index("query")["probability"]
    told = identified.photos.set_index("image")["p_new"]
    assert told.notna().all()
    np.testing.assert_allclose(told[answered.index], answered, atol=1e-6)


def test_photos_called_new_are_grouped_as_the_pipeline_groups_them(
    project: Project, bundle: Bundle, tmp_path: Path
) -> None:
    identified = identify([project.queries], bundle, tmp_path / "out")
    theirs = pd.read_csv(project.root / "data/search/new_individuals.csv", dtype="string")
    assert len(theirs)
    pd.testing.assert_frame_equal(identified.proposed, theirs, check_dtype=False)


def test_a_copy_of_the_bundle_works_anywhere(
    project: Project, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder without params.yaml, DVC and git, and with the project gone as far as the bundle can tell."""
    copy = shutil.copytree(project.bundle, tmp_path / "copy")
    shutil.copytree(project.queries, tmp_path / "june")
    monkeypatch.chdir(tmp_path)
    identified = identify([Path("june")], Bundle.load(copy), Path("out"))
    here = identify([project.queries], bundle, tmp_path / "other")
    pd.testing.assert_frame_equal(identified.answers, here.answers)
    for path in copy.rglob("*"):
        assert path.is_dir() or str(project.root).encode() not in path.read_bytes(), path


def test_what_is_written_reads_the_same(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    identified = identify([project.queries], bundle, tmp_path)
    read = Identified.load(tmp_path)
    pd.testing.assert_frame_equal(read.answers, identified.answers.astype(read.answers.dtypes))
    assert read.photos["image"].tolist() == sorted(path.name for path in project.queries.iterdir())
    np.testing.assert_array_equal(read.vectors, identified.vectors)
    assert read.run["folder"] == str(project.queries)
    assert read.run["bundle_folder"] == str(project.bundle)
    pd.testing.assert_frame_equal(read.proposed, identified.proposed)
    assert read.run["system"] == bundle.manifest.system


def test_the_sheets_tell_a_row_a_photo(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    identified = identify([project.queries], bundle, tmp_path)
    table = pd.read_csv(tmp_path / "answers.csv")
    assert list(table.columns) == COLUMNS
    assert table["image"].tolist() == identified.photos["image"].tolist()
    first = identified.answers[identified.answers["rank"] == 1]["identity"].tolist()
    assert table["name_1"].tolist() == first
    assert table[["x_min", "y_min", "x_max", "y_max"]].iloc[0].tolist() == [0, 0, 96, 64]
    sheet = openpyxl.load_workbook(tmp_path / "answers.xlsx").active
    assert sheet is not None
    rows = list(sheet.iter_rows(values_only=True))
    assert list(rows[0]) == COLUMNS
    assert [row[1] for row in rows[1:]] == first
    assert rows[1][2] == pytest.approx(table["probability_1"][0])


def test_no_name_is_a_formula(bundle: Bundle, tmp_path: Path) -> None:
    photo = draw(tmp_path / "=1+1.jpg", 1, 8)
    identify([photo], bundle, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out/answers.csv")["image"].tolist() == ["'=1+1.jpg"]
    sheet = openpyxl.load_workbook(tmp_path / "out/answers.xlsx").active
    assert sheet is not None
    assert (sheet["A2"].value, sheet["A2"].data_type) == ("'=1+1.jpg", "s")


def test_a_photo_of_the_gallery_is_said_and_not_matched_with_itself(
    project: Project, bundle: Bundle, tmp_path: Path
) -> None:
    shutil.copy(project.root / "survey/03_1.jpg", tmp_path / "seen before.jpg")
    draw(tmp_path / "new.jpg", 3, 8)
    identified = identify([tmp_path / "seen before.jpg", tmp_path / "new.jpg"], bundle, tmp_path / "out")
    told = identified.photos.set_index("image")["problem"]
    assert told["seen before.jpg"] == "is in the catalogue already: animal 03 (03_1.jpg); compared with the others"
    assert pd.isna(told["new.jpg"])
    matches = identified.answers.groupby("query")["match"].agg(set)
    assert "03_1.jpg" not in matches["seen before.jpg"]
    assert len(identified.answers) == 10


def test_each_bad_photo_is_a_row_with_its_problem(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    whole = draw(photos / "good.jpg", 1, 8).read_bytes()
    (photos / "text.jpg").write_text("no photo")
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "cut.jpg").write_bytes(whole[:500])
    (photos / "notes.txt").write_text("not read")
    identify([photos], bundle, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/answers.csv").set_index("image")
    assert table.index.tolist() == ["cut.jpg", "empty.jpg", "good.jpg", "text.jpg"]
    assert table["name_1"].isna().tolist() == [True, True, False, True]
    assert table.loc["text.jpg", "problem"] == "not an image"
    assert table.loc["empty.jpg", "problem"] == "empty file"
    assert table.loc["cut.jpg", "problem"].startswith("cannot be decoded")


def test_no_photo_at_all_can_be_read(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/text.jpg").write_text("no photo")
    identified = identify([tmp_path / "photos"], bundle, tmp_path / "out")
    assert identified.photos["problem"].tolist() == ["not an image"]
    assert len(pd.read_csv(tmp_path / "out/answers.csv")) == 1


def test_a_table_tells_encounters_sides_and_boxes(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    draw(tmp_path / "a" / "1.jpg", 2, 8)
    draw(tmp_path / "a" / "2.jpg", 2, 7)
    rows = ["File,Encounter,Side,Date,x_min,y_min,x_max,y_max,Lat,decimalLongitude"]
    rows += ['a/1.jpg, e1 ,L,2026-06-01,10,10,60,50,"54,5",-3.25', "a/2.jpg,e1,,,,,,,,", "a/3.jpg,e2,,,,,,,,"]
    (tmp_path / "june.csv").write_text("\n".join(rows) + "\n")
    identified = identify([tmp_path / "june.csv"], bundle, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/answers.csv").set_index("image")
    assert table["encounter"].tolist() == ["e1", "e1", "e2"]
    assert table["side"].iloc[0] == "left"
    assert table.loc["a/1.jpg", ["x_min", "y_min", "x_max", "y_max"]].tolist() == [10, 10, 60, 50]
    assert table.loc["a/2.jpg", ["x_min", "y_min", "x_max", "y_max"]].tolist() == [0, 0, 96, 64]
    assert table.loc["a/3.jpg", "problem"] == "not on disk"
    assert identified.photos["date"].iloc[0] == "2026-06-01 00:00:00"
    assert identified.photos[["latitude", "longitude"]].fillna(0).iloc[:2].to_numpy().tolist() == [
        [54.5, -3.25],
        [0, 0],
    ]
    joint = pd.read_csv(tmp_path / "out/encounters.csv")
    assert joint[["encounter", "photos"]].to_numpy().tolist() == [["e1", 2]]


def test_several_boxes_in_a_photo_are_several_animals(bundle: Bundle, tmp_path: Path) -> None:
    draw(tmp_path / "two.jpg", 2, 8)
    draw(tmp_path / "one.jpg", 3, 8)
    rows = [
        "two.jpg,,,,",
        "two.jpg,0,0,40,40",
        "two.jpg,50,10,90,60",
        "two.jpg,0,0,40,40",
        "one.jpg,,,,",
        "one.jpg,,,,",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["image,x_min,y_min,x_max,y_max", *rows]) + "\n")
    identified = identify([tmp_path / "t.csv"], bundle, tmp_path / "out")
    assert identified.photos["image"].tolist() == ["two.jpg", "two.jpg#2", "one.jpg"]
    assert identified.photos["path"].tolist() == ["two.jpg", "two.jpg", "one.jpg"]
    assert identified.photos["problem"].isna().all()
    boxes = identified.crops.index.set_index("image")[["x_min", "x_max"]]
    assert boxes.to_numpy().tolist() == [[0, 40], [50, 90], [0, 96]]
    assert identified.answers["query"].nunique() == 3


def test_one_photo_with_another_box_is_answered_anew(project: Project, bundle: Bundle, tmp_path: Path) -> None:
    photo = project.queries / "q03.jpg"
    one = identify_one(bundle, photo, told={"viewpoint": "left"})
    theirs = project.answers[project.answers["query"] == "q03.jpg"].reset_index(drop=True)
    assert one.answers["identity"].tolist() == theirs["identity"].tolist()
    np.testing.assert_allclose(one.answers["probability"], theirs["probability"], atol=1e-6)
    assert one.photos["viewpoint"].tolist() == ["left"]
    boxed = identify_one(bundle, photo, (10, 10, 60, 50))
    assert boxed.crops.index[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [[10, 10, 60, 50]]
    assert not np.allclose(boxed.vectors, one.vectors)
    assert len(boxed.crops.jpeg(0)) > 100  # its folder is gone, the crop is not
    gone = identify_one(bundle, tmp_path / "gone.jpg")
    assert (gone.photos["problem"].tolist(), len(gone.answers)) == (["not on disk"], 0)


def test_sub_folders_tell_sides_and_encounters(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("Left side/1.jpg", "sighting 3/right/2.jpg", "3.jpg", "both/4.jpg"):
        draw(tmp_path / "june" / name, 2, 8)
    photos = identify([tmp_path / "june"], bundle, tmp_path / "out").photos.set_index("image")
    assert photos["viewpoint"].fillna("").to_dict() == {
        "3.jpg": "", "Left side/1.jpg": "left", "both/4.jpg": "", "sighting 3/right/2.jpg": "right",
    }  # fmt: skip
    assert photos["encounter"].dropna().to_dict() == {"sighting 3/right/2.jpg": "sighting 3"}


def test_what_was_done_is_not_done_again(
    project: Project, bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = Path(shutil.copytree(project.queries, tmp_path / "photos"))
    first = identify([photos], bundle, tmp_path / "out")
    draw(photos / "z.jpg", 1, 7)
    capsys.readouterr()
    again = identify([photos], bundle, tmp_path / "out")
    assert "17 of 18 photos were cropped before, 1 to crop" in capsys.readouterr().out
    pd.testing.assert_frame_equal(again.answers.iloc[:-5], first.answers)


def test_a_killed_run_goes_on_where_it_was(
    project: Project, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors that were computed before the kill are not computed again."""
    whole = identify([project.queries], bundle, tmp_path / "whole")
    real, rows = vectors.vector_stream, []

    def counted(model: Any, pixels: Any, params: Any) -> Any:
        stream = real(model, pixels, params)

        def counting(jobs: Any) -> Any:
            if len(rows) == 5:
                raise KeyboardInterrupt
            rows.append(len(jobs))
            yield from stream(jobs)

        return counting

    with monkeypatch.context() as patch:
        patch.setattr(vectors, "CHUNK", 4)
        patch.setattr(vectors, "vector_stream", counted)
        with pytest.raises(KeyboardInterrupt):
            identify([project.queries], bundle, tmp_path / "out")
        assert rows == [4] * 5  # two chunks by both members, and one by the first
        assert not (tmp_path / "out/answers.csv").exists()
        rows[:] = [0] * 6
        resumed = identify([project.queries], bundle, tmp_path / "out")
    assert sum(rows) == 2 * (17 - 8)
    pd.testing.assert_frame_equal(resumed.answers, whole.answers)


def test_members_without_a_share_are_left_out(project: Project, tmp_path: Path) -> None:
    """The rules answer as before, without the model that they do not use, and with one more that they do."""
    root = tmp_path / "project"
    shutil.copytree(project.root / "data", root / "data")
    shutil.copytree(project.root / "models", root / "models", ignore=shutil.ignore_patterns("bundle"))
    for kind in ("data", "models"):
        shutil.copytree(root / kind / "round1", root / kind / "folds/3")
    rules = replace(Rules.load(root / "data/search"), shares=(0.0, 0.5, 0.5))
    rules.save(root / "data/search")
    write_bundle(read_finished(root / "data", root / "models", [3]), SETTINGS, root / "bundle")
    bundle = Bundle.load(root / "bundle")
    assert bundle.manifest.shares == {"round2": 0.5, "fold3": 0.5}
    answers = identify([project.queries], bundle, tmp_path / "out").answers
    theirs = project.answers
    assert answers["identity"].tolist() == theirs["identity"].tolist()
    np.testing.assert_allclose(answers["probability"], theirs["probability"], atol=1e-6)


def test_the_second_animal_of_a_photo_in_the_catalogue_is_not_told_as_the_first() -> None:
    gallery = pd.DataFrame(
        {"image": ["june/a.jpg", "june/a.jpg#2", "june/b.jpg"], "identity": ["Ada", "Bo", "Cy"], "sha256": [*"aab"]}
    )
    photos = pd.DataFrame(
        {"image": ["x.jpg", "x.jpg#2", "x.jpg#3", "y.jpg#2", "bad.jpg"], "sha256": [*"aaab", None]}, dtype="string"
    )
    told = " is in the catalogue already: {}; compared with the others"
    assert _in_the_gallery(photos, gallery).fillna("").tolist() == [
        told.format("Ada (june/a.jpg)").strip(), told.format("Bo (june/a.jpg#2)").strip(), "", "", "",
    ]  # fmt: skip


def test_a_further_animal_of_a_photo_has_the_photos_row() -> None:
    table = pd.DataFrame({"image": ["a.jpg", "b#1.jpg"], "path": ["x/a.jpg", "x/b.jpg"]})
    rows = rows_of_crops(table, pd.Series(["a.jpg", "a.jpg#2", "b#1.jpg", "b#1.jpg#2"]))
    assert rows["path"].tolist() == ["x/a.jpg"] * 2 + ["x/b.jpg"] * 2
    assert rows["image"].tolist() == ["a.jpg", "a.jpg#2", "b#1.jpg", "b#1.jpg#2"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gone.jpg"], "gone.jpg is missing"),
        (["empty"], "empty holds no photo"),
        (["empty", "1.jpg"], "empty is a folder: give one folder alone, or single photos"),
        (["no.csv"], "no.csv has no column image, photo, file, filename, file_name, file name, path (it has: name)"),
        (
            ["day.csv"],
            "day.csv line 3: does the day or the month stand first in '3/4/2026'? No date tells: write dates "
            "as 2026-06-01",
        ),
        (["date.csv"], "date.csv line 2: 'last Monday' is no date"),
        (["half.csv"], "half.csv line 3: a box needs x_min, y_min, x_max and y_max"),
        (["swapped.csv"], "swapped.csv line 2: its box is empty"),
        (["box.csv"], "box.csv line 2: x_min is 'left', which is no number"),
    ],
)
def test_what_cannot_be_identified(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    draw(Path("1.jpg"), 1, 1)
    Path("no.csv").write_text("name\n1.jpg\n")
    Path("day.csv").write_text("image,date\n1.jpg,4/4/2026\n1.jpg,3/4/2026\n")
    sides = "image,x_min,y_min,x_max,y_max"
    Path("half.csv").write_text(f"{sides}\n1.jpg,,,,\n1.jpg,1,2,,\n")
    Path("swapped.csv").write_text(f"{sides}\n1.jpg,9,2,3,4\n")
    Path("date.csv").write_text("image,date\n1.jpg,last Monday\n")
    Path("box.csv").write_text("image,x_min\n1.jpg,left\n")
    with pytest.raises(UserError) as error:
        identify([Path(name) for name in names], bundle, Path("out"))
    assert str(error.value) == message
