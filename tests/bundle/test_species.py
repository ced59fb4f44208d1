"""Models that tell species travel in the bundle where the rules ask for them."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL_TRAIN
from finished import SEARCH, SETTINGS, Project

from finprint.answers.rules import Rules
from finprint.answers.scoring import Blend
from finprint.answers.search import answer_queries
from finprint.answers.species import with_species
from finprint.base.files import write_json
from finprint.bundle.bundle import Bundle
from finprint.bundle.identify import identify
from finprint.bundle.writing import read_finished, write_bundle
from finprint.classes.classifier import load_classifier
from finprint.classes.heads import SoftmaxHead
from finprint.classes.params import Guess
from finprint.classes.voting import Sharpness
from finprint.matching.catalogue import build_catalogue
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.pictures.shards import Crops
from finprint.store.guesses import QUERY, Guesses, write_guesses
from finprint.store.tables import PHOTOS, TEST, read_table, write_table
from finprint.store.vectors import read_vectors

KINDS = ["beluga", "orca"]
VIEWS = Guess(batch=8, views="mirror", count=1, rotate=15, members={})


@pytest.fixture
def root(project: Project, tmp_path: Path) -> Path:
    """A project with two species, and a model that tells them."""
    root = tmp_path / "project"
    shutil.copytree(project.root / "data", root / "data")
    shutil.copytree(project.root / "models", root / "models", ignore=shutil.ignore_patterns("bundle"))
    photos = read_table(root / "data/photos.parquet", PHOTOS)
    animal = photos["identity"].str[-2:].astype("Int64")
    photos["species"] = animal.map(lambda number: KINDS[number % 2], na_action="ignore").astype("string")
    write_table(root / "data/photos.parquet", photos, PHOTOS)
    torch.manual_seed(5)
    embedder = Embedder(ModelConfig(SMALL_TRAIN.backbone, "gem", 8, SMALL_TRAIN.image_size))
    save_model(root / "models/classes/species/0", embedder, SoftmaxHead(8, 2), KINDS)
    return root


def test_species_are_told_as_in_the_pipeline(root: Path, project: Project, tmp_path: Path) -> None:
    data, crops = root / "data", Crops(root / "data/crops")
    photos = read_table(data / "photos.parquet", PHOTOS)
    asked = photos[photos["split"] == TEST].reset_index(drop=True)
    model = load_classifier(root / "models/classes/species/0")
    array = model.probabilities(crops.pixels, crops.rows(asked["image"]), np.zeros((len(asked), 0), np.float32), VIEWS)
    sharpness = Sharpness(0.1, 0.001)
    guessed = asked[["image", "group"]].assign(role=QUERY, label=None)
    write_guesses(data / "labels/species/probabilities", Guesses(guessed, sharpness.apply(array), KINDS))
    rules = {"models": ["0"], "by": "mean", "temperature": 0.1, "clip": 0.001, "guess": VIEWS.model_dump()}
    write_json(data / "labels/species/rules.json", rules)
    params = SEARCH.model_copy(update={"species": "prior"})
    blend = Blend({"nearest": 0.5, "mean": 0.0, "classifier": 0.0, "species": 0.5},
                  {"nearest": [], "mean": [], "classifier": [0.1, 0.2, 0.3], "species": []})  # fmt: skip
    fitted = replace(Rules.load(data / "search"), params=params, blend=blend)
    fitted.save(data / "search")
    members = [read_vectors(data / f"round{n}") for n in (1, 2)]
    catalogue = build_catalogue(with_species(photos, data / "labels/species"), *members)
    theirs = answer_queries(catalogue, catalogue.where(TEST), catalogue.labelled, fitted)
    plain = build_catalogue(photos, *members)
    without = answer_queries(plain, plain.where(TEST), plain.labelled, fitted)

    shutil.copytree(root / "models/classes/species/0", root / "models/classes/species/left_from_before")
    write_bundle(read_finished(data, root / "models", []), SETTINGS, root / "bundle")
    assert [folder.name for folder in (root / "bundle/species/models").iterdir()] == ["0"]
    ours = identify([project.queries], Bundle.load(root / "bundle"), tmp_path / "out").answers
    assert ours["identity"].tolist() == theirs["identity"].tolist()
    np.testing.assert_allclose(ours["probability"], theirs["probability"], atol=1e-6)
    np.testing.assert_allclose(ours["score"], theirs["score"], atol=1e-6)
    assert not np.allclose(without["score"], theirs["score"], atol=1e-3)  # the model counts


def test_models_of_species_stay_behind_where_nobody_asks_for_them(root: Path) -> None:
    (root / "data/labels/species/probabilities").mkdir(parents=True)
    write_bundle(read_finished(root / "data", root / "models", []), SETTINGS, root / "bundle")
    assert Bundle.load(root / "bundle").species is None
    assert pd.Series(Bundle.load(root / "bundle").manifest.files).index.str.startswith("species").sum() == 0
