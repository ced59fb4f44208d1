"""Chunks of jobs on the nodes of a Ray cluster that somebody has started.

Nothing is started here but workers, which Ray ends with the process that asked for them.
"""

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import torch

import finprint
from finprint.base.errors import UserError
from finprint.engine.params import Engine
from finprint.engine.work import Work
from finprint.engine.worker import Place, run_chunk, versions

if TYPE_CHECKING:
    from tqdm import tqdm


EACH = 4  # chunks that each worker gets at least, where there are enough jobs, so that none waits long for the last one
AHEAD = 2  # chunks for each worker that wait for it or for their turn, which bounds the memory
PATIENCE = 10.0  # seconds without a result after which it is looked whether there is a node at all
NOBODY = "Could not find any running Ray instance"  # what Ray says where no cluster runs
WRONG_TOKEN = b"InvalidAuthToken"  # what Ray writes once a second, 20 times, before it gives up
TIMEOUT = 5.0  # seconds that the head of the cluster has to answer

J = TypeVar("J")
R = TypeVar("R")


def check_engine(engine: Engine) -> None:
    """Refuse an engine that is not installed.

    Raises:
        UserError: says what to install.
    """
    if engine.kind == "ray" and find_spec("ray") is None:
        raise UserError("engine.kind is ray, which is not installed here: pip install -e '.[ray]'")


def connect(engine: Engine) -> Any:
    """The module `ray`, connected to the cluster; the connection lasts until the process ends.

    Raises:
        UserError: Ray is not installed, there is no cluster at the address, or it has another token.
    """
    check_engine(engine)
    # A chunk that needs too much memory is not tried for ever.
    os.environ.setdefault("RAY_task_oom_retries", str(engine.retries))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    address = engine.address or os.environ.get("RAY_ADDRESS", "") or "auto"
    whence = "engine.address" if engine.address else "RAY_ADDRESS"
    where = "this machine" if address == "auto" else f"{address} ({whence})"
    if address != "auto":
        _knock(address, where)
    if ray.is_initialized():
        return ray
    package = Path(finprint.__file__).parent
    try:
        # The code travels: that of this checkout runs on all nodes.
        environment = {"py_modules": [str(package)], "excludes": ["__pycache__"], "env_vars": _variables(engine)}
        with _listening() as heard:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    except ray.exceptions.AuthenticationError:
        raise _no_token(where) from None
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        if WRONG_TOKEN in heard:
            raise _no_token(where) from None
        if address == "auto" and NOBODY in str(error):
            raise UserError(
                "engine.kind is ray, but no cluster runs here: `ray start --head`, or set engine.address to HOST:PORT"
            ) from None
        raise UserError(f"no cluster can be used at {where}: {_first_line(error)}") from None
    return ray


@contextmanager
def _listening() -> Iterator[bytearray]:
    """What is written to standard error in the block, by C++ as well. It is passed on, unless it is about the token."""
    heard = bytearray()
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield heard
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            heard += file.read()
            if WRONG_TOKEN not in heard:
                os.write(2, heard)


def _no_token(where: str) -> UserError:
    return UserError(
        f"no cluster can be used at {where} without its token: copy ~/.ray/auth_token from its head, and set "
        "RAY_AUTH_MODE=token"
    )


def _knock(address: str, where: str) -> None:
    """Does anybody listen there? Ray itself would wait for a minute.

    Raises:
        UserError: nobody does.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"no cluster answers at {where}: {_first_line(error)}. `ray start --head` starts one and prints its address"
        ) from None


def _variables(engine: Engine) -> dict[str, str]:
    """The environment of the workers. The bits of a network's output depend on the number of its threads."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return threads if engine.gpus else threads | {"CUDA_VISIBLE_DEVICES": ""}


