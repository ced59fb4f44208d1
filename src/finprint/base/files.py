"""Writing files so that nothing is ever half-written, and hashing them."""

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd


def cache() -> Path:
    """The folder of what is kept between runs and can be deleted at any time.

    DVC sets DVC_ROOT to the main checkout, even in the temporary folder of `dvc exp run --temp`.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / ".cache"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a neighbouring path to write to; it takes `path`'s name only when the block succeeds.

    Files and folders both work. The same bytes come out whatever the neighbour's name is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keeps the suffix: np.save and pandas choose a format by it.
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    remove(part)
    try:
        yield part
        if path.is_dir():  # a folder cannot be replaced in one step
            remove(path)
        part.replace(path)
    finally:
        remove(part)


def hold(path: Path, told: str) -> TextIO:
    """Lock the file `path` until what is returned is closed; where another process holds it, print `told` and wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(told, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically, UTF-8."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write a nested dict of numbers for `dvc metrics`.

    Raises:
        ValueError: a value is not a finite number. DVC drops lists and nulls, and NaN spoils a diff.
    """
    write_json(path, _finite(metrics, ""))


def _finite(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _finite(v, f"{key}.{k}" if key else k) for k, v in value.items()}
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return round(float(value), 6)
    raise ValueError(f"metric {key} is {value!r}: metrics are finite numbers")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write figures as a CSV for `dvc plots`, rounded to six places, atomically."""
    with atomic(path) as part:
        table.round(6).to_csv(part, index=False, lineterminator="\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write `array` as .npy, atomically."""
    with atomic(path) as part:
        np.save(part, array, allow_pickle=False)


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of `content`, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of a JSON-able value, whatever the order of its keys."""
    return sha256_bytes(json.dumps(value, sort_keys=True).encode())


def sha256_path(path: Path) -> str:
    """SHA-256 of a file, or of a folder's relative names and contents."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return sha256_json([(p.relative_to(path).as_posix(), sha256_path(p)) for p in files])
