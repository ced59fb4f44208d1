"""Checkpoints: kept, found again, and never those of other params, inputs or code."""

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import finprint
from finprint.base.checkpoint import Checkpoint
from finprint.base.files import SEAL

PARAMS = {"lr": 0.1, "train": {"epochs": 3}}
ROOMS = ["base", "model"]


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    (tmp_path / "photos.parquet").write_bytes(b"photos")
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "0.tar").write_bytes(b"crops")
    return [tmp_path / "photos.parquet", tmp_path / "crops"]


def test_what_is_saved_is_loaded_until_it_is_cleared(inputs: list[Path]) -> None:
    checkpoint = Checkpoint("train", PARAMS, inputs, ROOMS)
    assert checkpoint.load() is None
    for epoch in (1, 2):
        checkpoint.save({"weights": {"w": torch.full((2,), epoch)}, "history": [{"epoch": epoch, "loss": 0.5}]})
    state = Checkpoint("train", PARAMS, inputs, ROOMS).load()
    assert state is not None
    assert state["weights"]["w"].tolist() == [2, 2]
    assert state["history"] == [{"epoch": 2, "loss": 0.5}]
    checkpoint.clear()
    assert Checkpoint("train", PARAMS, inputs, ROOMS).load() is None
    assert not checkpoint.folder.exists()
    checkpoint.clear()  # nothing there: nothing to do


def test_it_lies_under_the_projects_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Checkpoint("train", PARAMS, [], ROOMS).folder.parent == tmp_path / ".cache" / "checkpoints" / "train"
    monkeypatch.delenv("DVC_ROOT")
    assert Checkpoint("train", PARAMS, [], ROOMS).folder.parent == Path(".cache/checkpoints/train")


def test_the_order_of_keys_does_not_matter(inputs: list[Path]) -> None:
    turned = dict(reversed(PARAMS.items()))
    assert Checkpoint("train", turned, inputs, ROOMS).folder == Checkpoint("train", PARAMS, inputs, ROOMS).folder


@pytest.mark.parametrize(
    "params", [{**PARAMS, "lr": 0.2}, {**PARAMS, "train": {"epochs": 4}}, {**PARAMS, "more": 1}, {"lr": 0.1}]
)
def test_other_params_other_folder(inputs: list[Path], params: dict[str, Any]) -> None:
    Checkpoint("train", PARAMS, inputs, ROOMS).save({"epoch": 1})
    assert Checkpoint("train", params, inputs, ROOMS).load() is None
    assert Checkpoint("retrain", PARAMS, inputs, ROOMS).load() is None


@pytest.mark.parametrize("change", ["file", "in folder", "renamed", "added", "order"])
def test_other_inputs_other_folder(inputs: list[Path], change: str) -> None:
    Checkpoint("train", PARAMS, inputs, ROOMS).save({"epoch": 1})
    crops = inputs[1]
    if change == "file":
        inputs[0].write_bytes(b"Photos")
    elif change == "in folder":
        (crops / "0.tar").write_bytes(b"Crops")
    elif change == "renamed":
        (crops / "0.tar").rename(crops / "1.tar")
    elif change == "added":
        (crops / "1.tar").write_bytes(b"")
    else:
        inputs.reverse()
    assert Checkpoint("train", PARAMS, inputs, ROOMS).load() is None


def test_the_same_content_elsewhere_is_the_same(inputs: list[Path], tmp_path: Path) -> None:
    before = Checkpoint("train", PARAMS, inputs, ROOMS).folder
    moved = [path.rename(tmp_path / f"moved_{path.name}") for path in inputs]
    assert Checkpoint("train", PARAMS, moved, ROOMS).folder == before