@dataclass
class _Chunks:
    """The chunks of some jobs: those under way, and results that wait for their turn."""

    work: Work[Any, Any]
    jobs: Sequence[Any]
    unit: str
    per_chunk: int
    pending: dict[Any, int] = field(default_factory=dict)  # reference of a chunk under way -> its number
    done: dict[int, list[Any]] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)  # number -> why
    failed: dict[int, Exception] = field(default_factory=dict)  # what the work itself raised

    def __len__(self) -> int:
        return -(-len(self.jobs) // self.per_chunk)

    def of(self, number: int) -> Sequence[Any]:
        return self.jobs[number * self.per_chunk : (number + 1) * self.per_chunk]

    def named(self, number: int) -> str:
        jobs, start = self.of(number), number * self.per_chunk
        first, last = self.work.name(jobs[0]), self.work.name(jobs[-1])
        return f"{self.unit}s {start + 1} to {start + len(jobs)} of {len(self.jobs)} ({first} to {last})"


def spread(
    work: Work[J, R], jobs: Sequence[J], engine: Engine, unit: str, progress: "tqdm[Any]"
) -> Iterator[tuple[J, R]]:
    """Do the work on the cluster, see `mapping.mapped`.

    Raises:
        UserError: there is no cluster, or chunks were lost.
    """
    ray = connect(engine)
    cpus = engine.cpus or torch.get_num_threads()
    chunks = _Chunks(work, jobs, unit, _per_chunk(len(jobs), work, max(1, _workers(ray, cpus, engine.gpus))))
    root = str(Path.cwd()) if engine.ship == "path" else ""
    place = Place(uuid4().hex, root, cpus, "cuda" if engine.gpus else "cpu", versions())
    there = ray.put(work.there)
    # With max_calls 0, a worker with a GPU keeps its network from chunk to chunk.
    options = {"num_cpus": cpus, "num_gpus": engine.gpus, "max_retries": engine.retries, "max_calls": 0}
    run = ray.remote(**options, scheduling_strategy="SPREAD")(run_chunk)
    submitted = turn = 0
    told = False
    try:
        while turn < len(chunks):
            workers = _workers(ray, cpus, engine.gpus)
            while submitted < min(len(chunks), turn + AHEAD * max(1, workers) + 1):
                chunks.pending[run.remote(place, [there], work.pack(chunks.of(submitted)))] = submitted
                submitted += 1
            if not _collect(ray, chunks, progress) and not workers and not told:
                print(_waiting(cpus, engine), file=sys.stderr, flush=True)
                told = True
            while turn in chunks.done or turn in chunks.lost:
                yield from zip(chunks.of(turn), chunks.done.pop(turn, []), strict=turn not in chunks.lost)
                turn += 1
            if turn in chunks.failed:
                raise chunks.failed[turn]
    finally:
        for reference in chunks.pending:
            ray.cancel(reference, force=True)
    if chunks.lost:
        raise UserError(_lost(chunks, engine))


def _per_chunk(jobs: int, work: Work[Any, Any], workers: int) -> int:
    """How many jobs make a chunk: a multiple of the batch."""
    batches = min(-(-jobs // (EACH * workers * work.batch)), work.most // work.batch)
    return work.batch * max(1, batches)


def _workers(ray: Any, cpus: int, gpus: float) -> int:
    """How many workers the nodes have room for now."""
    count = 0
    for node in ray.nodes():
        has = node["Resources"]
        if node["Alive"]:
            room = [has.get("CPU", 0) / cpus, *([has.get("GPU", 0) / gpus] if gpus else [])]
            count += int(min(room))
    return count


def _collect(ray: Any, chunks: _Chunks, progress: "tqdm[Any]") -> bool:
    """Wait for a chunk to end, and take what it gave; False if none has ended for a while."""
    ended, _ = ray.wait(list(chunks.pending), timeout=PATIENCE)
    for reference in ended:
        number = chunks.pending.pop(reference)
        try:
            chunks.done[number] = ray.get(reference)
            progress.update(len(chunks.done[number]))
        except ray.exceptions.RayTaskError as error:
            chunks.failed[number] = error.cause if isinstance(error.cause, UserError) else error
        except ray.exceptions.RayError as error:
            chunks.lost[number] = _first_line(error)
    return bool(ended)


def _waiting(cpus: int, engine: Engine) -> str:
    gpus = f" and {engine.gpus:g} GPUs (engine.gpus)" if engine.gpus else ""
    whence = "engine.cpus" if engine.cpus else "as many as torch has threads here, because engine.cpus is 0"
    return f"waiting for a node with {cpus} CPU cores ({whence}){gpus}: `ray status` lists the nodes"


def _lost(chunks: _Chunks, engine: Engine) -> str:
    number, reason = min(chunks.lost.items())
    others = f"; so were {len(chunks.lost) - 1} other chunks" if len(chunks.lost) > 1 else ""
    return (
        f"{chunks.named(number)} were given up after {engine.retries} retries (engine.retries): "
        f"{reason}{others}. Run the same command again"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0].rstrip(".")
