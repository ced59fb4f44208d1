"""The second look travels in the bundle: answers are the pipeline's, and no photo of the gallery is needed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import save_photo
from finished import SEARCH, SETTINGS, Project
from PIL import Image

from finprint.answers.rules import Rules
from finprint.answers.scoring import Blend
from finprint.answers.search import answer_queries
from finprint.base.errors import UserError
from finprint.base.files import caching_in, sha256_path
from finprint.bundle.bundle import Bundle
from finprint.bundle.enrol import enrol
from finprint.bundle.identified import Identified
from finprint.bundle.identify import identify
from finprint.bundle.looks import look_again
from finprint.bundle.settings import Settings
from finprint.bundle.writing import read_finished, write_bundle
from finprint.keypoints.lessons import Learned
from finprint.keypoints.look import second_look
from finprint.keypoints.params import Match
from finprint.keypoints.tables import read_local_scores, write_second_look
from finprint.keypoints.worth import Worth
from finprint.matching.catalogue import build_catalogue
from finprint.pictures.shards import INDEX, Crops
from finprint.store.decisions import Decision, Log
from finprint.store.tables import CROPS, PHOTOS, TEST, read_table, write_table
from finprint.store.vectors import read_vectors

SMALL = {"extractor": "xfeat", "image_size": 128, "keypoints": 64, "individuals": 4, "photos": 2}
LOOK = SETTINGS.match.model_copy(update={"enabled": True, "compared": 200} | SMALL)


@pytest.fixture(scope="module")
def looked(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A bundle whose rules weigh the second look, and the pipeline's answers by the same rules."""
    return _looked(project, tmp_path_factory.mktemp("looked"))


def _looked(project: Project, root: Path, tiny: str = "", look: Match = LOOK) -> tuple[Path, pd.DataFrame]:
    """The fixture; the box of a photo `tiny` is too small for local features."""
    data = Path(shutil.copytree(project.root / "data", root / "data"))
    shutil.copytree(project.root / "models", root / "models", ignore=shutil.ignore_patterns("bundle"))
    index = read_table(data / "crops" / INDEX, CROPS)
    for low, high in (("x_min", "x_max"), ("y_min", "y_max")):
        index[high] = index[high].mask(index["image"] == tiny, index[low] + 8)
    write_table(data / "crops" / INDEX, index, CROPS)
    table, crops = read_table(data / "photos.parquet", PHOTOS), Crops(data / "crops")
    catalogue = build_catalogue(table, *(read_vectors(data / f"round{n}") for n in (1, 2)))
    worth = _worth()
    with caching_in(root / "kept"):
        looked = second_look(catalogue.photos, catalogue.blend(), crops, look, worth=worth)
        write_second_look(data / "match", replace(looked, learned=Learned(worth)))
        catalogue = replace(catalogue, local_scores=read_local_scores(data / "match"))
        rules = Rules.load(data / "search")
        weights = {"nearest": 0.4, "mean": 0.0, "classifier": 0.1, "keypoints": 0.3, "descriptors": 0.2}
        plane = [0.01, 0.02, 0.03]
        fills = {"nearest": [], "mean": [], "classifier": [0.1, 0.2, 0.3], "keypoints": plane, "descriptors": plane}
        rules = replace(rules, params=SEARCH, blend=Blend(weights, fills))
        rules.save(data / "search")
        answers = answer_queries(catalogue, catalogue.where(TEST), catalogue.labelled, rules)
        settings = SETTINGS.model_copy(update={"match": look})
        write_bundle(read_finished(data, root / "models", []), settings, root / "bundle")
    return root / "bundle", answers


def _worth() -> Worth:
    """What could have been learned about matched features."""
    torch.manual_seed(0)
    worth = Worth()
    torch.nn.init.normal_(worth.last, std=0.1)
    return worth.eval()


def _identified(project: Project, folder: Path, out: Path) -> Identified:
    """The queries answered by a bundle while no photo of the gallery is there."""
    (project.root / "survey").rename(project.root / "gone")
    try:
        return identify([project.queries], Bundle.load(folder), out)
    finally:
        (project.root / "gone").rename(project.root / "survey")


