"""Several processes that train one network: how they start, talk and end. Process 0 leads, the others help it.

The helpers are started by process 0, or all of them by torchrun. A helper does nothing but what process 0 asks it for:
it reads no params and writes no file.
"""

import ctypes
import io
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from finprint.base.device import cores, limit_cores
from finprint.base.errors import UserError

LIMIT = timedelta(minutes=10)  # for an answer while all processes work at the same
PATIENCE = timedelta(days=7)  # for process 0 while it alone works, on the validation for one
ENDING = 10.0  # seconds that a helper has to end by itself
HERE = "here"  # counts the helpers that run
DESERTED = 3  # exit code of a helper that ends because another process did
DIES_WITH_PARENT = 1  # Linux's PR_SET_PDEATHSIG


class LostError(Exception):
    """Another process does not answer any more."""


@dataclass
class Team:
    """The processes that train one network. Each makes the same calls in the same order.

    Attributes:
        rank: the number of this process, from 0.
        count: of processes.
    """

    rank: int = 0
    count: int = 1
    _patient: Any = None  # the group of all processes that waits long
    _helpers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def leads(self) -> bool:
        """Is this process 0, which validates, saves and tells?"""
        return self.rank == 0

    def ask(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have each helper call `function` with its team and these arguments; returns at once."""
        if self.count > 1:
            self._send((function, arguments))

    def dismiss(self) -> None:
        """Let the helpers end."""
        if self.count > 1:
            self._send(None)

    def help(self) -> None:
        """Do what process 0 asks for until it needs no more."""
        while (asked := self._send(None)) is not None:
            function, arguments = asked
            function(self, *arguments)

    def wait(self) -> None:
        """Wait until all processes are here, for as long as process 0 works alone."""
        if self.count > 1:
            with _answered():
                dist.barrier(group=self._patient)

    def agreed(self, value: Any) -> Any:
        """Process 0's `value`, in all processes."""
        return self._send(value) if self.count > 1 else value

    def add(self, rows: torch.Tensor) -> torch.Tensor:
        """The sum (L,) of the rows of all processes, added in their order, so that its bits do not depend on the count.

        Args:
            rows: (K, L) of this process. The next process has the next K rows.
        """
        if self.count == 1:
            return _sum(rows)
        count, length = len(rows), rows.shape[1]
        width = -(-length // self.count)  # each process adds so many columns, and tells all others
        sent = torch.nn.functional.pad(rows, (0, self.count * width - length)).view(count, self.count, width)
        sent = sent.transpose(0, 1).contiguous()
        columns, total = torch.empty_like(sent), sent.new_empty(self.count * width)
        with _answered():
            dist.all_to_all_single(columns, sent)
            dist.all_gather_into_tensor(total, _sum(columns.view(-1, width)))
        return total[:length]

    def _send(self, what: Any) -> Any:
        """What process 0 sends, which this call gives in all processes."""
        packed = io.BytesIO()
        if self.leads:
            torch.save(what, packed)
        box = [packed.getvalue()]
        with _answered():
            dist.broadcast_object_list(box, src=0, group=self._patient)
        if self.leads:
            return what
        # On the CPU, because what comes from process 0's GPU goes to another one. It holds classes, and is trusted.
        return torch.load(io.BytesIO(box[0]), map_location="cpu", weights_only=False)


ALONE = Team()
_torchrun: list[Team] = []  # that torchrun has started, for `team`


@contextmanager
def team(count: int, parts: int) -> Iterator[Team]:
    """The team that process 0 leads: the one that torchrun has started, or one of so many processes of this machine.

    Args:
        count: of processes, if torchrun has started none.
        parts: into which a step is cut; each process takes as many of them.

    Raises:
        UserError: the processes do not divide the parts, or there are more than GPUs. Or another process has ended or
            does not answer.
    """
    led = _torchrun[-1] if _torchrun else ALONE
    number = led.count if _torchrun else count
    if parts % number:
        raise UserError(f"{number} processes do not divide parts: {parts}")
    if led.count == number:
        with _told(led):
            yield led
        return
    _check_gpus(count)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a change of network ends no training
    store = TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False)
    helpers = [_start(rank, count, store.port) for rank in range(1, count)]
    try:
        with _told(Team(0, count, None, helpers)) as led:
            _wait_for(led, store)
            _join(led, store)
            yield led
            led.dismiss()
            dist.destroy_process_group()
    finally:
        for helper in helpers:
            helper.kill()  # it has nothing to save
            helper.wait()
        if dist.is_initialized() and not torch.cuda.is_available():  # GPUs would wait for the lost process
            dist.destroy_process_group()


def by_torchrun(app: Callable[[], Any]) -> Callable[[], None]:
    """What a process that torchrun has started does: process 0 runs `app`, the others help it."""
    led = Team(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))

    def lead() -> None:
        with _told(led):
            _join(led, None)
        _torchrun.append(led)
        try:
            app()
        except SystemExit as end:  # typer's, at the end of each command
            if end.code:
                raise
        finally:
            _torchrun.clear()
        with _told(led):
            led.dismiss()
        dist.destroy_process_group()

    return lead if led.leads else lambda: _help(led, None)


