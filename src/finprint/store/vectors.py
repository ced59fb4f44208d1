"""A folder of vectors with the photos that they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import atomic, read_json, write_array, write_json
from finprint.store.arrays import Array, blocks, write_rows
from finprint.store.tables import ROWS, read_table, write_table

VECTORS = "vectors.npy"


@dataclass(frozen=True)
class Vectors:
    """Unit vectors of photos, and the model that they come from.

    Attributes:
        images: (N,) names of the photos.
        array: (N, D) float32 unit vectors; a folder's stay in their file, which is mapped.
        model: hash of the model's files.
        classes: (C,) the individuals that the model was trained to tell apart.
        centres: (C, S, D) float32 unit vectors, each individual's sub-centres in the model's margin head.
    """

    images: pd.Series
    array: Array
    model: str = ""
    classes: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 1, 0), np.float32))


def without_vectors(images: pd.Series) -> Vectors:
    """Photos whose vectors nobody needs, (N, 0): to know which photos were searched is enough to judge answers."""
    return Vectors(images, np.zeros((len(images), 0), np.float32))


def write_vectors(folder: Path, vectors: Vectors) -> None:
    """Write a folder of vectors, atomically."""
    with atomic(folder) as draft:
        draft.mkdir()
        _write_blocks(draft / VECTORS, vectors.array)
        write_array(draft / "centres.npy", vectors.centres)
        write_table(draft / "rows.parquet", pd.DataFrame({"image": vectors.images}), ROWS)
        write_json(draft / "model.json", {"model": vectors.model, "classes": list(vectors.classes)})


def _write_blocks(path: Path, array: Array) -> None:
    """Write an array as `write_array` would, a block at a time."""
    with atomic(path) as draft, draft.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        write_rows(file, array)


def read_vectors(folder: Path) -> Vectors:
    """Read a folder of vectors: all are checked, a block at a time, and none is kept in memory.

    Raises:
        UserError: a file is missing or damaged, the files disagree, or a vector is no unit vector.
    """
    rows = read_table(folder / "rows.parquet", ROWS)
    array, centres, model = (_read(folder / name) for name in (VECTORS, "centres.npy", "model.json"))
    if len(array) != len(rows):
        raise UserError(f"{folder}: {len(array)} vectors, but {len(rows)} rows: run `dvc repro` again")
    lengths = [np.linalg.norm(block, axis=1) for _, block in blocks(array)]
    wrong = ~np.isclose(np.concatenate([*lengths, np.zeros(0)]), 1, atol=1e-3)  # true for NaN as well
    if wrong.any():
        raise UserError(
            f"{folder}: the vector of {rows['image'][int(wrong.argmax())]} is no unit vector ({wrong.sum()} are not): "
            "the training has diverged, lower lr"
        )
    if centres.shape[2] != array.shape[1]:
        raise UserError(
            f"{folder}: vectors of {array.shape[1]} dimensions, but centres of {centres.shape[2]}: they come from "
            "different models; run `dvc repro` again"
        )
    return Vectors(rows["image"], array, model["model"], np.array(model["classes"], dtype=object), centres)


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".json":
            return read_json(path)
        return np.load(path, mmap_mode="r" if path.name == VECTORS else None, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `dvc repro` makes it") from None
    except (ValueError, EOFError):
        raise UserError(f"{path} is damaged: delete {path.parent}, and `dvc repro` makes it anew") from None


def read_folds(folder: Path, left_out: Sequence[int]) -> dict[int, Vectors]:
    """The vectors by the models that left out a fold, by the fold, in the order of `fold.left_out`."""
    return {fold: read_vectors(folder / str(fold)) for fold in left_out}