def test_other_code_other_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Checkpoint("train", PARAMS, [], ROOMS).folder
    copy = tmp_path / "src" / "finprint"
    shutil.copytree(Path(finprint.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(finprint, "__file__", str(copy / "__init__.py"))
    assert Checkpoint("train", PARAMS, [], ROOMS).folder == before  # the same code elsewhere
    for module, counts in (("model/heads.py", True), ("base/files.py", True), ("report/plots.py", False)):
        text = (copy / module).read_text()
        (copy / module).write_text(text + "\n# changed\n")
        assert (Checkpoint("train", PARAMS, [], ROOMS).folder != before) == counts, module
        (copy / module).write_text(text)
        assert Checkpoint("train", PARAMS, [], ROOMS).folder == before


def test_a_room_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="has no room attic"):
        Checkpoint("train", PARAMS, [], ["attic"])


def test_other_threads_other_folder() -> None:
    """The number of threads decides how sums are split, and so the last bits of the weights."""
    before, threads = Checkpoint("train", PARAMS, [], ROOMS).folder, torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert Checkpoint("train", PARAMS, [], ROOMS).folder != before
    finally:
        torch.set_num_threads(threads)
    assert Checkpoint("train", PARAMS, [], ROOMS).folder == before


def test_the_last_finished_run_is_kept_and_those_under_way(inputs: list[Path]) -> None:
    runs = {name: Checkpoint("train", {"run": name}, inputs, ROOMS) for name in ("old", "under way", "new")}
    for run in runs.values():
        run.save({"history": []})
    runs["old"].finish()
    runs["new"].finish()
    assert {name: run.load() is not None for name, run in runs.items()} == {
        "old": False,
        "under way": True,
        "new": True,
    }
    runs["new"].finish()  # once more: nothing changes
    assert runs["new"].load() is not None


# -- under stress --


def _turned(content: bytes, place: int) -> bytes:
    turned = bytearray(content)
    turned[place] ^= 1
    return bytes(turned)


@pytest.mark.parametrize(
    "damage", ["cut", "half", "empty", "a bit", "the seal", "unsealed", "other content", "a folder"]
)
def test_a_damaged_state_is_as_good_as_none(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = Checkpoint("train", PARAMS, [], ROOMS)
    checkpoint.save({"weights": torch.arange(1000.0)})
    path = checkpoint.folder / "state.pt"
    content = path.read_bytes()
    if damage == "other content":
        torch.save(["nothing", "of", "mine"], path)
    elif damage != "a folder":
        path.write_bytes(
            {
                "cut": content[:-1],
                "half": content[: len(content) // 2],
                "empty": b"",
                "a bit": _turned(content, len(content) // 2),
                "the seal": _turned(content, -1),
                "unsealed": content[:-SEAL],
            }[damage]
        )
    else:
        path.unlink()
        path.mkdir()
    capsys.readouterr()
    assert checkpoint.load() is None
    told = capsys.readouterr().out
    assert told == f"{path} is damaged: what it held is made anew\n"
    checkpoint.save({"weights": torch.arange(5.0)})
    state = checkpoint.load()
    assert state is not None
    assert state["weights"].tolist() == [0, 1, 2, 3, 4]
    assert capsys.readouterr().out == ""


class Process:
    """Another process at work on a checkpoint: forked, which is faster than a start; it prints what it finds."""

    def __init__(self, work: Callable[[Checkpoint], None], **params: Any) -> None:
        reader, writer = os.pipe()
        self.id = os.fork()
        if self.id == 0:
            try:
                Checkpoint._locks = {}  # those are the parent's
                sys.stdout = os.fdopen(writer, "w", buffering=1)
                checkpoint = Checkpoint("train", params, [], [])
                state = checkpoint.load()
                print("found", state and state["epoch"])
                work(checkpoint)
            finally:
                os._exit(0)
        os.close(writer)
        self.told = os.fdopen(reader)

    def kill(self) -> None:
        """End it, however it stands."""
        os.kill(self.id, signal.SIGKILL)
        os.waitpid(self.id, 0)
        self.told.close()


def _saves_once(checkpoint: Checkpoint) -> None:
    checkpoint.save({"epoch": 3})
    print("saved")
    time.sleep(60)


def _saves(checkpoint: Checkpoint) -> None:
    for epoch in range(10**6):
        weights = torch.from_numpy(np.full(200_000, epoch))  # by numpy: torch's threads do not survive a fork
        checkpoint.save({"epoch": epoch, "weights": weights})


forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@forks
@pytest.mark.parametrize("end", ["finish", "clear", "dies"])
def test_a_second_process_waits_and_finds_what_the_first_one_left(end: str) -> None:
    first = None
    if end == "dies":
        first = Process(_saves_once, run=1)
        assert [first.told.readline() for _ in range(2)] == ["found None\n", "saved\n"]
    checkpoint = Checkpoint("train", {"run": 1}, [], [])
    if first is None:
        checkpoint.save({"epoch": 3})
    second, other = (Process(lambda _: None, run=run) for run in (1, 2))
    assert other.told.readline() == "found None\n"  # of another key: it does not wait
    message = f"another process does the same work ({checkpoint.folder}): waiting for its end\n"
    assert second.told.readline() == message
    if first is None:
        getattr(checkpoint, end)()
    else:
        first.kill()
    assert second.told.readline() == ("found None\n" if end == "clear" else "found 3\n")
    for process in (second, other):
        process.kill()


def test_a_finished_run_leaves_no_lock_behind() -> None:
    for end in ("finish", "clear"):
        checkpoint = Checkpoint("train", {"end": end}, [], [])
        checkpoint.save({})
        assert [path.suffix for path in checkpoint.folder.parent.iterdir() if path.is_file()] == [".lock"]
        getattr(checkpoint, end)()
        assert [path for path in checkpoint.folder.parent.iterdir() if path.is_file()] == []


@forks
def test_killed_at_the_very_write_of_a_state_another_one_whole_is_there() -> None:
    """Every run is killed while a draft is there, each one a little later in its write."""
    checkpoint, epoch = Checkpoint("train", {"run": "killed"}, [], []), None
    draft = checkpoint.folder / ".state.draft.pt"
    for kill in range(20):
        process = Process(_saves, run="killed")
        assert process.told.readline() == f"found {epoch}\n"
        while not (checkpoint.folder / "state.pt").exists() or not draft.exists():
            assert os.waitpid(process.id, os.WNOHANG) == (0, 0)
        time.sleep(kill * 0.0002)
        process.kill()
        state = checkpoint.load()
        assert state is not None
        epoch = state["epoch"]
        assert (state["weights"] == epoch).all()
        checkpoint._unlock()


def test_a_full_disk_leaves_the_last_state_and_is_named(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(small_disk))
    checkpoint = Checkpoint("train", PARAMS, [], ROOMS)
    checkpoint.save({"epoch": 1})
    with pytest.raises(OSError) as caught:  # noqa: PT011 - number and name are compared
        checkpoint.save({"epoch": 2, "weights": torch.zeros(2**20)})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(checkpoint.folder / "state.pt"))
    assert checkpoint.load() == {"epoch": 1}
    checkpoint.clear()


def test_a_clock_set_back_does_not_matter(inputs: list[Path]) -> None:
    """Nothing here is told by times: a state from the future, inputs from the past."""
    checkpoint = Checkpoint("train", PARAMS, inputs, ROOMS)
    checkpoint.save({"epoch": 1})
    os.utime(checkpoint.folder / "state.pt", (2e9, 2e9))
    os.utime(inputs[0], (0, 0))
    checkpoint.save({"epoch": 2})
    os.utime(checkpoint.folder / "state.pt", (0, 0))
    assert Checkpoint("train", PARAMS, inputs, ROOMS).load() == {"epoch": 2}
