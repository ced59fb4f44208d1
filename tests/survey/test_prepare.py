"""From a survey as its owner left it to one checked table: what is bad is listed with its reason, the rest goes on."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from PIL import Image

from finprint.base.errors import UserError
from finprint.store.tables import BOXES, FINDINGS, PHOTOS, REJECTS, TRUTH, read_table, write_table
from finprint.survey.encounters import telling
from finprint.survey.prepare import Survey, _groups, summary, survey, tell
from finprint.survey.sources import read_source
from finprint.survey.splits import chains

ORPHAN = "box of a photo that is missing or rejected"


def _survey(folder: SurveyFolder, seed: int = 1, **changes: Any) -> Survey:
    params = prepare_params(**({"folds": 3, "new_share": 0.0} | changes))
    source, _ = read_source(params, folder.root)
    found = survey(source, params, seed)
    schemas = {"photos": PHOTOS, "boxes": BOXES, "truth": TRUTH, "rejects": REJECTS, "findings": FINDINGS}
    for name, schema in schemas.items():  # whatever the input, the tables fit their schemas
        write_table(folder.root / "out" / f"{name}.parquet", getattr(found, name), schema)
    shutil.rmtree(folder.root / "out")
    return found


def _rejects(found: Survey) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in found.rejects.to_numpy().tolist()]


def _split(found: Survey) -> dict[str, str]:
    return dict(zip(found.photos["image"], found.photos["split"], strict=True))


def _group(found: Survey) -> dict[str, int]:
    return dict(zip(found.photos["image"], found.photos["group"], strict=True))


def _many(folder: SurveyFolder, animals: int = 6, photos: int = 4) -> None:
    """Animals A0, A1, ... met `photos` times each, one photo an encounter."""
    folder.train(*(f"{animal}_{photo}.jpg,orca,A{animal}," for animal in range(animals) for photo in range(photos)))


def test_a_sound_survey_has_no_rejects(folder: SurveyFolder) -> None:
    folder.train("b.jpg,orca,00123,e1", "a.jpg,orca,875923901e14,")
    folder.photos("q.jpg", split="test")
    found = _survey(folder)
    assert _rejects(found) == []
    photos = found.photos.set_index("image")
    assert photos.index.tolist() == ["b.jpg", "a.jpg", "q.jpg"]
    assert photos["identity"].fillna("?").tolist() == ["00123", "875923901e14", "?"]
    assert photos["split"].tolist() == ["train", "train", "test"]
    assert photos[["width", "height"]].to_numpy().tolist() == [[96, 64]] * 3
    for image, row in photos.iterrows():
        path = folder.root / ("test_images" if image == "q.jpg" else "train_images") / str(image)
        assert row["path"] == str(path)
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.queries == ["q.jpg"]


def test_bad_photos_are_listed_and_the_rest_goes_on(folder: SurveyFolder) -> None:
    folder.train(*(f"{name}.jpg,orca,A," for name in ("good", "note", "empty", "cut", "gone", "folder")))
    train = folder.root / "train_images"
    (train / "note.jpg").write_text("to do: charge the camera\n")
    (train / "empty.jpg").write_bytes(b"")
    (train / "cut.jpg").write_bytes((train / "cut.jpg").read_bytes()[:-700])
    (train / "gone.jpg").unlink()
    (train / "folder.jpg").unlink()
    (train / "folder.jpg").mkdir()
    folder.photos("stray.jpg", "q.jpg")
    (folder.root / "test_images").mkdir()
    (train / "q.jpg").rename(folder.root / "test_images" / "q.jpg")
    (folder.root / "test_images" / "bad.jpg").write_bytes(b"")
    found = _survey(folder)
    assert found.photos["image"].tolist() == ["good.jpg", "q.jpg"]
    assert found.queries == ["bad.jpg", "q.jpg"]  # an answer is due for the unreadable one as well
    reasons = {image: (table, reason) for image, table, reason in _rejects(found)}
    assert len(reasons) == len(found.rejects) == 7
    assert reasons["train_images/stray.jpg"] == ("photos", "on disk, but in no table")
    assert reasons["note.jpg"] == ("labelled", "not an image")
    assert reasons["empty.jpg"] == ("labelled", "empty file")
    assert reasons["gone.jpg"] == ("labelled", "not on disk")
    assert reasons["bad.jpg"] == ("queries", "empty file")
    assert reasons["cut.jpg"][1].startswith("cannot be decoded: image file is truncated")
    assert reasons["folder.jpg"] == ("labelled", "not a file")


def test_no_usable_photo(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,A,")
    for name in ("a.jpg", "b.jpg"):
        (folder.root / "train_images" / name).write_bytes(b"")
    folder.photos("q.jpg", split="test")
    with pytest.raises(UserError) as caught:
        _survey(folder)
    assert str(caught.value) == "no usable photo in the catalogue; the first of 2 rejects: a.jpg: empty file"


def test_no_photo_at_all(folder: SurveyFolder) -> None:
    folder.table("train.csv", "image,species,individual_id")
    with pytest.raises(UserError) as caught:
        _survey(folder)
    assert str(caught.value) == "no usable photo in the catalogue"


def test_repeated_rows(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,e1", "b.jpg,orca,B,", "a.jpg,humpback,A,e2", "a.jpg,orca,,", "c.jpg,orca,C,")
    folder.photos("q.jpg", split="test")
    folder.table("sample_submission.csv", "image", "q.jpg", "q.jpg")
    found = _survey(folder)
    assert found.photos["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg", "q.jpg"]
    assert found.photos.iloc[0][["species", "identity", "encounter"]].tolist() == ["orca", "A", "e1"]
    assert _rejects(found) == [
        ("a.jpg", "labelled", "3 rows for one photo: the first is used"),
        ("q.jpg", "queries", "2 rows for one photo: the first is used"),
    ]
    assert found.queries == ["q.jpg"]


def test_a_photo_under_two_names_is_dropped(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,", "a.jpg,orca,C,", "a.jpg,orca,A,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,1,9,9", "b.jpg,fin,1,1,9,9")
    found = _survey(folder)
    assert found.photos["image"].tolist() == ["b.jpg"]
    assert found.boxes["image"].tolist() == ["b.jpg"]
    assert _rejects(found) == [
        ("a.jpg", "labelled", "labelled as A and as C: keep one of the rows"),
        ("a.jpg", "boxes", ORPHAN),
    ]


def test_boxes(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")
    (folder.root / "train_images" / "b.jpg").write_bytes(b"")
    boxes = {
        "1,2,30.5,40": None,
        "-1,-2,97,66": None,  # within 2 px of the edge: an annotation tool's rounding
        "-3,0,50,64": "box (-3, 0, 50, 64) reaches outside the photo of 96 x 64 px: clipped",
        "10,10,200,20": "box (10, 10, 200, 20) reaches outside the photo of 96 x 64 px: clipped",
        "96,0,120,30": "box (96, 0, 120, 30) lies outside the photo of 96 x 64 px",
        "0,-30,20,0.5": "box (0, -30, 20, 0.5) lies outside the photo of 96 x 64 px",
        "30,2,1,40": "box (30, 2, 1, 40): empty or corners swapped",
        "1,40,30,2": "box (1, 40, 30, 2): empty or corners swapped",
        "5,5,5,9": "box (5, 5, 5, 9): empty or corners swapped",
        "1,2,wide,4": "box (1, 2, wide, 4): not four numbers",
        "1,,3,4": "box (1, ?, 3, 4): not four numbers",
    }
    rows = [f"a.jpg,fin,{sides}" for sides in boxes]
    header = "image,part,x_min,y_min,x_max,y_max"
    folder.table("boxes.csv", header, *rows, "b.jpg,fin,1,2,3,4", "z.jpg,fin,1,2,3,4", "a.jpg,,1,2,3,4")
    found = _survey(folder)
    assert found.boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [
        [1, 2, 30.5, 40], [0, 0, 96, 64], [0, 0, 50, 64], [10, 10, 96, 20],
    ]  # fmt: skip
    assert [row for row in _rejects(found) if row[1] == "boxes"] == [
        *(("a.jpg", "boxes", reason) for reason in boxes.values() if reason),
        ("b.jpg", "boxes", ORPHAN),
        ("z.jpg", "boxes", ORPHAN),
        ("a.jpg", "boxes", "box (1, 2, 3, 4): its part is empty"),
    ]


def test_a_photo_on_its_side_is_measured_upright(folder: SurveyFolder) -> None:
    save_photo(folder.root / "train_images" / "a.jpg", scenery(1, 96, 64), orientation=6)
    folder.train("a.jpg,orca,A,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,10,70,60,95")
    found = _survey(folder)
    assert found.photos[["width", "height"]].to_numpy().tolist() == [[64, 96]]
    assert found.boxes["y_max"].tolist() == [95]
    assert _rejects(found) == []


def test_encounters_copies_and_near_copies_are_one_group(folder: SurveyFolder) -> None:
    train = folder.root / "train_images"
    folder.train(
        *(f"{name}.jpg,orca,A,{met}" for name, met in zip("abcdefg", ["e1", "e2", "", "e1", "", "e2", ""], strict=True))
    )
    (folder.root / "test_images").mkdir()
    shutil.copy(train / "c.jpg", folder.root / "test_images" / "q.jpg")  # the same bytes; no common encounter
    save_photo(train / "g.jpg", scenery(2, 192, 128), quality=60)  # b, saved again
    group = _group(_survey(folder))
    members = [{name[0] for name in group if group[name] == number} for number in sorted(set(group.values()))]
    assert members == [{"a", "d"}, {"b", "f", "g"}, {"c", "q"}, {"e"}]
    alone = _group(_survey(folder, duplicate_bits=-1))
    assert alone["c.jpg"] == alone["q.jpg"]  # the same file is the same photo however the hash is set
    assert alone["b.jpg"] != alone["g.jpg"]


def test_animals_in_one_photo_do_not_chain_a_day_to_one_group() -> None:
    """On each of two days without times, photo n shows the animals n and n + 1."""
    rows = [(day, animal) for day in (1, 2) for photo in range(30) for animal in (photo, photo + 1)]
    paths = [f"{day}/{photo}" for day in (1, 2) for photo in range(30) for _ in range(2)]
    photos = pd.DataFrame({"identity": [f"A{animal}" for _, animal in rows]})
    met, inside = pd.Series([f"{day} {animal}" for day, animal in rows]), [chains(pd.Series(paths))]
    groups = _groups(photos, inside, chains(met), prepare_params(folds=6))
    assert pd.Series(groups).value_counts().tolist() == [2] * 60, "each photo with its two animals"
    assert len(set(_groups(photos, inside, chains(met), prepare_params(folds=2)).tolist())) == 2


def test_a_time_that_most_photos_have_tells_no_encounter() -> None:
    taken = pd.to_datetime(pd.Series(["1970-01-01"] * 12 + ["2020-05-01"] * 4))
    many, few = (pd.DataFrame({"identity": [f"A{n % count}" for n in range(16)]}) for count in (12, 3))
    assert telling(taken, many).isna().tolist() == [True] * 12 + [False] * 4
    assert telling(taken, few).equals(taken)


def test_a_copy_in_the_test_photos_is_seen(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,A,")
    folder.photos("q.jpg", split="test")
    shutil.copy(folder.root / "train_images" / "a.jpg", folder.root / "test_images" / "q.jpg")
    group = _group(_survey(folder))
    assert group["q.jpg"] == group["a.jpg"] != group["b.jpg"]


@pytest.mark.parametrize("fold", [0, 1, 2])
def test_no_group_stands_on_two_sides(folder: SurveyFolder, fold: int) -> None:
    rows = [
        f"{animal}_{met}_{photo}.jpg,orca,A{animal},m{animal}_{met}"
        for animal in range(5)
        for met in range(3)
        for photo in "ab"
    ]
    folder.train(*rows)
    shutil.copy(folder.root / "train_images" / "0_0_a.jpg", folder.root / "train_images" / "1_1_a.jpg")
    found = _survey(folder, fold=fold, new_share=0.3)
    labelled = found.photos[found.photos["split"] != "test"]
    assert labelled.groupby("group")["split"].nunique().max() == 1
    assert set(labelled["split"]) == {"train", "validation"}


def test_folds_share_no_known_photo_and_cover_all(folder: SurveyFolder) -> None:
    _many(folder)
    chosen = []
    for fold in range(3):
        found = _survey(folder, fold=fold)
        split = _split(found)
        chosen.append({image for image, side in split.items() if side == "validation"})
        trained = {image.split("_")[0] for image, side in split.items() if side == "train"}
        assert trained == set("012345")  # every animal stays in training
    assert sum(len(one) for one in chosen) == len(set.union(*chosen))
    folds = found.photos.groupby("identity")["fold"].nunique()
    assert len(set.union(*chosen)) == 24 - (folds == 1).sum()  # of an animal in one fold, one stays


def test_held_out_animals_are_held_out_whole(folder: SurveyFolder) -> None:
    _many(folder, animals=12)
    shares = []
    for seed in range(8):
        found = _survey(folder, new_share=0.3, seed=seed)
        sides = found.photos.groupby("identity")["split"].agg(set)
        new = [name for name, mine in sides.items() if mine == {"validation"}]
        assert len(new) >= 2
        assert all("train" in mine for name, mine in sides.items() if name not in new)
        share = found.photos.loc[found.photos["split"] == "validation", "identity"].isin(new).mean()
        assert summary(found)["validation_new_share"] == share
        shares.append(share)
    assert 0.2 < np.mean(shares) < 0.6  # of twelve at least two: more than asked for


def test_the_same_seed_the_same_split(folder: SurveyFolder) -> None:
    _many(folder)
    first, again, other = (_survey(folder, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.photos, again.photos)
    assert _split(first) != _split(other)


def test_photos_without_a_name_change_no_other_s_split(folder: SurveyFolder) -> None:
    _many(folder, animals=12)
    alone = _survey(folder, new_share=0.3)
    folder.photos("q.jpg", split="test")
    beside = _survey(folder, new_share=0.3)
    assert _split(beside) == _split(alone) | {"q.jpg": "test"}
    assert summary(beside)["validation_new_share"] == summary(alone)["validation_new_share"] > 0.1


def test_a_catalogue_that_grows_keeps_its_sides_and_folds(folder: SurveyFolder) -> None:
    """Queries are named and photos added: of the photos that were there, none changes."""
    _many(folder, animals=12)
    folder.photos("q0.jpg", "q1.jpg", split="test")
    before = _survey(folder, new_share=0.15).photos.set_index("image")
    for name in ("q0.jpg", "q1.jpg"):
        (folder.root / "train_images" / name).write_bytes((folder.root / "test_images" / name).read_bytes())
        (folder.root / "test_images" / name).unlink()
    rows = [f"{animal}_{photo}.jpg,orca,A{animal}," for animal in range(12) for photo in range(4)]
    folder.train(*rows, "q0.jpg,orca,A3,", "q1.jpg,orca,A4,", "more.jpg,orca,A5,")
    after = _survey(folder, new_share=0.15).photos.set_index("image")
    labelled = before.index[before["split"] != "test"]
    assert len(labelled) == 48
    columns = ["split", "fold"]
    pd.testing.assert_frame_equal(after.loc[labelled, columns], before.loc[labelled, columns])


def test_animals_met_once_stay_in_the_catalogue(folder: SurveyFolder) -> None:
    folder.train(*(f"{number}.jpg,orca,A{number}," for number in range(8)))
    for fold in range(3):
        assert set(_split(_survey(folder, fold=fold)).values()) == {"train"}


def test_photos_without_a_name_follow_their_group(folder: SurveyFolder) -> None:
    folder.train(*(f"{n}{m}.jpg,orca,{'A' if n == 'a' else ''},m{m}" for m in range(3) for n in "ab"), "z.jpg,,,")
    validating = 0
    for fold in range(3):
        split = _split(_survey(folder, fold=fold))
        assert all(split[f"a{met}.jpg"] == split[f"b{met}.jpg"] for met in range(3))
        validating += "validation" in split.values()
        assert split["z.jpg"] == "train"
    assert validating


def test_only_boxes_and_no_names(folder: SurveyFolder) -> None:
    folder.photos("a.jpg", "b.jpg")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,30,40")
    found = _survey(folder, new_share=0.5)
    assert _split(found) == {"a.jpg": "train", "b.jpg": "train"}
    assert summary(found)["individuals"] == 0


@pytest.mark.parametrize("count", [0, 1])
def test_few_test_photos(folder: SurveyFolder, count: int) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos(*["q.jpg"][:count], split="test")
    found = _survey(folder)
    assert found.queries == ["q.jpg"][:count]
    assert summary(found)["test"] == count


def test_the_truth_of_other_photos_is_left_out(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    folder.photos("q.jpg", "r.jpg", split="test")
    folder.table("test_truth.csv", "image,individual_id", "z.jpg,A", "q.jpg,A", "q.jpg,B", "r.jpg,")
    assert _survey(folder).truth.to_numpy().tolist() == [["q.jpg", "A"]]


def test_the_summary_by_hand(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,e", "b.jpg,orca,A,e", "c.jpg,humpback,B,", "d.jpg,,,", "bad.jpg,orca,C,")
    (folder.root / "train_images" / "bad.jpg").write_bytes(b"")
    folder.photos("q.jpg", split="test")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,2,30,40")
    assert summary(_survey(folder)) == {
        "photos": 5, "train": 4, "validation": 0, "validation_new_share": 0.0, "test": 1, "individuals": 2,
        "singletons": 1, "species": 2, "encounters_and_duplicate_groups": 1, "boxes": 1, "rejects": 1,
        "copy": 0, "photo_to_identify_is_in_the_catalogue": 0, "copy_under_two_names": 0, "alike": 0,
        "photo_to_identify_is_nearly_in_the_catalogue": 0, "alike_under_two_names": 0,
        "individuals_written_alike": 0, "species_written_alike": 0, "odd_size": 0, "name_that_means_nobody": 0,
        "name_that_may_mean_nobody": 0, "long_encounter": 0,
    }  # fmt: skip


def test_tables_come_back_as_they_were_written(folder: SurveyFolder) -> None:
    folder.train("00123.jpg,orca,00123,", "1.jpg,orca,875923901e14,")
    found = _survey(folder)
    for suffix in ("csv", "parquet"):
        path = folder.root / f"photos.{suffix}"
        write_table(path, found.photos, PHOTOS)
        back = read_table(path, PHOTOS)
        assert back["identity"].tolist() == ["00123", "875923901e14"]
        assert np.array_equal(back["group"], found.photos["group"])


def test_copies_are_used_once_and_contradictions_not_at_all(folder: SurveyFolder) -> None:
    animals = ["A", "A", "B", "C", "", "D"]
    folder.train(*(f"{name}.jpg,orca,{animal}," for name, animal in zip("abcdef", animals, strict=True)))
    train = folder.root / "train_images"
    for copy, of in (("b", "a"), ("d", "c"), ("e", "f")):
        shutil.copy(train / f"{of}.jpg", train / f"{copy}.jpg")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "b.jpg,fin,1,1,9,9", "f.jpg,fin,1,1,9,9")
    found = _survey(folder)
    assert found.photos["image"].tolist() == ["a.jpg", "f.jpg"]
    assert _rejects(found) == [
        ("b.jpg", "labelled", "the same photo as a.jpg, which is used"),
        ("c.jpg", "labelled", "the same photo as d.jpg, labelled as B and C: say in decisions.csv which to drop"),
        ("d.jpg", "labelled", "the same photo as c.jpg, labelled as B and C: say in decisions.csv which to drop"),
        ("e.jpg", "labelled", "the same photo as f.jpg, which is used"),
        ("b.jpg", "boxes", ORPHAN),
    ]
    folder.table("decisions.csv", "action,id,to", "drop,d.jpg,")
    assert _survey(folder).photos["image"].tolist() == ["a.jpg", "c.jpg", "f.jpg"]


def test_of_a_pod_only_those_who_are_held_out_validate(folder: SurveyFolder) -> None:
    """Eight of twelve animals are met each time, so that in each pod somebody is held out; a photo shows nobody."""
    rng = np.random.default_rng(0)
    met = [(pod, animal) for pod in range(10) for animal in rng.permutation(12)[:8]]
    folder.train(*(f"{pod}_{animal}.jpg,orca,A{animal},pod{pod}" for pod, animal in met), "sea.jpg,orca,,pod0")
    photos = _survey(folder, new_share=0.15, folds=6).photos.set_index("image")
    named = photos[photos["identity"].notna()]
    new = set(named["identity"]) - set(named.loc[named["split"] == "train", "identity"])
    assert len(new) == 2
    assert photos["group"].nunique() == 10
    elsewhere = named[named["fold"] != 0]
    assert elsewhere["split"].eq("validation").equals(elsewhere["identity"].isin(new))
    assert (named["split"] == "train").mean() > 0.5
    shown = named.loc[(named["group"] == photos.loc["sea.jpg", "group"]), "split"]
    assert photos.loc["sea.jpg", "split"] == ("validation" if (shown == "validation").any() else "train")


def test_dates_without_times_leave_photos_for_training(folder: SurveyFolder) -> None:
    """All animals were photographed on each of four days."""
    rows = [f"{day}_{animal}.jpg,orca,A{animal},2021-05-0{day}" for day in (1, 2, 3, 4) for animal in range(10)]
    for number, row in enumerate(rows):
        save_photo(folder.root / "train_images" / row.split(",")[0], scenery(number))
    folder.table("train.csv", "image,species,individual_id,date", *rows)
    splits = _survey(folder).photos["split"].value_counts()
    assert splits["train"] >= 20
    assert splits["validation"] >= 8


def test_dates_make_encounters(folder: SurveyFolder) -> None:
    """By the table, else by the camera; an encounter that is told stays, and joins nothing."""
    dates = {"a": "2021-07-03 10:00", "b": "2021-07-03 10:50", "c": "2021-07-03 11:51", "d": "", "e": "soon", "f": ""}
    folder.photos(*(f"{name}.jpg" for name in dates))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2021:07:03 12:30:00"
    Image.fromarray(scenery(50)).save(folder.root / "train_images" / "d.jpg", exif=exif)
    met = {"b": "told"}
    rows = (f"{name}.jpg,orca,A,{met.get(name, '')},{date}" for name, date in dates.items())
    folder.table("train.csv", "image,species,individual_id,encounter,date", *rows)
    found = _survey(folder)
    assert found.photos.set_index("image")["encounter"].fillna("?").to_dict() == {
        "a.jpg": "2021-07-03 10:00:00", "b.jpg": "told", "c.jpg": "2021-07-03 11:51:00", "d.jpg": "2021-07-03 11:51:00",
        "e.jpg": "?", "f.jpg": "?",
    }  # fmt: skip
    assert _rejects(found) == [("e.jpg", "photos", "'soon' is no date")]
    assert found.photos["group"].nunique() == 5
    wide = _survey(folder, encounter_gap=111)  # 111 minutes lie between a and c
    assert wide.photos.set_index("image")["encounter"]["d.jpg"] == "2021-07-03 10:00:00"
    assert _survey(folder, encounter_gap=0).photos["encounter"].notna().sum() == 1


def test_boxes_as_shares_of_the_photo(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    (folder.root / "labels").mkdir()
    (folder.root / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n0 0.5 0.5 9 9\n")
    found = _survey(folder, boxes=["labels:fin"])
    assert found.boxes[["x_min", "y_min", "x_max", "y_max"]].to_numpy().tolist() == [[24, 24, 72, 40], [0, 0, 96, 64]]
    assert _rejects(found) == [
        ("a.jpg", "boxes", "box (0 0.5 0.5 9 9) reaches outside the photo of 96 x 64 px: clipped")
    ]


def test_photos_without_an_animal_are_kept_for_the_detector(folder: SurveyFolder) -> None:
    """A table lists them without a box, and nobody says whom they show. Another detector's tables are not believed."""
    folder.train("a.jpg,orca,A,", "sea.jpg,,,", "b.jpg,orca,B,", "boxed.jpg,,,", "c.jpg,,,", "d.jpg,,,")
    folder.photos("q.jpg", split="test")
    header = "image,part,x_min,y_min,x_max,y_max"
    rows = ["a.jpg,fin,1,1,9,9", "sea.jpg,,,,,", "sea.jpg,,,,,", "b.jpg,,,,,", "q.jpg,,,,,", "boxed.jpg,,,,,"]
    folder.table("boxes.csv", header, *rows, "boxed.jpg,fin,2,2,9,9", "c.jpg,,,,,", "gone.jpg,,,,,")
    photos = [{"file": name, "detections": []} for name in ("d.jpg", "a.jpg")]
    photos[1]["detections"] = [{"bbox": [0.1, 0.1, 0.2, 0.2], "conf": 0.9, "category": "1"}]
    megadetector = {"images": photos, "detection_categories": {"1": "fin"}}
    (folder.root / "md.json").write_text(json.dumps(megadetector))
    found = _survey(folder, boxes=["md.json"])
    assert found.boxes["image"].tolist() == ["a.jpg", "boxed.jpg", "a.jpg", "sea.jpg", "c.jpg"]
    assert found.boxes["part"].fillna("?").tolist() == ["fin", "fin", "fin", "?", "?"]
    bare = found.boxes[found.boxes["part"].isna()]
    assert bare[["x_min", "y_min", "x_max", "y_max"]].isna().all(axis=None)
    assert bare["group"].tolist() == ["sea.jpg", "c.jpg"]
    assert bare["confidence"].tolist() == [1, 1]
    assert _rejects(found) == []
    assert summary(found)["boxes"] == 3
    write_table(folder.root / "boxes.parquet", found.boxes, BOXES)
    again = read_table(folder.root / "boxes.parquet", BOXES)
    assert again["part"].isna().tolist() == [False] * 3 + [True] * 2


