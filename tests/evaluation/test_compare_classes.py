"""Probabilities of classes compared in pairs: common photos, whole groups, and experiments as folders."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo

from finprint.base.errors import UserError
from finprint.classes.judging import Judged
from finprint.evaluation.compare_classes import compare_classes, read_classes
from finprint.store.guesses import QUERY, Guesses, write_guesses
from finprint.store.tables import PHOTOS, TEST, TRUTH, VALIDATION, write_table


def _judged(right: list[float], groups: list[int] | None = None, first: int = 0, role: str = VALIDATION) -> Judged:
    """Photos of ant and bee, with the probabilities of the right class."""
    labels = ["ant" if n % 2 == 0 else "bee" for n in range(first, first + len(right))]
    images = [f"{n + first}.jpg" for n in range(len(right))]
    photos = pd.DataFrame({"image": images, "role": role, "group": groups or range(len(right))})
    photos["label"] = pd.array(labels, "string")
    array = np.array([[p, 1 - p] if label == "ant" else [1 - p, p] for p, label in zip(right, labels, strict=True)])
    return Judged(Guesses(photos, array, ["ant", "bee"]))


def test_photos_that_both_judge_are_compared_by_role() -> None:
    a = {VALIDATION: _judged([0.5, 0.25, 0.1]), TEST: _judged([0.9], role=TEST)}
    b = {VALIDATION: _judged([0.6, 0.8], first=1)}
    table = compare_classes(a, b, 0).set_index("metric")
    assert table["split"].tolist() == [VALIDATION] * 3
    assert table["queries"].tolist() == [2] * 3
    assert table.loc["top1", ["a", "b", "difference"]].tolist() == [0.0, 1.0, 1.0]
    losses = [-np.log(0.25) - np.log(0.1), -np.log(0.6) - np.log(0.8)]
    np.testing.assert_allclose(table.loc["log_loss", ["a", "b"]].astype(float), np.array(losses) / 2)


def test_a_group_is_one_piece_of_evidence() -> None:
    a, b = [0.2] * 30, [0.6] * 30
    alone = compare_classes({VALIDATION: _judged(a)}, {VALIDATION: _judged(b)}, 0).set_index("metric")
    assert alone.loc["log_loss", "p"] < 0.001
    assert alone.loc["log_loss", "high"] < -1  # a loss may differ by more than 1: from 1.61 to 0.51
    three = [0, 1, 2] * 10
    grouped = compare_classes({VALIDATION: _judged(a, three)}, {VALIDATION: _judged(b)}, 0).set_index("metric")
    assert grouped.loc["log_loss", "p"] == pytest.approx(2 / 8, abs=0.02)
    assert grouped.loc["log_loss", ["low", "high"]].tolist() == [-np.inf, np.inf]
    assert grouped.loc["top1", ["low", "high"]].tolist() == [-1, 1]


def test_an_experiment_is_read_from_its_folder(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    Repo.init(str(tmp_path)).close()
    with pytest.raises(UserError, match=r"data/labels/identity/probabilities/probabilities.npy of .* is not there"):
        read_classes(str(tmp_path), "identity")
    one, asked = _judged([0.5, 0.25]).guesses, _judged([0.7], first=2, role=QUERY).guesses
    photos = pd.concat([one.photos, asked.photos.assign(label=pd.NA)], ignore_index=True)
    both = Guesses(photos, np.concatenate([one.array, asked.array]), one.classes)
    write_guesses(tmp_path / "data/labels/identity/probabilities", both)
    table = pd.DataFrame({"image": ["0.jpg"], "path": "0.jpg", "sha256": "0" * 64, "width": 9, "height": 9})
    table = table.assign(species=pd.NA, identity="ant", encounter=pd.NA, viewpoint=pd.NA, group=0, fold=0)
    write_table(tmp_path / "data/photos.parquet", table.assign(split="train"), PHOTOS)
    write_table(tmp_path / "data/truth.parquet", pd.DataFrame({"image": ["2.jpg"], "identity": ["ant"]}), TRUTH)
    read = read_classes(str(tmp_path), "identity")
    assert {role: len(judged) for role, judged in read.items()} == {VALIDATION: 2, QUERY: 1}
    assert read[QUERY].worth()["top1"].tolist() == [1.0]
