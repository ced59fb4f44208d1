"""A finished run, read from the files of the stages: the same numbers as from what was never written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from examples import FIT, blurred
from matplotlib.text import Text

from finprint.answers.results import Evidence, Results, search_all
from finprint.base.errors import UserError
from finprint.evaluation.judging import Judged, judged_test, judged_validation
from finprint.evaluation.params import Evaluate
from finprint.evaluation.run import Run, read_run
from finprint.keypoints.tables import PAIRS, SecondLook, no_points, none_compared, write_second_look
from finprint.report.plotted import Plot, plots_of
from finprint.store.tables import LABELS, NEW, PHOTOS, TEST, TRAIN, TRUTH, VALIDATION, write_table
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
    return search_all(photos, Evidence([one, two], {2: fold, 10: two}), photos["image"].tolist(), WIDE)


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


def _plots(run: Run, **changes: Any) -> dict[str, Plot]:
    """The plots of a run by their names, after changes to it."""
    run = replace(run, **changes)
    epochs = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "map5": [0.2, 0.4]})
    return {
        plot.name: plot
        for plot in plots_of(run, run.tables(Evaluate(bootstrap=2, explained=0), 0), {"round 1": epochs})
    }


def test_each_plot_has_a_title_and_says_how_many_photos_it_counts(run: Run) -> None:
    plots = _plots(run)
    assert list(plots) == ["cmc", "calibration", "roc", "scores", "threshold", "loss", "map5"]
    assert all(plot.title and plot.caption and plot.figure is not None for plot in plots.values())
    assert "alone" not in plots["cmc"].caption
    for name in ("cmc", "calibration"):
        legend = plots[name].figure
        told = [text.get_text() for text in legend.findobj(Text)] if legend else []
        assert {"validation, 100 photos", "photos to identify, 100 photos"} <= set(told)


def test_what_would_be_empty_is_not_drawn_but_explained(run: Run) -> None:
    """No truth, no validation, no new animals, too few animals: each says so in its own words."""
    test, validation = run.splits[TEST], run.splits[VALIDATION]
    untold = replace(test, truth=test.truth[:0])
    empty = Judged(validation.answers[:0], validation.truth[:0], validation.animals)
    one_set = _plots(run, splits={VALIDATION: validation, TEST: untold})
    assert one_set["cmc"].figure is not None
    assert one_set["cmc"].caption.endswith(
        "One set alone is shown, because the right answers to the photos to identify are not known."
    )
    nothing = _plots(run, splits={VALIDATION: empty, TEST: untold})
    for name in ("cmc", "calibration", "roc", "scores"):
        assert nothing[name].figure is None
        assert nothing[name].caption == (
            "Not drawn, because there is no validation photo, and the right answers to the photos to identify are not "
            "known."
        )
    known = validation.truth[validation.truth != NEW]
    no_new = _plots(run, splits={VALIDATION: replace(validation, truth=known), TEST: untold})
    assert no_new["roc"].figure is None
    assert no_new["roc"].caption == (
        "Not drawn, because the right answers to the photos to identify are not known, and none of the "
        f"{len(known)} photos of validation shows a new animal (prepare.new_share)."
    )
    assert no_new["scores"].figure is not None
    threshold = replace(run.rules.threshold, value=0.5, curve=np.zeros((0, 2)), interval=None)
    few = _plots(run, rules=replace(run.rules, calibration=None, fitted=False, threshold=threshold))
    assert few["calibration"].caption == (
        "Not drawn, because there are too few animals to tell new ones, so no answer has a probability."
    )
    assert few["threshold"].caption == (
        "Not drawn, because there are too few animals to tell new ones, so the threshold of 0.500 is a default."
    )


def test_rounds_that_were_not_scored_have_no_plot(run: Run) -> None:
    tables = run.tables(Evaluate(bootstrap=2, explained=0), 0)
    unscored = pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0]})
    loss, map5 = plots_of(run, tables, {"round 1": unscored})[-2:]
    assert loss.figure is not None
    assert map5.figure is None
    assert map5.caption == "Not drawn, because no epoch was scored on validation."
    assert plots_of(run, tables, {"round 1": unscored[:0]})[-2].caption == "Not drawn, because no epoch was trained."


def test_a_missing_file_is_named(tmp_path: Path, photos: pd.DataFrame) -> None:
    write_table(tmp_path / "photos.parquet", photos, PHOTOS)
    with pytest.raises(UserError) as caught:
        read_run(tmp_path, photos["image"])
    assert str(caught.value) == f"{tmp_path}/truth.parquet is missing: `dvc repro` makes it"