def test_photos_without_boxes_leave_the_detector_s_table_as_it_was(folder: SurveyFolder) -> None:
    """What the detector learns from does not change, or DVC would train it again."""
    rows = [f"b{number}.jpg,orca,A,m{number // 2}" for number in range(4)]
    folder.train(*rows)
    boxes = [f"b{number}.jpg,fin,1,1,9,9" for number in range(4)]
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", *boxes)
    before = _survey(folder).boxes
    folder.train("a.jpg,orca,A,m1", "aa.jpg,orca,B,", *rows)
    folder.photos("q.jpg", split="test")
    pd.testing.assert_frame_equal(_survey(folder).boxes[list(BOXES.columns)], before[list(BOXES.columns)])
    assert before["group"].tolist() == ["b0.jpg", "b0.jpg", "b2.jpg", "b2.jpg"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2021-07-03 10:00:34", "2021-07-03 10:00:34"),
        ("13.07.2021 10:00", "2021-07-13 10:00:00"),  # the day is first, or it would be no date
        ("07/13/2021 10:00 pm", "2021-07-13 22:00:00"),
        ("2021-07-03T10:00:00+10:00", "2021-07-03 10:00:00"),  # as a camera's clock: without its zone
        ("2021-07-03T10:00:00.5Z", "2021-07-03 10:00:00"),
        ("2021-07-03", "2021-07-03 00:00:00"),
        ("20210703", "2021-07-03 00:00:00"),
        ("10:30", None),  # of today, pandas would say
        ("10:30:15", None),
        ("2015", None),
        ("July 2015", None),
    ],
)
def test_dates_as_people_write_them(folder: SurveyFolder, written: str, read: str | None) -> None:
    folder.photos("a.jpg")
    folder.table("train.csv", "image,species,individual_id,date", f"a.jpg,orca,A,{written}")
    found = _survey(folder)
    assert found.photos["encounter"].fillna("?").tolist() == [read or "?"]
    assert _rejects(found) == ([] if read else [("a.jpg", "photos", f"{written!r} is no date")])


