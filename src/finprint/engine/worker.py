"""What a worker on a node does with a chunk of jobs."""

import fcntl
import os
import pickle
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from finprint.base.cli import keep_memory
from finprint.base.device import best_device, limit_cores
from finprint.base.errors import UserError
from finprint.base.files import caching_in

PACKAGES = (
    "faiss-cpu",
    "faiss-gpu",
    "kornia",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "timm",
    "torch",
    "torchvision",
    "ultralytics",
)
_open: dict[str, Callable[[Any], Iterable[Any]]] = {}  # the stream of this process, by the token of its work
_folder: list[tuple[Any, int]] = []  # a temporary folder of this process, and its lock
FOLDERS = "finprint-worker-"  # what the names of such folders begin with


@dataclass(frozen=True)
class Place:
    """Where and how a worker works.

    Attributes:
        token: of the work.
        root: the project's folder, which the node has as well; '': it has none.
        cores: of the processor that the worker may use.
        device: the kind of it on which the results are wanted, `cuda` or `cpu`.
        versions: of the packages that bits depend on.
    """

    token: str
    root: str
    cores: int
    device: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """The versions of the packages that results depend on, in this process."""
    there = {}
    for package in PACKAGES:
        try:
            there[package] = version(package)
        except PackageNotFoundError:
            there[package] = "none"
    return there


def run_chunk(placed: bytes, there: list[Any], jobs: bytes) -> bytes:
    """The results of a chunk of jobs, or the exception that the work raised; all pickled.

    The exception is a `UserError` if the node lacks the project's folder or has other versions of packages.

    Args:
        placed: where and how, a `Place`.
        there: a reference to the pickled `Work.there`, in a list so that Ray does not send it with each chunk.
        jobs: as `Work.pack` made them.
    """
    try:
        return pickle.dumps(_results(pickle.loads(placed), there, pickle.loads(jobs)))
    except Exception as error:
        return _portable(error, traceback.format_exc())


def _results(place: Place, there: list[Any], jobs: Any) -> list[Any]:
    if place.token not in _open:
        _settle(place)
        import ray

        _open.clear()  # of earlier work, whose network may fill a GPU
        _open[place.token] = pickle.loads(ray.get(there[0]))()
    return list(_open[place.token](jobs))


def _portable(error: Exception, where: str) -> bytes:
    """A pickled exception that says where it was raised; what cannot travel becomes a `RuntimeError`."""
    try:
        error.add_note(where)
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:
        return pickle.dumps(RuntimeError(where))
    return packed


def _settle(place: Place) -> None:
    """Make this process work as the one that asked for it."""
    node = socket.gethostname()
    for package, own in versions().items():
        if own != place.versions[package]:
            raise UserError(
                f"{node} has {package} {own} and not {place.versions[package]}, so its results could differ: install "
                "the same requirements.lock there"
            )
    if best_device().type != place.device:
        raise UserError(f"{node} computes on {best_device().type}, and engine.gpus asks for {place.device}")
    keep_memory()  # as in the stages
    limit_cores(place.cores)
    if not _folder:  # what is kept between runs is kept by the process that asked
        _folder.append(own_folder())
        caching_in(Path(_folder[0][0].name)).__enter__()
    try:
        os.chdir(place.root or _folder[0][0].name)
    except OSError:
        raise UserError(
            f"{node} has no folder {place.root}: with engine.ship path every node needs the project's folder in the "
            "same place; set engine.ship to bytes"
        ) from None


def own_folder() -> tuple[Any, int]:
    """A temporary folder that goes with this process, and the lock that says that the process lives.

    A worker that Ray kills cannot remove its folder. So each worker first removes the folders that nobody holds.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        with suppress(OSError):  # another user's, or just removed
            lock = _held(left)
            try:
                shutil.rmtree(left)
            finally:
                os.close(lock)
    while True:
        folder = tempfile.TemporaryDirectory(prefix=FOLDERS, ignore_cleanup_errors=True)
        with suppress(OSError):  # another worker has just removed it
            return folder, _held(Path(folder.name))


def _held(folder: Path) -> int:
    """A lock on a folder, which ends with this process.

    Raises:
        OSError: another process holds it, or the folder is gone or not ours.
    """
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except OSError:
        os.close(lock)
        raise
    return lock