def test_the_second_look_is_the_pipelines(
    looked: tuple[Path, pd.DataFrame], project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, theirs = looked
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    identified = _identified(project, moved, tmp_path / "out")
    assert identified.answers["identity"].tolist() == theirs["identity"].tolist()
    assert identified.answers["match"].fillna("").tolist() == theirs["match"].fillna("").tolist()
    np.testing.assert_allclose(identified.answers["score"], theirs["score"], atol=1e-6)
    np.testing.assert_allclose(identified.answers["probability"], theirs["probability"], atol=1e-6)
    assert set(identified.points["query"]) <= set(identified.photos["image"])
    assert len(identified.points) > 50
    learned, given = (worth.state_dict() for worth in (Bundle.load(folder).worth, _worth()) if worth)
    assert all(torch.equal(learned[name], value) for name, value in given.items())
    pd.testing.assert_frame_equal(Identified.load(tmp_path / "out").points, identified.points)


def test_without_pairs_points_are_drawn_without_the_photos_of_the_gallery(project: Project, tmp_path: Path) -> None:
    folder, theirs = _looked(project, tmp_path / "alone", look=LOOK.model_copy(update={"individuals": 0}))
    identified = _identified(project, folder, tmp_path / "out")
    assert identified.answers["identity"].tolist() == theirs["identity"].tolist()
    assert set(identified.points["query"]) <= set(identified.photos["image"])
    assert len(identified.points) > 50


def test_the_settings_of_an_earlier_bundle(tmp_path: Path) -> None:
    new = SETTINGS.model_copy(update={"match": LOOK})
    new.write(tmp_path)
    assert Settings.read(tmp_path) == new
    path = tmp_path / "params.json"
    state = json.loads(path.read_text())
    del state["match"]["compared"], state["match"]["sure"], state["match"]["learn_epochs"]
    path.write_text(json.dumps(state | {"match": state["match"] | {"choose": "vectors"}}))
    old = LOOK.model_copy(update={"compared": 0, "sure": 2.0, "learn_epochs": 0})
    assert Settings.read(tmp_path) == new.model_copy(update={"match": old})
    path.write_text(json.dumps(state | {"match": state["match"] | {"choose": "both"}}))
    with pytest.raises(UserError) as caught:
        Settings.read(tmp_path)
    assert str(caught.value) == (
        f"{path} is of an earlier version, which compared local features otherwise: copy the bundle again, or make it "
        "anew with `dvc repro bundle`"
    )


def test_a_photo_of_the_gallery_that_is_too_small_for_local_features(project: Project, tmp_path: Path) -> None:
    """As in the pipeline, its pairs have no score; the photo itself need not be there."""
    folder, theirs = _looked(project, tmp_path / "small", "03_1.jpg")
    identified = _identified(project, folder, tmp_path / "out")
    assert identified.answers["identity"].tolist() == theirs["identity"].tolist()
    np.testing.assert_allclose(identified.answers["score"], theirs["score"], atol=1e-6)


def test_a_photo_of_the_gallery_is_not_looked_at_beside_itself(
    looked: tuple[Path, pd.DataFrame], project: Project, tmp_path: Path
) -> None:
    """With itself it would match best of all, whatever its individual is."""
    bundle = Bundle.load(looked[0])
    photo = Path(shutil.copy(project.root / "survey/03_1.jpg", tmp_path / "again.jpg"))
    twin = tmp_path / "twin.jpg"
    twin.write_bytes(photo.read_bytes() + b"\0")  # the same picture in another file: nobody knows that it is the same
    identified = identify([photo], bundle, tmp_path / "out")
    crops = Crops(tmp_path / "out/review/crops")
    queries = identified.photos.assign(path=str(photo))
    arrays = np.split(identified.vectors, 2, axis=1)
    with caching_in(tmp_path / "kept"):
        told = look_again(bundle, queries, crops, arrays, tmp_path / "features")
        strange = look_again(
            bundle, queries.assign(path=str(twin), sha256=sha256_path(twin)), crops, arrays, tmp_path / "other"
        )
    assert told is not None
    assert strange is not None
    assert told.scores is not None
    assert strange.scores is not None
    best = strange.scores.groupby("identity").max()
    assert best.idxmax().tolist() == ["animal 03", "animal 03"]
    assert best.loc["animal 03", "keypoints"] > 2 * told.scores["keypoints"].max()
    assert told.scores["descriptors"].isna().all()


def test_an_enrolled_photo_is_looked_at_without_its_file(
    looked: tuple[Path, pd.DataFrame], project: Project, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(looked[0], tmp_path / "whales"))
    photos = Path(shutil.copytree(project.queries, tmp_path / "photos"))
    identify([photos / "q03.jpg"], Bundle.load(folder), tmp_path / "june")
    Log(tmp_path / "june/decisions.jsonl").append(Decision(action="new", photo="q03.jpg", to="Tom"))
    enrol(tmp_path / "june", folder)
    with Image.open(photos / "q03.jpg") as seen:
        again = save_photo(tmp_path / "july" / "again.jpg", np.asarray(seen), quality=80)
    shutil.rmtree(photos)
    identified = identify([again], Bundle.load(folder), tmp_path / "out")
    assert identified.answers.dropna(subset="match")["identity"].iloc[0] == "Tom"
    best = identified.points.groupby("match")["inlier"].sum()
    assert best.idxmax() == "june/q03.jpg"
