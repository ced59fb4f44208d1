"""Draws a planned survey into a folder."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from finprint.store.tables import SIDES
from finprint.survey.sample.individuals import make_individual
from finprint.survey.sample.photo import take_photo
from finprint.survey.sample.sea import make_tile
from finprint.survey.sample.skin import Flank, paint_flank
from finprint.survey.sample.species import SPECIES
from finprint.survey.sample.survey import Survey, plan_survey
from finprint.survey.sample.weather import make_weather

JPEG_QUALITY = 88
NEW = "new_individual"

BoxRow = tuple[str, str, float, float, float, float]


def draw_pod(folder: Path, *, individuals: int, photos: int, test_photos: int, boxed_share: float, seed: int) -> None:
    """Draw a survey's photographs and tables into `folder` in the Kaggle Happywhale layout.

    `individuals` animals are in the `photos` labelled photographs. The `test_photos` are of other encounters; some of
    them show strangers, which come on top of `individuals`. Body and fin are boxed in `boxed_share` of all
    photographs. The same arguments give the same bytes.
    """
    survey = plan_survey(
        individuals=individuals, photos=photos, test_photos=test_photos, boxed_share=boxed_share, seed=seed
    )
    for name in ("train_images", "test_images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    boxes = []
    with ThreadPoolExecutor() as pool:  # OpenCV and numpy work side by side
        for place in range(len(SPECIES)):
            animals = [number for number, kind in enumerate(survey.species) if kind == place]
            tiles = _make_tiles(survey, animals, seed)
            draw = functools.partial(_draw_animal, folder, survey, seed, tiles)
            for drawn in pool.map(draw, animals):
                boxes += drawn
    _write_tables(folder, survey, boxes)


def _make_tiles(survey: Survey, animals: list[int], seed: int) -> dict[int, np.ndarray]:
    """The waves of every encounter with these animals, by encounter."""
    encounters = {shot.encounter for shot in survey.shots if shot.individual in animals}
    return {encounter: make_tile(make_weather(seed, encounter)) for encounter in encounters}


def _draw_animal(folder: Path, survey: Survey, seed: int, tiles: dict[int, np.ndarray], number: int) -> list[BoxRow]:
    """Take and save every photograph of one animal; rows for the table of boxes."""
    animal = make_individual(seed, number, SPECIES[survey.species[number]])
    flanks: dict[int, Flank] = {}
    rows: list[BoxRow] = []
    for shot in survey.shots:
        if shot.individual != number:
            continue
        if shot.side not in flanks:
            flanks[shot.side] = paint_flank(animal, shot.side)
        weather = make_weather(seed, shot.encounter)
        photo = take_photo(animal, flanks[shot.side], shot.side, weather, tiles[shot.encounter], seed, shot.number)
        path = folder / ("test_images" if shot.test else "train_images") / shot.image
        Image.fromarray(photo.pixels).save(path, quality=JPEG_QUALITY)
        if shot.boxed:
            rows += [(shot.image, "body", *photo.body), (shot.image, "fin", *photo.fin)]
    return rows


def _write_tables(folder: Path, survey: Survey, boxes: list[BoxRow]) -> None:
    rows = pd.DataFrame(
        {
            "image": [shot.image for shot in survey.shots],
            "species": [SPECIES[survey.species[shot.individual]].name for shot in survey.shots],
            "individual_id": [survey.animal_ids[shot.individual] for shot in survey.shots],
            "encounter": [survey.encounter_ids[shot.encounter] for shot in survey.shots],
        }
    )
    is_test = np.array([shot.test for shot in survey.shots])
    train = rows[~is_test].sort_values("image")  # by its random name: the order tells nothing
    test = rows[is_test].sort_values("image")
    train.to_csv(folder / "train.csv", index=False, lineterminator="\n")
    test[["image", "species", "encounter"]].to_csv(folder / "test.csv", index=False, lineterminator="\n")
    test[["image", "species", "individual_id"]].to_csv(folder / "test_truth.csv", index=False, lineterminator="\n")
    columns = ["image", "part", *SIDES]
    table = pd.DataFrame(boxes, columns=columns).sort_values(["image", "part"])
    table.to_csv(folder / "boxes.csv", index=False, lineterminator="\n")
    guess = " ".join([NEW, *sorted(set(train["individual_id"]))[:4]])
    submission = pd.DataFrame({"image": test["image"], "predictions": guess})
    submission.to_csv(folder / "sample_submission.csv", index=False, lineterminator="\n")
