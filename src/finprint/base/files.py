"""Writing files so that nothing is ever half-written, and hashing them."""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from finprint.base.errors import UserError

DRAFT = ".draft"  # in the name of what is not yet finished
SEAL = hashlib.sha256().digest_size  # bytes that `seal` appends
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
FULL = 2**20  # bytes left on a disk on which a write that failed is taken to have filled it


_elsewhere: list[Path] = []  # of this process, for `caching_in`


def cache() -> Path:
    """The folder of what is kept between runs and can be deleted at any time.

    It is the main checkout's, even in the temporary folder of `dvc exp run --temp`: DVC tells it in DVC_ROOT.
    """
    return _elsewhere[-1] if _elsewhere else Path(os.environ.get("DVC_ROOT", ".")) / ".cache"


@contextmanager
def caching_in(folder: Path) -> Iterator[None]:
    """In the block `cache()` is this folder: for work outside of the project, which has a cache of its own."""
    _elsewhere.append(folder)
    try:
        yield
    finally:
        _elsewhere.pop()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a draft, a path beside `path` to write to; it takes the name of `path` only when the block succeeds.

    Files and folders both work. All of it reaches the disk before it takes the name, so not even a power cut leaves
    half of it under that name. The same bytes come out whatever the draft is called.

    Raises:
        OSError: the disk is full, or `path` cannot be written; the error names it.
    """
    # Keeps the suffix: np.save and pandas choose a format by it.
    draft = path.with_name(f".{path.stem}{DRAFT}{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove(draft)
            yield draft
            for inner in [draft, *draft.rglob("*")]:
                _reach_the_disk(inner)
            if path.is_dir():  # a folder cannot be replaced in one step
                remove(path)
            draft.replace(path)
            _reach_the_disk(path.parent)
    finally:
        with suppress(OSError):
            remove(draft)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name `path` where the block fails because the disk is full or cannot be written to.

    Few libraries say where they failed, and torch, numpy and safetensors do not even say that the disk was full.

    Raises:
        OSError: with the file's name and the system's reason.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number, name = _number(error, path), getattr(error, "filename", None)
        if number not in UNWRITABLE or (name and DRAFT not in str(name)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _number(error: Exception, path: Path) -> int:
    """The system's number of an error: as it has it, as its text tells it, or that of a full disk if it is full; 0."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if told := re.search(r"\b(?:os error|Errno) (\d+)\b", str(error)):  # safetensors, pyarrow
        return int(told[1])
    there = next(folder for folder in path.absolute().parents if folder.exists())
    return errno.ENOSPC if shutil.disk_usage(there).free < FULL else 0


def _reach_the_disk(path: Path) -> None:
    """Have the system write a file, or a folder's list of names, to the disk now."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives cannot do it with a folder
            raise
    finally:
        os.close(handle)


def seal(path: Path) -> None:
    """Append to a finished file the SHA-256 of its content, by which `intact` tells whether it is damaged.

    torch.load and np.load, mapped or not, pass over these last `SEAL` bytes.
    """
    with path.open("r+b") as file:
        file.write(hashlib.file_digest(file, "sha256").digest())


def intact(path: Path) -> bool:
    """Is there a file with the content that it was sealed with? A damaged one is removed, and one line says so."""
    if not path.exists():
        return False
    if path.is_file():
        digest, left = hashlib.sha256(), path.stat().st_size - SEAL
        with path.open("rb") as file:
            while left > 0 and (block := file.read(min(left, 2**20))):
                digest.update(block)
                left -= len(block)
            if file.read() == digest.digest():
                return True
    print(f"{path} is damaged: what it held is made anew", flush=True)
    remove(path)
    return False


def hold(path: Path, message: str) -> TextIO:
    """Lock the file `path` until what is returned is closed or the process ends.

    Where another process holds it, print `message` and wait. The holder may remove the file before it closes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waited:
                print(message, flush=True)
            waited = True
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _still_named(lock, path):
            return lock
        lock.close()


def _still_named(lock: TextIO, path: Path) -> bool:
    """Has the holder that one waited for left the file under its name?"""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there; another process may be removing it, too."""
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically, UTF-8."""
    with atomic(path) as draft:
        draft.write_text(text, encoding="utf-8")


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
    """Write the numbers of a plot as a CSV for `dvc plots`, rounded to six places, atomically."""
    with atomic(path) as draft:
        table.round(6).to_csv(draft, index=False, lineterminator="\n")


def write_array(path: Path, array: np.ndarray) -> None:
    """Write `array` as .npy, atomically."""
    with atomic(path) as draft:
        np.save(draft, array, allow_pickle=False)


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
