"""A finished run, read from the files of the stages: the same numbers as from what was never written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from examples import FIT, blurred

from finprint.answers.results import Results, search_all
from finprint.base.errors import UserError
from finprint.evaluation.judging import judged_test, judged_validation
from finprint.evaluation.params import Evaluate
from finprint.evaluation.run import Run, read_run
from finprint.keypoints.tables import PAIRS, SecondLook, no_points, none_compared, write_second_look
from finprint.store.tables import LABELS, PHOTOS, TEST, TRAIN, TRUTH, VALIDATION, write_table
from finprint.store.vectors import Vectors

WIDE = FIT.model_copy(update={"shortlist": 12, "nearest": 3, "blend": "fit", "neighbours": 50})


@pytest.fixture(scope="module")
def photos() -> pd.DataFrame:
    table = blurred(species=True).photos.drop(columns="code")
    table = table.assign(
        path="p", sha256="0" * 64, width=9, height=9, encounter=None, viewpoint=None, group=range(len(table))
    )
    return table.assign(fold=np.where(table["split"] == TRAIN, table.index % 3, -1))[list(PHOTOS.columns)]


@pytest.fixture(scope="module")
def truth(photos: pd.DataFrame) -> pd.DataFrame:
    images = photos.loc[photos["split"] == TEST, "image"]
    animals = images.str.extract(r"(\d+)_")[0].astype(int)
    return pd.DataFrame({"image": images, "identity": [f"i{animal:02d}" for animal in animals]})


@pytest.fixture(scope="module")
def results(photos: pd.DataFrame) -> Results:
    one, two = (blurred(seed, species=True).members[0] for seed in (0, 1))
    fold = Vectors(one.images, two.array)
    return search_all(photos, [one, two], {2: fold, 10: two}, photos["image"].tolist(), WIDE)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, photos: pd.DataFrame, truth: pd.DataFrame, results: Results
) -> Path:
    data = tmp_path_factory.mktemp("data")
    write_table(data / "photos.parquet", photos, PHOTOS)
    write_table(data / "truth.parquet", truth, TRUTH)
    labels = truth.assign(score=0.9, weight=1.0, identity=truth["identity"].mask(truth.index % 4 == 0, "i00"))
    write_table(data / "pseudo_labels.parquet", labels, LABELS)
    nothing = SecondLook(pd.DataFrame(columns=list(PAIRS.columns)), no_points(), none_compared(), [])
    write_second_look(data / "match", nothing)
    results.write(data / "search")
    return data


@pytest.fixture(scope="module")
def run(folder: Path, photos: pd.DataFrame) -> Run:
    return read_run(folder, photos["image"])


def test_metrics_are_those_of_the_answers(run: Run, results: Results, truth: pd.DataFrame) -> None:
    metrics, catalogue = run.metrics(), results.catalogue
    for told, answers in ((metrics, results.answers), (metrics["round1"], results.round1)):
        assert told["validation"] == judged_validation(catalogue, answers.validation).metrics()
        assert told["test"] == judged_test(catalogue, answers.test, truth).metrics()
    assert metrics["validation"] != metrics["round1"]["validation"]
    assert metrics["pseudo_labels"]["told"] == len(truth)
    assert 1 < metrics["unknowns"]["animals"] <= 10  # of the ten that are not in the gallery


def test_the_answers_of_each_fold_are_judged(run: Run, photos: pd.DataFrame, results: Results) -> None:
    """Fold 10 holds no photo."""
    assert [len(judged.truth) for judged in run.folds] == [(photos["fold"] == 2).sum(), 0]
    two = photos[photos["fold"] == 2].set_index("image")["identity"]
    assert run.folds[0].animals.to_dict() == two.to_dict()
    assert set(run.folds[0].answers["query"]) == set(two.index)
    assert not set(run.folds[0].answers["match"].dropna()) & set(two.index)


def test_the_tables_are_those_of_the_metrics(run: Run) -> None:
    tables = run.tables(Evaluate(bootstrap=3, explained=0), 0)
    assert list(tables) == ["breakdown", "cmc", "reliability", "threshold", "confusing"]
    told = tables["breakdown"].query("by == 'all' and metric == 'map5'").set_index("split")["value"]
    assert told.to_dict() == {split: run.metrics()[split]["map5"] for split in (VALIDATION, TEST)}
    first = run.metrics()["test"]["top1"]
    assert tables["cmc"].set_index("rank").loc[1, "test"] == first
    assert tables["reliability"].groupby("split")["queries"].sum().to_dict() == {"validation": 100, "test": 100}
    assert len(tables["threshold"]) <= 1000
    assert tables["threshold"]["map5"].max() <= 1


def test_the_same_files_each_time(folder: Path, results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "again")
    files = sorted(path.relative_to(folder / "search") for path in (folder / "search").rglob("*") if path.is_file())
    assert [str(path) for path in files] == [
        "answers.parquet",
        "folds/10.parquet",
        "folds/2.parquet",
        "gallery.parquet",
        "index.faiss",
        "new_individuals.csv",
        "round1/answers.parquet",
        "round1/validation.parquet",
        "rules.json",
        "submission.csv",
        "threshold_curve.npy",
        "validation.parquet",
    ]
    for path in files:
        assert (folder / "search" / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path


def test_a_missing_file_is_named(tmp_path: Path, photos: pd.DataFrame) -> None:
    write_table(tmp_path / "photos.parquet", photos, PHOTOS)
    with pytest.raises(UserError) as caught:
        read_run(tmp_path, photos["image"])
    assert str(caught.value) == f"{tmp_path}/truth.parquet is missing: `dvc repro` makes it"
