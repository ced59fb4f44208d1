"""Chunks of jobs on the nodes of a Ray cluster that somebody has started.

Nothing is started here but a process that is connected and workers. Both end with the process that asked for them.
"""

import atexit
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import torch

from finprint.base.errors import UserError
from finprint.engine.connection import DONE, FAILED, NOTHING, Connection, DisconnectedError, RefusedError, Terms
from finprint.engine.params import Engine
from finprint.engine.work import Work
from finprint.engine.worker import Place, versions

if TYPE_CHECKING:
    from tqdm import tqdm


EACH = 4  # chunks that each worker gets at least, where there are enough jobs, so that none waits long for the last one
AHEAD = 2  # chunks for each worker that wait for it or for their turn, which bounds the memory
NOBODY = "Could not find any running Ray instance"  # what Ray says where no cluster runs
WRONG_TOKEN = "InvalidAuthToken"  # what Ray writes once a second, 20 times, before it gives up
NO_TOKEN = "AuthenticationError"  # what Ray raises where there is none here
WORDS = 40  # of what Ray says, which may have many lines
TIMEOUT = 5.0  # seconds that the head of the cluster has to answer
_kept: list[Connection] = []  # the connection of this process

J = TypeVar("J")
R = TypeVar("R")


def check_engine(engine: Engine) -> None:
    """Refuse an engine that is not installed.

    Raises:
        UserError: says what to install.
    """
    if engine.kind == "ray" and find_spec("ray") is None:
        raise UserError("engine.kind is ray, which is not installed here: pip install -e '.[ray]'")


def connect(engine: Engine) -> Connection:
    """The connection to the cluster, which lasts until the process ends or other params are given.

    Work with other params that is under way is then connected again, too, so such works should not alternate.

    Raises:
        UserError: Ray is not installed, there is no cluster at the address, it has another token, or the process that
            was to connect has ended.
    """
    check_engine(engine)
    address = engine.address or os.environ.get("RAY_ADDRESS", "") or "auto"
    terms = Terms(address, _cores(engine), engine.gpus, engine.retries, _variables(engine))
    if _kept and _kept[0].terms == terms and _kept[0].alive:
        return _kept[0]
    disconnect()
    whence = "engine.address" if engine.address else "RAY_ADDRESS"
    where = "this machine" if address == "auto" else f"{address} ({whence})"
    if address != "auto":
        _knock(address, where)
    try:
        _kept.append(Connection(terms))
    except RefusedError as error:
        if error.kind == NO_TOKEN or WRONG_TOKEN in error.heard:
            raise _no_token(where) from None
        if address == "auto" and NOBODY in error.reason:
            raise UserError(
                "engine.kind is ray, but no cluster runs here: `ray start --head`, or set engine.address to HOST:PORT"
            ) from None
        reason = " ".join(error.reason.split()[:WORDS]).rstrip(".")
        raise UserError(f"no cluster can be used at {where}: {reason}") from None
    except DisconnectedError as error:
        raise UserError(f"no cluster can be used at {where}: the process that was to connect {error}") from None
    return _kept[0]


@atexit.register
def disconnect() -> None:
    """End the connection, if there is one; the next work makes another."""
    while _kept:
        _kept.pop().close()


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
            f"no cluster answers at {where}: {_first_line(str(error))}. `ray start --head` starts one and prints its "
            "address"
        ) from None


def _cores(engine: Engine) -> int:
    """How many a worker needs. The bits of a network's output depend on the number of its threads."""
    return engine.cpus or torch.get_num_threads()


def _variables(engine: Engine) -> tuple[tuple[str, str], ...]:
    """The environment of the workers."""
    threads = (("OMP_NUM_THREADS", str(torch.get_num_threads())),)
    return threads if engine.gpus else (*threads, ("CUDA_VISIBLE_DEVICES", ""))


