"""A bundle is one folder that says what it holds, and is refused where it is not as it was written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from finished import SETTINGS, Project

from finprint.answers.search import answer_queries
from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.bundle.bundle import Bundle
from finprint.bundle.writing import read_finished, write_bundle
from finprint.matching.catalogue import build_catalogue
from finprint.store.tables import PHOTOS, TEST, read_table
from finprint.store.vectors import read_vectors


@pytest.fixture
def copy(project: Project, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project.bundle, tmp_path / "whales"))


def test_the_gallery_holds_the_labelled_photos(project: Project) -> None:
    gallery = Bundle.load(project.bundle).gallery
    labelled = project.photos[project.photos["split"] != TEST].reset_index(drop=True)
    for column in ("image", "identity", "sha256", "species"):
        pd.testing.assert_series_equal(gallery.photos[column], labelled[column], check_dtype=False)
    assert gallery.photos["labelled"].tolist() == labelled["identity"].tolist()
    assert set(gallery.photos["date"]) == {"2026-05-01"}
    assert set(gallery.photos["place"]) == {"bay"}
    assert gallery.pictures.index["image"].tolist() == labelled["image"].tolist()
    assert {name: vectors.array.shape for name, vectors in gallery.members.items()} == {
        "round1": (70, 8),
        "round2": (70, 8),
    }


def test_the_same_run_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    run = read_finished(project.root / "data", project.root / "models", [])
    metrics = write_bundle(run, SETTINGS, tmp_path / "again")
    assert sha256_path(tmp_path / "again") == sha256_path(project.bundle)
    assert {key: metrics[key] for key in ("photos", "individuals", "members")} == {
        "photos": 70,
        "individuals": 14,
        "members": 2,
    }


def test_a_bundle_holds_no_pickles_but_the_detectors(project: Project) -> None:
    kinds = {path.suffix for path in project.bundle.rglob("*") if path.is_file()}
    assert kinds == {".json", ".npy", ".parquet", ".safetensors", ".tar"}


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_no_bundle_is_refused(copy: Path, tmp_path: Path) -> None:
    def told(folder: Path = copy) -> str:
        with pytest.raises(UserError) as error:
            Bundle.load(folder)
        return str(error.value)

    manifest = copy / "manifest.json"
    before = manifest.read_text()
    assert told(tmp_path) == f"{tmp_path} is no bundle, manifest.json is missing: `dvc repro bundle` makes one"
    _edit(manifest, format=0)
    assert told() == (
        f"{copy} is a bundle of format 0, and this finprint reads format 1: `dvc repro bundle` makes it anew"
    )
    _edit(manifest, format=2)
    assert (
        told()
        == f"{copy} is a bundle of format 2, and this finprint reads format 1: install the finprint that wrote it"
    )
    again = "copy the bundle again, or make it anew with `dvc repro bundle`"
    for foreign in ("{}", "[]", "{", json.dumps({"kind": "another program's", "format": 1})):
        manifest.write_text(foreign)
        assert told() == f"{manifest} is damaged, or not of a finprint bundle: {again}"
    manifest.write_text(before)
    _edit(manifest, files={"../passwords": "0" * 64})
    assert told() == f"{manifest} is damaged, or not of a finprint bundle: {again}"


@pytest.mark.parametrize("name", ["rules.json", "models/round2/weights.safetensors", "gallery-0/photos.parquet"])
def test_an_altered_file_is_named(copy: Path, name: str) -> None:
    path = copy / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError) as error:
        Bundle.load(copy)
    assert str(error.value) == (
        f"{path} is not as the bundle was written, its hash differs: "
        "copy the bundle again, or make it anew with `dvc repro bundle`"
    )
    path.unlink()
    with pytest.raises(UserError, match="is missing: copy the bundle again"):
        Bundle.load(copy)


def test_a_model_that_did_not_make_the_vectors_is_not_bundled(project: Project, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(project.root / "data", root / "data")
    shutil.copytree(project.root / "models", root / "models")
    shutil.copytree(root / "models/round1", root / "models/round2", dirs_exist_ok=True)
    with pytest.raises(UserError, match="round2 is not the model that made the vectors: run `dvc repro` again"):
        write_bundle(read_finished(root / "data", root / "models", []), SETTINGS, tmp_path / "bundle")


def test_photos_of_an_encounter_are_judged_together_as_in_the_pipeline(project: Project) -> None:
    photos = read_table(project.root / "data/photos.parquet", PHOTOS)
    asked = photos["split"] == TEST
    photos.loc[asked, "encounter"] = [f"e{number // 3}" for number in range(asked.sum())]
    catalogue = build_catalogue(photos, *(read_vectors(project.root / f"data/round{n}") for n in (1, 2)))
    apart = Bundle.load(project.bundle)
    bundle = replace(apart, rules=replace(apart.rules, together=True))
    rows = catalogue.where(TEST)
    theirs = answer_queries(catalogue, rows, catalogue.labelled, bundle.rules)
    queries, vectors = catalogue.photos.iloc[rows], [member.array[rows] for member in catalogue.members]
    ours, alone = (one.answer(queries, vectors).answers for one in (bundle, apart))
    pd.testing.assert_frame_equal(ours, ANSWERS.validate(theirs))
    assert (alone["score"].to_numpy() != ours["score"].to_numpy()).mean() > 0.5
