"""The connection to a Ray cluster, which a process of its own holds.

Ray ends the process that is connected, at once and without a word, when the node that it is connected to is lost. So
the process that needs the work starts another one, which is connected for it. They talk through a pipe, see `serve`.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection as End
from pathlib import Path
from typing import Any

import finprint

PATIENCE = 10.0  # seconds without a result after which it is looked whether there is a node at all
ENDING = 10.0  # seconds that the other process has to end by itself
DONE, FAILED, LOST, NOTHING = "done", "failed", "lost", "nothing"  # what became of a chunk; nothing has become of any


class LostError(Exception):
    """The process that was connected has ended."""


class RefusedError(Exception):
    """The cluster cannot be used.

    Attributes:
        heard: what Ray wrote to standard error.
    """

    def __init__(self, reason: str, heard: bytes) -> None:
        super().__init__(reason)
        self.heard = heard


@dataclass(frozen=True)
class Terms:
    """What a connection is made with.

    Attributes:
        address: of the cluster, HOST:PORT or `auto`.
        cpus: cores that a worker needs.
        gpus: GPUs that a worker needs.
        retries: of a chunk whose worker had too little memory.
        variables: the environment of the workers.
    """

    address: str
    cpus: int
    gpus: float
    retries: int = field(compare=False)
    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What became of a chunk.

    Attributes:
        token: of its work.
        number: of the chunk.
        kind: `DONE`, `FAILED` (the work itself raised an exception), `LOST` (a node or a worker was lost more often
            than is tried again) or `NOTHING` (no chunk has ended for a while).
        value: the pickled results, the pickled exception, or why it was lost.
        workers: how many of them the nodes have room for now.
    """

    token: str
    number: int
    kind: str
    value: Any
    workers: int


class Connection:
    """This process's side.

    Attributes:
        terms: it was made with.
        workers: how many of them the nodes had room for when they last told.

    Raises:
        RefusedError: there is no such cluster, or it has another token.
        LostError: the other process ended before it was connected.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._heard = tempfile.TemporaryFile()  # noqa: SIM115
        self._end, theirs = Pipe()
        code = f"from finprint.engine import connection; connection.serve({theirs.fileno()})"
        # A chunk that needs too much memory is not tried for ever.
        defaults = {"RAY_task_oom_retries": str(terms.retries), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        here = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=defaults | os.environ | here,
            stdin=subprocess.DEVNULL,
            stdout=self._heard,
            stderr=self._heard,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._send(terms)
        told = self._receive()
        if isinstance(told, str):
            self._heard.seek(0)
            heard = self._heard.read()
            self.close()
            raise RefusedError(told, heard)
        self.workers: int = told

    @property
    def alive(self) -> bool:
        """Has it not been lost?"""
        return self.process.poll() is None

    def begin(self, token: str, place: bytes, there: bytes, retries: int) -> None:
        """Say what is done with the chunks that follow.

        Args:
            token: of the work.
            place: a pickled `worker.Place`.
            there: a pickled `Work.there`.
            retries: of a chunk.

        Raises:
            LostError: the other process has ended.
        """
        self._send(("begin", token, place, there, retries))

    def run(self, number: int, jobs: bytes) -> None:
        """Have the pickled jobs of a chunk done.

        Raises:
            LostError: the other process has ended.
        """
        self._send(("run", number, jobs))

    def answer(self, token: str) -> Answer:
        """Wait until a chunk of this work ends, or `PATIENCE` is over.

        Raises:
            LostError: the other process has ended.
        """
        while True:
            answer: Answer = self._receive()
            self.workers = answer.workers
            if answer.token == token:
                return answer

    def forget(self) -> None:
        """End the chunks that are under way."""
        with suppress(LostError):
            self._send(("forget",))

    def close(self) -> None:
        """End the other process, and all that it asked the cluster for."""
        self._end.close()
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._heard.close()

    def _send(self, what: Any) -> None:
        try:
            self._end.send(what)
        except OSError as error:
            raise self._lost() from error

    def _receive(self) -> Any:
        try:
            return self._end.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> LostError:
        self.close()
        code = self.process.returncode
        return LostError(f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}")


def serve(descriptor: int) -> None:
    """What the other process does: it is connected, and does what it is asked for until the pipe is closed.

    Args:
        descriptor: of its end of the pipe. `Terms` come first; it answers with the number of workers, or says why it is
            not connected. Then come the calls of `Connection`, and it gives `Answer`s.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the asking process, too, which then closes the pipe
    end = End(descriptor)
    with suppress(EOFError, OSError):  # the pipe is closed
        _Server(end).serve()