def test_a_confidence_that_is_no_share(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    header = "image,part,x_min,y_min,x_max,y_max,confidence"
    folder.table("boxes.csv", header, "a.jpg,fin,1,1,9,9,97", "a.jpg,fin,1,1,9,9,0.97")
    found = _survey(folder)
    assert found.boxes["confidence"].tolist() == [0.97]
    assert _rejects(found) == [("a.jpg", "boxes", "box (1, 1, 9, 9): its confidence 97 is not between 0 and 1")]


def test_another_photo_of_the_same_name_changes_the_detector_s_table(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    folder.table("boxes.csv", "image,part,x_min,y_min,x_max,y_max", "a.jpg,fin,1,1,9,9")
    before = _survey(folder).boxes
    save_photo(folder.root / "train_images" / "a.jpg", scenery(77))
    assert not before.equals(_survey(folder).boxes)


def test_days_and_months_are_read_by_one_rule(folder: SurveyFolder) -> None:
    """12/04 and 13/04 are twenty minutes apart; taken for months and days, they stood on both sides of the split."""
    dates = ["12/04/2021 23:50", "13/04/2021 00:10", "03/05/2021 10:00", "04.07.2021 08:15"]
    folder.photos(*(f"{name}.jpg" for name in "abcd"))
    rows = [f"{name}.jpg,orca,A,{date}" for name, date in zip("abcd", dates, strict=True)]
    folder.table("train.csv", "image,species,individual_id,date", *rows)
    assert _survey(folder).photos["encounter"].tolist() == [
        "2021-04-12 23:50:00", "2021-04-12 23:50:00", "2021-05-03 10:00:00", "2021-07-04 08:15:00",
    ]  # fmt: skip
    folder.table("train.csv", "image,species,individual_id,date", *rows[:1], *rows[2:])
    with pytest.raises(UserError, match=r"a\.jpg: does the day or the month stand first in '12/04/2021 23:50'"):
        _survey(folder)
    month_first = _survey(folder, day_first=False)
    assert month_first.photos["encounter"].tolist() == [
        "2021-12-04 23:50:00", "2021-03-05 10:00:00", "2021-04-07 08:15:00",
    ]  # fmt: skip
    folder.table("test.csv", "image,date", "q.jpg,31/12/2021")  # the photos to identify tell it as well
    folder.photos("q.jpg", split="test")
    assert _survey(folder).photos["encounter"][1] == "2021-05-03 10:00:00"
    assert _survey(folder, encounter_gap=0).photos["encounter"].isna().all()


def test_viewpoints_travel_with_the_photos(folder: SurveyFolder) -> None:
    folder.photos("a.jpg", "b.jpg", "c.jpg")
    folder.table(
        "train.csv", "image,species,individual_id,viewpoint", "a.jpg,orca,A,Left", "b.jpg,orca,A,?", "c.jpg,,,top"
    )
    assert _survey(folder).photos["viewpoint"].fillna("").tolist() == ["left", "", "top"]


def test_what_must_not_be_opened_is_not(folder: SurveyFolder) -> None:
    """A pipe would never end."""
    folder.train("a.jpg,orca,A,", "pipe.jpg,orca,A,", "link.jpg,orca,A,", "A.JPG,orca,A,")
    train = folder.root / "train_images"
    (train / "link.jpg").rename(folder.root.parent / "far.jpg")
    (train / "link.jpg").symlink_to(folder.root.parent / "far.jpg")
    for name in ("pipe.jpg", "A.JPG"):
        (train / name).unlink()
    os.mkfifo(train / "pipe.jpg")
    os.mkfifo(train / "other.jpg")
    assert _rejects(_survey(folder)) == [
        ("train_images/other.jpg", "photos", "is no file but a pipe: remove it"),
        ("pipe.jpg", "labelled", "is no file but a pipe: remove it"),
        (
            "link.jpg",
            "labelled",
            "is a link out of the folder, and DVC does not watch what lies behind it: copy the photos into "
            "prepare.folder",
        ),
        ("A.JPG", "labelled", "not on disk; did you mean a.jpg?"),
    ]


def test_tables_behind_links_are_refused(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,")
    (folder.root / "train.csv").rename(folder.root.parent / "train.csv")
    (folder.root / "train.csv").symlink_to(folder.root.parent / "train.csv")
    with pytest.raises(UserError, match=r"train\.csv is a link out of the folder"):
        _survey(folder)


def test_an_endless_encounter_is_told(folder: SurveyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.photos(*(f"{minute:02}.jpg" for minute in range(21)))
    rows = [f"{minute:02}.jpg,orca,A{minute // 20},2021-07-03 10:{minute:02}" for minute in range(21)]
    folder.table("train.csv", "image,species,individual_id,date", *rows)
    found = _survey(folder)
    why = (
        "one encounter of 20 photos and 0.3 hours: make prepare.encounter_gap smaller (60 minutes), or tell encounters"
    )
    assert found.findings.to_numpy().tolist() == [
        ["long encounter", "2021-07-03 10:00:00 A0", None, f"{why} or places"]
    ]
    tell(found, Path("rejects.csv"), Path("data.html"))
    assert capsys.readouterr().out.splitlines() == [
        "no photo validates: thresholds and probabilities cannot be fitted, search.new.default is used",
        f"perhaps because of encounter 2021-07-03 10:00:00 A0: {why} or places",
        "there is no photo to identify (docs/sources.md says where they lie)",
        "1 thing to look at: data.html",
    ]


def test_one_individual_alone_is_told(folder: SurveyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.train("a.jpg,orca,A17,", "b.jpg,orca,A17,")
    tell(_survey(folder), Path("rejects.csv"), Path("data.html"))
    assert capsys.readouterr().out.splitlines()[0] == (
        "the catalogue names one individual, A17: there is nobody to tell it from. Name at least one more"
    )
