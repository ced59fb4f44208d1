"""Photos to be looked at again: contradicted or undecided, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
from conftest import judged
from examples import stored_crops, two_animals

from finprint.answers.search import out_of_fold
from finprint.evaluation.doubts import COLUMNS, confusing, next_known, rivals
from finprint.evaluation.judging import judged_validation
from finprint.matching.catalogue import build_catalogue, fold_as_validation
from finprint.paper.figure import png, svg
from finprint.params import load_params
from finprint.pictures.images import decode
from finprint.report.contact_sheet import contact_sheet
from finprint.store.tables import NEW
from finprint.store.vectors import without_vectors


def _answers(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """First answers (query, identity, probability), and a second one to each that must not count."""
    first = [
        (query, 1, identity, 0.5, chance, None if identity == NEW else "a1.jpg") for query, identity, chance in rows
    ]
    second = [(query, 2, "zed", 0.4, 0.55, "a1.jpg") for query, _, _ in rows]
    return pd.DataFrame(first + second, columns=["query", "rank", "identity", "score", "probability", "match"])


def test_by_hand(tmp_path: Path) -> None:
    rows = [
        ("wrong.jpg", "bo", 0.97),
        ("new.jpg", NEW, 0.95),  # called new, but known
        ("right.jpg", "al", 0.99),
        ("torn.jpg", "al", 0.55),
        ("doubt.jpg", "bo", 0.7),
        ("surer.jpg", "bo", 0.99),
        ("unknown.jpg", NEW, 0.96),  # rightly so
        ("nan.jpg", "bo", np.nan),  # no calibration could be fitted
    ]
    truth = pd.Series({row[0]: "al" for row in rows} | {"unknown.jpg": NEW})
    listed = confusing([judged(_answers(*rows), truth)])
    assert listed[["image", "identity", "answered", "why"]].to_numpy().tolist() == [
        ["surer.jpg", "al", "bo", "contradicted"],
        ["wrong.jpg", "al", "bo", "contradicted"],
        ["new.jpg", "al", NEW, "contradicted"],
        ["torn.jpg", "al", "al", "undecided"],
    ]
    crops = stored_crops(tmp_path / "crops", ["a1.jpg", *listed["image"]])
    opinions = [judged(_answers(*rows), truth)]
    (tmp_path / "sheet.png").write_bytes(
        png(contact_sheet(listed, next_known(opinions), rivals(opinions, listed), crops))
    )
    sheet, _ = decode(tmp_path / "sheet.png")
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100  # photos, and not white alone
    one, two = (contact_sheet(listed, next_known(opinions), rivals(opinions, listed), crops) for _ in range(2))
    assert png(one) == png(two)
    assert svg(one) == svg(two)


def test_beside_whom_the_model_calls_new_is_the_best_known_individual() -> None:
    answers = _answers(("new.jpg", NEW, 0.95), ("right.jpg", "al", 0.99))
    told = next_known([judged(answers, pd.Series({"new.jpg": "al"}))])
    assert told.loc["new.jpg"].tolist() == ["zed", "a1.jpg"]
    assert told.loc["right.jpg"].tolist() == ["al", "a1.jpg"]
    lone = answers[answers["identity"] == NEW]
    assert not len(next_known([judged(lone, pd.Series({"new.jpg": "al"}))]))


def test_names_of_any_kind_stand_on_the_sheet(tmp_path: Path) -> None:
    """A formula of TeX, a long path, an animal beside whom nobody is known: warnings would be errors."""
    names = ["$x^$.jpg", "/".join(["folder"] * 20) + ".jpg"]
    listed = pd.DataFrame({"image": names, "identity": "$_", "answered": NEW, "probability": 0.95, "match": None})
    crops = stored_crops(tmp_path / "crops", names)
    empty = pd.DataFrame(columns=["identity", "match"])
    figure = contact_sheet(listed.assign(why="contradicted"), empty, empty, crops)
    assert len(svg(figure)) > 1000


def test_nothing_to_look_at() -> None:
    assert confusing([judged(_answers(("a.jpg", "al", 0.8)), pd.Series({"a.jpg": "al"}))]).columns.tolist() == COLUMNS
    assert not len(confusing([judged(_answers(), pd.Series(dtype=object))]))


def test_answers_out_of_fold_are_judged_by_the_photos_of_the_fold() -> None:
    photos, vectors = two_animals()
    answers = out_of_fold(photos, vectors, 1, load_params().search)
    catalogue = build_catalogue(fold_as_validation(photos, 1), without_vectors(vectors.images))
    said = judged_validation(catalogue, answers)
    assert set(said.truth.index) == {"a1.jpg", "a3.jpg", "b1.jpg", "b3.jpg", "b9.jpg"}
    assert set(said.answers["query"]) == set(said.truth.index)
    assert said.truth.to_dict() == said.animals.to_dict()
