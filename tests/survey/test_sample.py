"""The drawn pod: reproducible bytes, consistent tables, and marks that stay with their animal."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import itertools
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from finprint.survey.sample import draw_pod
from finprint.survey.sample.camera import Pose, canvas_to_photo, make_pose, project, tight_box
from finprint.survey.sample.individuals import LEFT, RIGHT, make_individual
from finprint.survey.sample.photo import take_photo
from finprint.survey.sample.sea import make_tile
from finprint.survey.sample.seeds import stream
from finprint.survey.sample.shapes import DENSITY
from finprint.survey.sample.skin import paint_flank
from finprint.survey.sample.species import SPECIES
from finprint.survey.sample.survey import Survey, plan_survey, share_out
from finprint.survey.sample.weather import make_weather

SMALL = {"individuals": 12, "photos": 40, "test_photos": 12, "boxed_share": 0.5}
LARGE = {"individuals": 56, "photos": 900, "test_photos": 250, "boxed_share": 0.3}


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pod")
    draw_pod(folder, **SMALL, seed=5)
    return folder


@pytest.fixture(scope="module")
def survey() -> Survey:
    return plan_survey(**LARGE, seed=1)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _read(folder: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(folder / table, dtype=str)


def test_signature_is_the_agreed_one() -> None:
    names = list(inspect.signature(draw_pod).parameters)
    assert names == ["folder", "individuals", "photos", "test_photos", "boxed_share", "seed"]


def test_same_seed_same_bytes(pod: Path, tmp_path: Path) -> None:
    draw_pod(tmp_path, **SMALL, seed=5)
    assert _digests(tmp_path) == _digests(pod)


def test_other_seed_other_pictures(pod: Path, tmp_path: Path) -> None:
    draw_pod(tmp_path, individuals=5, photos=10, test_photos=2, boxed_share=0.5, seed=6)
    assert not set(_digests(tmp_path).values()) & set(_digests(pod).values())


def test_tables_list_the_images_that_exist(pod: Path) -> None:
    for part, count in (("train", SMALL["photos"]), ("test", SMALL["test_photos"])):
        listed = _read(pod, f"{part}.csv")["image"]
        assert len(listed) == count
        assert listed.is_unique
        assert set(listed) == {path.name for path in (pod / f"{part}_images").iterdir()}
        assert all(re.fullmatch(r"[0-9a-f]{12}\.jpg", name) for name in listed)


def test_tables_have_the_happywhale_columns(pod: Path) -> None:
    columns = {
        "train.csv": ["image", "species", "individual_id", "encounter"],
        "test.csv": ["image", "species", "encounter"],
        "boxes.csv": ["image", "part", "x_min", "y_min", "x_max", "y_max"],
        "sample_submission.csv": ["image", "predictions"],
        "test_truth.csv": ["image", "species", "individual_id"],
    }
    assert {name: list(_read(pod, name).columns) for name in columns} == columns
    assert not any(_read(pod, name).isna().to_numpy().any() for name in columns)


def test_test_tables_agree(pod: Path) -> None:
    test, truth, sample = (_read(pod, name) for name in ("test.csv", "test_truth.csv", "sample_submission.csv"))
    assert list(test["image"]) == list(truth["image"]) == list(sample["image"])
    assert list(test["species"]) == list(truth["species"])
    known = set(_read(pod, "train.csv")["individual_id"]) | {"new_individual"}
    for predictions in sample["predictions"]:
        assert len(set(predictions.split())) == 5
        assert set(predictions.split()) <= known


def test_ids_are_strings_that_careless_readers_spoil(survey: Survey) -> None:
    assert len(set(survey.animal_ids)) == len(survey.animal_ids)
    assert all(re.fullmatch(r"[0-9a-f]{12}", name) for name in survey.animal_ids)
    assert any(name.isdigit() for name in survey.animal_ids)
    assert any(re.fullmatch(r"\d+e\d+", name) for name in survey.animal_ids)


def test_boxes_lie_in_the_photo_and_fin_with_body(pod: Path) -> None:
    boxes = pd.read_csv(pod / "boxes.csv")
    images = set(_read(pod, "train.csv")["image"]) | set(_read(pod, "test.csv")["image"])
    assert set(boxes["image"]) <= images
    assert boxes["image"].nunique() == round(SMALL["boxed_share"] * len(images))
    for image, parts in boxes.groupby("image"):
        assert sorted(parts["part"]) == ["body", "fin"]
        body, fin = (parts[parts["part"] == part].iloc[0, 2:].to_numpy(float) for part in ("body", "fin"))
        path = next(pod.glob(f"*_images/{image}"))
        with Image.open(path) as photo:
            width, height = photo.size
        assert 0 <= body[0] < body[2] <= width
        assert 0 <= body[1] < body[3] <= height
        assert (fin[:2] >= body[:2]).all()
        assert (fin[2:] <= body[2:]).all()
        assert fin[3] - fin[1] >= 8


def test_tight_box_touches_the_mask_on_four_sides() -> None:
    mask = np.zeros((20, 30), np.float32)
    mask[4:9, 11:18] = 1.0
    mask[9, 11:18] = 0.4  # less than half covered
    assert tight_box(mask) == (11.0, 4.0, 18.0, 9.0)
    assert tight_box(np.zeros((4, 4), np.float32)) is None


@pytest.mark.parametrize("part", ["body", "fin"])
def test_boxes_are_tight_around_what_is_seen(part: str) -> None:
    """Painting the animal white instead of black changes the photograph inside the box, up to its four sides."""
    errors = []
    for number, species in enumerate(SPECIES * 2):
        animal, weather = make_individual(9, number, species), make_weather(9, number)
        flank = paint_flank(animal, LEFT)
        where = (flank.fin if part == "fin" else flank.cover)[..., None]
        views = [
            take_photo(
                animal,
                dataclasses.replace(flank, colour=np.float32(tone) * where * np.ones(3, np.float32)),
                side=LEFT,
                weather=weather,
                tile=make_tile(weather),
                rng=stream(9, "photo", number),
            )
            for tone in (0.0, 1.0)
        ]
        black, white = (view.pixels.astype(float).mean(axis=2) for view in views)
        changed = (white - black > 0.2 * (white - black).max()).astype(np.float32)
        errors.append(np.abs(np.array(tight_box(changed)) - getattr(views[0], part)))
    assert np.median(errors) <= 2.0
    assert np.mean(np.array(errors) <= 6.0) > 0.85  # blur widens an edge, spray may hide one


def test_test_encounters_are_new(survey: Survey) -> None:
    train = {shot.encounter for shot in survey.shots if not shot.test}
    test = {shot.encounter for shot in survey.shots if shot.test}
    assert train
    assert test
    assert not train & test
    assert len(set(survey.encounter_ids)) == len(survey.encounter_ids) >= len(train | test)


def test_an_encounter_meets_one_species(survey: Survey) -> None:
    met = {(shot.encounter, survey.species[shot.individual]) for shot in survey.shots}
    assert len(met) == len({encounter for encounter, _ in met})


def test_counts_and_long_tail(survey: Survey) -> None:
    train = [shot.individual for shot in survey.shots if not shot.test]
    counts = np.bincount(train)
    assert len(train) == LARGE["photos"]
    assert len(counts) == LARGE["individuals"] == survey.catalogued
    assert counts.min() == 1
    assert 0.10 <= np.mean(counts == 1) <= 0.20
    assert counts.max() > 3 * np.median(counts)


def test_animals_are_met_several_times_from_both_sides(survey: Survey) -> None:
    shots = [shot for shot in survey.shots if not shot.test]
    often = [animal for animal in range(survey.catalogued) if sum(s.individual == animal for s in shots) >= 12]
    assert often
    for animal in often:
        mine = [shot for shot in shots if shot.individual == animal]
        assert len({shot.encounter for shot in mine}) >= 4
        if not SPECIES[survey.species[animal]].is_fluke:
            assert {shot.side for shot in mine} == {LEFT, RIGHT}


def test_strangers_differ_by_species(survey: Survey) -> None:
    test = [shot for shot in survey.shots if shot.test]
    assert 0.13 <= np.mean([shot.individual >= survey.catalogued for shot in test]) <= 0.22
    share = {}
    for place, species in enumerate(SPECIES):
        mine = [shot.individual >= survey.catalogued for shot in test if survey.species[shot.individual] == place]
        share[species.name] = np.mean(mine)
    assert 0.0 < share["killer_whale"] < 0.10
    assert 0.30 < share["blue_whale"] < 0.50


def test_boxed_share_is_random_over_train_and_test(survey: Survey) -> None:
    boxed = [shot for shot in survey.shots if shot.boxed]
    assert len(boxed) == round(LARGE["boxed_share"] * len(survey.shots))
    assert {shot.test for shot in boxed} == {True, False}


def test_file_names_do_not_tell_the_animal(survey: Survey) -> None:
    order = sorted(survey.shots, key=lambda shot: shot.image)
    same = [a.individual == b.individual for a, b in itertools.pairwise(order)]
    assert np.mean(same) < 0.10


@pytest.mark.parametrize("wrong", [{"individuals": 3}, {"photos": 20}])
def test_impossible_surveys_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="individuals"):
        plan_survey(**{**SMALL, **wrong}, seed=0)


def test_share_out_keeps_the_total() -> None:
    parts = share_out(17, np.array([1.0, 5.0, 0.1]), least=1)
    assert parts.sum() == 17
    assert parts.min() >= 1
    assert parts[1] == parts.max()


@pytest.mark.parametrize("species", SPECIES, ids=lambda species: species.name)
def test_marks_are_the_same_on_two_photographs(species) -> None:  # type: ignore[no-untyped-def]
    """Two photographs in different poses, undone to the animal's own coordinates, show the same fin and skin."""
    animal = make_individual(3, 7, species)
    assert animal == make_individual(3, 7, species)
    flank = paint_flank(animal, LEFT)
    poses = [make_pose(animal, LEFT, np.random.default_rng(turn)) for turn in (1, 2)]
    first, second = (_undo(project(flank, pose, np.zeros(480)), pose) for pose in poses)
    both = (first[..., 3] > 0.9) & (second[..., 3] > 0.9)
    assert both.mean() > 0.01
    assert np.abs(first[..., :3] - second[..., :3])[both].mean() < 0.04


def _undo(layer, pose: Pose) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Colour and cover of a photographed animal on its own canvas: (345, 600, 4)."""
    planes = np.dstack([layer.colour, layer.cover]).astype(np.float32)
    matrix = np.linalg.inv(canvas_to_photo(pose, DENSITY))
    return cv2.warpPerspective(planes, matrix, (600, 345), flags=cv2.INTER_LINEAR)


def test_flanks_share_nicks_but_not_all_colours() -> None:
    animal = make_individual(3, 2, SPECIES[0])
    left, right = paint_flank(animal, LEFT), paint_flank(animal, RIGHT)
    assert np.array_equal(left.fin, right.fin)
    assert not np.array_equal(left.colour, right.colour)


def test_individuals_differ() -> None:
    fins = [paint_flank(make_individual(3, number, SPECIES[0]), LEFT).fin for number in range(4)]
    overlap = [np.minimum(a, b).sum() / np.maximum(a, b).sum() for place, a in enumerate(fins) for b in fins[:place]]
    assert max(overlap) < 0.95


def test_waves_are_an_encounters_own() -> None:
    first, again, other = (make_tile(make_weather(0, encounter)) for encounter in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
