"""The connection to a Ray cluster, which a process of its own holds.

Ray ends the process that is connected, at once and without a word, when the node that it is connected to is lost. So
the process that needs the work starts another one, which is connected for it. They talk through a pipe, see `serve`.
"""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection as PipeEnd
from pathlib import Path
from typing import Any

import finprint

PATIENCE = 10.0  # seconds without a result after which the connected process checks that its node still lives
ENDING = 10.0  # seconds that the connected process has to end by itself
DONE, FAILED, LOST, NOTHING = "done", "failed", "lost", "nothing"  # the kinds of an answer


class DisconnectedError(Exception):
    """The process that was connected has ended; says how."""


class RefusedError(Exception):
    """The cluster cannot be used.

    Attributes:
        kind: the name of what Ray raised.
        reason: what it said.
        heard: what Ray wrote to standard error.
    """

    def __init__(self, kind: str, reason: str, heard: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
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
        kind: `DONE`, `FAILED` (it could not be begun), `LOST` (a node or a worker was lost more often than is tried
            again) or `NOTHING` (no chunk has ended for a while).
        value: the bytes that `worker.run_chunk` gave, or what went wrong, as text.
        workers: how many of them the nodes have room for now.
    """

    token: str
    number: int
    kind: str
    value: Any
    workers: int


class Connection:
    """The asking process's side of the pipe.

    Several works may be under way at the same time; each has a token of its own.

    Attributes:
        terms: it was made with.
        workers: how many of them the nodes had room for at the last answer.
        process: the one that is connected.

    Raises:
        RefusedError: there is no such cluster, or it has another token.
        DisconnectedError: the other process ended before it was connected.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._waiting: dict[str, deque[Answer]] = {}  # answers that came while another work's was waited for
        self._heard = tempfile.TemporaryFile()  # noqa: SIM115
        self._pipe, theirs = Pipe()
        code = f"from finprint.engine import connection; connection.serve({theirs.fileno()}, {os.getpid()})"
        # A chunk that needs too much memory is not tried for ever.
        defaults = {"RAY_task_oom_retries": str(terms.retries), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        here = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code],  # -P: modules of the current folder are not imported
            env=defaults | os.environ | here,
            stdin=subprocess.DEVNULL,
            stdout=self._heard,
            stderr=self._heard,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._send(terms)
        answer = self._receive()
        if not isinstance(answer, int):
            kind, reason = answer
            raise RefusedError(kind, reason, self.close())
        self.workers: int = answer

    @property
    def alive(self) -> bool:
        """Does the process that is connected run?"""
        return self.process.poll() is None

    def begin(self, token: str, place: bytes, there: bytes, retries: int) -> None:
        """Say what is done with the chunks of a work.

        Args:
            token: of the work.
            place: a pickled `worker.Place`.
            there: a pickled `Work.there`.
            retries: of a chunk.

        Raises:
            DisconnectedError: the other process has ended.
        """
        self._waiting[token] = deque()
        self._send(("begin", token, place, there, retries))

    def run(self, token: str, number: int, jobs: bytes) -> None:
        """Have the pickled jobs of a chunk done.

        Raises:
            DisconnectedError: the other process has ended.
        """
        self._send(("run", token, number, jobs))

    def answer(self, token: str) -> Answer:
        """Wait until a chunk of this work ends, or `PATIENCE` is over.

        Raises:
            DisconnectedError: the other process has ended.
        """
        while not self._waiting[token]:
            answer: Answer = self._receive()
            self.workers = answer.workers
            if answer.kind == NOTHING:
                return answer
            if answer.token in self._waiting:
                self._waiting[answer.token].append(answer)
        return self._waiting[token].popleft()

    def forget(self, token: str) -> None:
        """End the chunks of this work that are under way."""
        if self._waiting.pop(token, None) is not None:
            with suppress(DisconnectedError):
                self._send(("forget", token))

    def close(self) -> str:
        """End the other process and all that it asked the cluster for; what it has written to standard error."""
        if self._heard.closed:
            return ""
        self._pipe.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(ENDING)
        finally:
            self.process.kill()  # does nothing if it has ended
            self.process.wait()
            self._heard.seek(0)
            heard = self._heard.read().decode(errors="replace")
            self._heard.close()
        return heard

    def _send(self, what: Any) -> None:
        try:
            self._pipe.send(what)
        except OSError as error:
            raise self._disconnected() from error
        except BaseException:  # half a message is under way
            self.close()
            raise

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._disconnected() from error
        except BaseException:
            self.close()
            raise

    def _disconnected(self) -> DisconnectedError:
        last = self.close().strip().rpartition("\n")[2]
        code = self.process.returncode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return DisconnectedError(f"{how}: {last}" if last else how)


def serve(descriptor: int, asking: int) -> None:
    """What the other process does: it is connected, and does what it is asked for until the pipe is closed.

    Args:
        descriptor: of its end of the pipe. `Terms` come first; it answers with the number of workers, or with what Ray
            raised: the name and the text. Then come the calls of `Connection`, and it gives `Answer`s.
        asking: the number of the process that asks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the asking process, too, which then closes the pipe
    threading.Thread(target=_end_with, args=(asking,), daemon=True).start()
    _Server(PipeEnd(descriptor)).serve()


def _end_with(asking: int) -> None:
    """End this process soon after the one that asks, whatever Ray waits for."""
    while os.getppid() == asking:
        time.sleep(1)
    time.sleep(ENDING)
    os._exit(1)


class _Server:
    """The connected process's side of the pipe: it handles pickled bytes and imports nothing but Ray."""

    def __init__(self, pipe: PipeEnd) -> None:
        self._pipe = pipe
        self._terms: Terms = pipe.recv()
        self._works: dict[str, Callable[[bytes], Any]] = {}  # by token: gives Ray's reference to a chunk's results
        self._running: dict[tuple[str, int], Any] = {}  # token and number of a chunk under way -> the reference
        self._ended: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()

    def serve(self) -> None:
        # The code travels: that of this checkout runs on all nodes.
        code = {"py_modules": [str(Path(finprint.__file__).parent)], "excludes": ["__pycache__"]}
        environment = code | {"env_vars": dict(self._terms.variables)}
        try:
            import ray

            self._ray = ray
            ray.init(self._terms.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        except Exception as error:  # the asking process finds the words
            self._pipe.send((type(error).__name__, str(error)))
            return
        self._pipe.send(self._workers(self._living()))
        threading.Thread(target=self._tell, daemon=True).start()
        calls: dict[str, Callable[..., None]] = {"begin": self._begin, "run": self._run, "forget": self._forget}
        while True:
            try:
                call, *given = self._pipe.recv()
            except (EOFError, OSError):  # the pipe is closed
                return
            calls[call](*given)
            del given  # it may be large

    def _begin(self, token: str, place: bytes, there: bytes, retries: int) -> None:
        # With max_calls 0, a worker with a GPU keeps its network from chunk to chunk.
        options = {"num_cpus": self._terms.cpus, "num_gpus": self._terms.gpus, "max_retries": retries, "max_calls": 0}
        remote = self._ray.remote(**options, scheduling_strategy="SPREAD")(_chunk)
        self._works[token] = partial(remote.remote, place, [self._ray.put(there)])

    def _run(self, token: str, number: int, jobs: bytes) -> None:
        reference = self._running[token, number] = self._works[token](jobs)
        reference.future().add_done_callback(lambda future: self._ended.put((token, number, future)))

    def _forget(self, token: str) -> None:
        self._works.pop(token, None)
        for key in [key for key in list(self._running) if key[0] == token]:
            if (reference := self._running.pop(key, None)) is not None:
                self._ray.cancel(reference, force=True)

    def _tell(self) -> None:
        """Tell what has ended. If it cannot be told, this process ends, because the other one would wait for ever."""
        try:
            while True:
                self._tell_one()
        except (BrokenPipeError, ConnectionResetError):
            pass  # nobody listens; `serve` ends. Ray's own ConnectionError is none of these
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def _tell_one(self) -> None:
        try:
            token, number, future = self._ended.get(timeout=PATIENCE)
        except queue.Empty:
            nodes = self._living()
            if self._running:
                self._pipe.send(Answer("", -1, NOTHING, None, self._workers(nodes)))
            return
        self._running.pop((token, number), None)
        kind, value = self._outcome(future)
        nodes = self._living()  # after the outcome, which is no chunk's fault if this node is lost
        if token in self._works:
            self._pipe.send(Answer(token, number, kind, value, self._workers(nodes)))

    def _outcome(self, future: Any) -> tuple[str, Any]:
        exceptions = self._ray.exceptions
        try:
            return DONE, future.result()
        except exceptions.RayTaskError as error:
            return FAILED, str(error)
        except exceptions.RayError as error:
            return LOST, str(error) or repr(error)

    def _living(self) -> list[dict[str, Any]]:
        """The nodes that live. This process ends if its own does not; Ray sees that only at the next large object."""
        nodes = self._ray.nodes()
        own = self._ray.get_runtime_context().get_node_id()
        if any(node["NodeID"] == own and not node["Alive"] for node in nodes):
            print("its node is lost", file=sys.stderr, flush=True)
            os._exit(1)
        return [node for node in nodes if node["Alive"]]

    def _workers(self, nodes: list[dict[str, Any]]) -> int:
        """How many workers the nodes have room for."""
        count, terms = 0, self._terms
        for has in (node["Resources"] for node in nodes):
            gpus = [has.get("GPU", 0) / terms.gpus] if terms.gpus else []
            count += int(min([has.get("CPU", 0) / terms.cpus, *gpus]))
        return count


def _chunk(place: bytes, there: list[Any], jobs: bytes) -> bytes:
    """What a worker calls; its own imports would take long in the process that only asks."""
    from finprint.engine.worker import run_chunk

    return run_chunk(place, there, jobs)