def help_here(rank: int, count: int, port: int) -> None:
    """What a process does that process 0 has started on this machine: it helps."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches process 0, too, which then ends this one
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    limit_cores(max(1, cores() // count))
    os.environ["LOCAL_RANK"] = str(rank)
    store = TCPStore("127.0.0.1", port, count, is_master=False)
    store.add(HERE, 1)
    _help(Team(rank, count), store)


def end_at_once(app: Callable[[], None]) -> NoReturn:
    """Call `app` and end this process with its exit code, without the orderly end: there, threads of torch that still
    listen to other processes abort it (signal 6), and the leader would tell that instead of what went wrong."""
    code: Any = 0
    try:
        app()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # what Python does at the orderly end
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _help(led: Team, store: Any) -> None:
    try:
        _join(led, store)
        led.help()
    except LostError:  # process 0 says why
        sys.exit(DESERTED)
    dist.destroy_process_group()


def _start(rank: int, count: int, port: int) -> "subprocess.Popen[bytes]":
    here = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    main = f"lambda: cli.guard(lambda: processes.help_here({rank}, {count}, {port}))"
    code = f"from finprint.base import cli, processes; cli.keep_memory(); processes.end_at_once({main})"
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=here, stdin=subprocess.DEVNULL)


def _wait_for(led: Team, store: Any) -> None:
    """Wait until all helpers run."""
    while store.add(HERE, 0) < len(led._helpers):
        if any(helper.poll() is not None for helper in led._helpers):
            raise LostError("a helper has ended")
        time.sleep(0.05)


def _join(led: Team, store: Any) -> None:
    """Meet the other processes: where `store` is, or where torchrun says."""
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    meeting = {"store": store, "rank": led.rank, "world_size": led.count} if store else {}
    with _answered():
        dist.init_process_group(backend, timeout=LIMIT, **meeting)
        led._patient = dist.new_group(backend="gloo", timeout=PATIENCE)


def _check_gpus(count: int) -> None:
    there = torch.cuda.device_count()
    if torch.cuda.is_available() and count > there:
        raise UserError(f"engine.processes is {count}, but each needs a GPU of its own and this machine has {there}")


def _sum(rows: torch.Tensor) -> torch.Tensor:
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total


@contextmanager
def _answered() -> Iterator[None]:
    """Turn what torch raises where another process does not answer into `LostError`."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # dist.DistError is one
        raise LostError(str(error)) from error


@contextmanager
def _told(led: Team) -> Iterator[Team]:
    """Say in one line which process was lost."""
    try:
        yield led
    except LostError as error:
        _blame(led, error)


def _blame(led: Team, error: LostError) -> NoReturn:
    again = "Run the same command again to go on from the last finished epoch"
    until = time.monotonic() + ENDING
    while led._helpers and time.monotonic() < until:
        for rank, helper in enumerate(led._helpers, start=1):
            code = helper.poll()
            if code == 2:  # it has said why itself, as `guard` does
                raise SystemExit(2) from error
            if code not in (None, DESERTED):
                reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                raise UserError(f"process {rank} of this training {reason}. {again}") from error
        time.sleep(0.05)
    reason = str(error).partition("\n")[0]
    raise UserError(f"another process of this training has ended or does not answer ({reason}). {again}") from error
