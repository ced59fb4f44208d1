"""Photos to be looked at again: contradicted or undecided, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
from conftest import judged
from examples import stored_crops

from finprint.evaluation.doubts import COLUMNS, confusing, out_of_fold
from finprint.params import load_params
from finprint.pictures.images import decode
from finprint.report.contact_sheet import contact_sheet
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors


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
    (tmp_path / "sheet.png").write_bytes(contact_sheet(listed, crops))
    sheet, _ = decode(tmp_path / "sheet.png")
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100  # photos, and not white alone
    assert contact_sheet(listed, crops) == contact_sheet(listed, crops)


def test_nothing_to_look_at() -> None:
    assert confusing([judged(_answers(("a.jpg", "al", 0.8)), pd.Series({"a.jpg": "al"}))]).columns.tolist() == COLUMNS
    assert not len(confusing([judged(_answers(), pd.Series(dtype=object))]))


def test_training_photos_of_a_fold_are_asked_out_of_fold() -> None:
    """Whom the model that left a fold out names its photos: by the other folds' photos alone."""
    rows = [(f"a{n}.jpg", "al", TRAIN, n % 2, 10.0 * n) for n in range(4)]
    rows += [(f"b{n}.jpg", "bo", TRAIN, n % 2, 90.0 + 10 * n) for n in range(4)]
    rows += [("b9.jpg", "bo", TRAIN, 1, 5.0), ("v.jpg", "al", VALIDATION, 1, 1.0), ("q.jpg", None, TEST, -1, 1.0)]
    photos = pd.DataFrame(rows, columns=["image", "identity", "split", "fold", "angle"]).assign(species=pd.NA)
    photos["group"] = range(len(photos))
    angles = np.radians(photos["angle"].to_numpy())
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    said = out_of_fold(photos, Vectors(photos["image"], array), 1, load_params().search)
    assert set(said.truth.index) == {"a1.jpg", "a3.jpg", "b1.jpg", "b3.jpg", "b9.jpg"}
    first = said.answers[said.answers["rank"] == 1].set_index("query")
    assert first.loc["b9.jpg", "match"] == "a0.jpg"
    assert set(first["match"].dropna()) <= {"a0.jpg", "a2.jpg", "b0.jpg", "b2.jpg"}