@dataclass
class _Chunks:
    """The chunks of some jobs: those under way, and results that wait for their turn."""

    work: Work[Any, Any]
    jobs: Sequence[Any]
    engine: Engine
    unit: str
    per_chunk: int
    token: str = field(default_factory=lambda: uuid4().hex)
    sent: int = 0  # chunks
    pending: dict[int, None] = field(default_factory=dict)  # the numbers of those under way, in order
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

    def begin(self, link: Connection) -> None:
        """Say what is done, and have done again what was under way when an earlier connection was lost."""
        engine, root = self.engine, str(Path.cwd()) if self.engine.ship == "path" else ""
        place = Place(self.token, root, _cores(engine), "cuda" if engine.gpus else "cpu", versions())
        link.begin(self.token, pickle.dumps(place), pickle.dumps(self.work.there), engine.retries)
        for number in list(self.pending):
            self._run(link, number)

    def send(self, link: Connection, turn: int) -> None:
        """Have chunks done, as many beyond that whose turn it is as all workers need."""
        while self.sent < min(len(self), turn + AHEAD * max(1, link.workers) + 1):
            self.sent += 1
            self._run(link, self.sent - 1)

    def _run(self, link: Connection, number: int) -> None:
        self.pending[number] = None  # first, because it has to be done again if the connection is lost now
        link.run(self.token, number, pickle.dumps(self.work.pack(self.of(number))))

    def collect(self, link: Connection, progress: "tqdm[Any]") -> bool:
        """Wait for a chunk to end, and take what it gave; False if none has ended for a while."""
        answer = link.answer(self.token)
        if answer.kind == NOTHING:
            return False
        del self.pending[answer.number]
        if answer.kind == DONE:
            results = pickle.loads(answer.value)
            if isinstance(results, Exception):
                self.failed[answer.number] = results
            else:
                self.done[answer.number] = results
                progress.update(len(results))
        elif answer.kind == FAILED:
            self.failed[answer.number] = RuntimeError(answer.value)
        else:
            self.lost[answer.number] = _first_line(answer.value)
        return True


def spread(
    work: Work[J, R], jobs: Sequence[J], engine: Engine, unit: str, progress: "tqdm[Any]"
) -> Iterator[tuple[J, R]]:
    """Do the work on the cluster, see `mapping.mapped`.

    Raises:
        UserError: there is no cluster, its connection is lost again and again, or chunks were lost.
    """
    link = connect(engine)
    chunks = _Chunks(work, jobs, engine, unit, _per_chunk(len(jobs), work, max(1, link.workers)))
    turn = losses = 0
    begun = waiting = False
    try:
        while turn < len(chunks):
            try:
                if not begun:
                    chunks.begin(link)
                    begun = True
                chunks.send(link, turn)
                ended = chunks.collect(link, progress)
            except DisconnectedError as error:
                losses += 1
                link, begun = _again(error, losses, engine), False
                continue
            if not ended and not link.workers and not waiting:
                print(_waiting(engine), file=sys.stderr, flush=True)
                waiting = True
            while turn in chunks.done or turn in chunks.lost:
                yield from zip(chunks.of(turn), chunks.done.pop(turn, []), strict=turn not in chunks.lost)
                turn += 1
            if turn in chunks.failed:
                raise chunks.failed[turn]
    finally:
        link.forget(chunks.token)
    if chunks.lost:
        raise UserError(_lost(chunks, engine))


def _per_chunk(jobs: int, work: Work[Any, Any], workers: int) -> int:
    """How many jobs make a chunk: a multiple of the batch."""
    batches = min(-(-jobs // (EACH * workers * work.batch)), work.most // work.batch)
    return work.batch * max(1, batches)


def _waiting(engine: Engine) -> str:
    gpus = f" and {engine.gpus:g} GPUs (engine.gpus)" if engine.gpus else ""
    whence = "engine.cpus" if engine.cpus else "as many as torch has threads here, because engine.cpus is 0"
    return f"waiting for a node with {_cores(engine)} CPU cores ({whence}){gpus}: `ray status` lists the nodes"


def _again(error: DisconnectedError, losses: int, engine: Engine) -> Connection:
    """A new connection, after so many were lost.

    Raises:
        UserError: they are too many, or there is no cluster any more.
    """
    told = f"the connection to the cluster was lost, because its process {error}"
    if losses > engine.retries:
        raise UserError(
            f"{told}, after {engine.retries} retries (engine.retries). `ray status` tells whether this machine is "
            "still a node. Run the same command again"
        )
    try:
        return connect(engine)
    except UserError as refused:
        raise UserError(f"{told}; then {refused}. Run the same command again") from None


def _lost(chunks: _Chunks, engine: Engine) -> str:
    number, reason = min(chunks.lost.items())
    others = f"; so were {len(chunks.lost) - 1} other chunks" if len(chunks.lost) > 1 else ""
    return (
        f"{chunks.named(number)} were given up after {engine.retries} retries (engine.retries): "
        f"{reason}{others}. Run the same command again"
    )


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")