class _Server:
    """The other process's side: it handles pickled bytes and imports nothing but Ray."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._terms: Terms = end.recv()
        self._running: dict[int, Any] = {}  # number of a chunk under way -> Ray's reference to it
        self._ended: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._token = ""

    def serve(self) -> None:
        import ray

        self._ray = ray
        # The code travels: that of this checkout runs on all nodes.
        code = {"py_modules": [str(Path(finprint.__file__).parent)], "excludes": ["__pycache__"]}
        environment = code | {"env_vars": dict(self._terms.variables)}
        try:
            ray.init(self._terms.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        except Exception as error:  # the asking process finds the words
            sys.stderr.flush()
            self._end.send(f"{type(error).__name__}: {error}")
            return
        self._end.send(self._workers())
        threading.Thread(target=self._tell, daemon=True).start()
        calls: dict[str, Callable[..., None]] = {"begin": self._begin, "run": self._run, "forget": self._forget}
        while True:
            call, *given = self._end.recv()
            calls[call](*given)

    def _begin(self, token: str, place: bytes, there: bytes, retries: int) -> None:
        self._token = token
        # With max_calls 0, a worker with a GPU keeps its network from chunk to chunk.
        options = {"num_cpus": self._terms.cpus, "num_gpus": self._terms.gpus, "max_retries": retries, "max_calls": 0}
        remote = self._ray.remote(**options, scheduling_strategy="SPREAD")(_chunk)
        self._run_one = partial(remote.remote, place, [self._ray.put(there)])

    def _run(self, number: int, jobs: bytes) -> None:
        reference = self._running[number] = self._run_one(jobs)
        token = self._token
        reference.future().add_done_callback(lambda future: self._ended.put((token, number, future)))

    def _forget(self) -> None:
        self._token = ""
        running = list(self._running.values())
        self._running.clear()
        for reference in running:
            self._ray.cancel(reference, force=True)

    def _tell(self) -> None:
        """Tell what has ended, as long as anybody listens."""
        with suppress(OSError):
            while True:
                try:
                    token, number, future = self._ended.get(timeout=PATIENCE)
                except queue.Empty:
                    self._end.send(Answer(self._token, -1, NOTHING, None, self._workers()))
                    continue
                if token == self._token:
                    self._running.pop(number, None)
                    self._end.send(Answer(token, number, *self._outcome(future), self._workers()))

    def _outcome(self, future: Any) -> tuple[str, Any]:
        exceptions = self._ray.exceptions
        try:
            return DONE, future.result()
        except exceptions.RayTaskError as error:
            return FAILED, _pickled(error.cause, str(error))
        except exceptions.RayError as error:
            return LOST, str(error) or repr(error)

    def _workers(self) -> int:
        """How many workers the nodes have room for now.

        This process ends if its own node is lost, because Ray would notice that only at the next large object.
        """
        count, own = 0, self._ray.get_runtime_context().get_node_id()
        for node in self._ray.nodes():
            if node["Alive"]:
                has, terms = node["Resources"], self._terms
                gpus = [has.get("GPU", 0) / terms.gpus] if terms.gpus else []
                count += int(min([has.get("CPU", 0) / terms.cpus, *gpus]))
            elif node["NodeID"] == own:
                os._exit(1)
        return count


def _pickled(error: Exception, where: str) -> bytes:
    """An exception's bytes; the other side shows where on the cluster it was raised."""
    try:
        error.add_note(where)
        packed = pickle.dumps(error)
        pickle.loads(packed)
    except Exception:  # it cannot travel
        return pickle.dumps(RuntimeError(where))
    return packed


def _chunk(place: bytes, there: list[Any], jobs: bytes) -> bytes:
    """What a worker calls; its own imports would take long in the process that only asks."""
    from finprint.engine.worker import run_chunk

    return run_chunk(place, there, jobs)
