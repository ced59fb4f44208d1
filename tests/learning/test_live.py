"""Curves of a training: TensorBoard reads what was watched, a resumed run's in the same place."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finprint.base.checkpoint import Checkpoint
from finprint.learning.live import curves, experiment, nobody


@pytest.mark.usefixtures("training_state")
def test_tensorboard_reads_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "slower")
    checkpoint = Checkpoint("train", {"lr": 1}, [], [])
    for steps in ((0, 10), (20,)):  # killed, and resumed under another name
        with curves(checkpoint) as watch:
            for step in steps:
                watch(step, {"loss": 9.0 - step / 10, "photos/s": 50.0})
        monkeypatch.setenv("DVC_EXP_NAME", "again")
    found = EventAccumulator(str(tmp_path / ".cache" / "live" / "slower" / "train")).Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(0, 9), (10, 8), (20, 7)]
    assert len(found.Scalars("photos/s")) == 3
    nobody(0, {"loss": 1.0})
    assert found.Tags()["scalars"] == ["loss", "photos/s"]


@pytest.mark.usefixtures("training_state")
def test_runs_are_named_by_experiment_and_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, stage, rate in (("slower", "train", 1), ("slower", "retrain", 1), ("faster", "train", 2)):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        with curves(Checkpoint(stage, {"lr": rate}, [], [])) as watch:
            watch(0, {"loss": 1.0})
    with curves(Checkpoint("train", {"lr": 3}, [], [])) as watch:  # other params under the same name
        watch(0, {"loss": 1.0})
    runs = {path.parent.relative_to(tmp_path / ".cache/live").as_posix() for path in tmp_path.rglob("events.*")}
    assert runs == {"slower/train", "slower/retrain", "faster/train", "faster/train-2"}


@pytest.mark.usefixtures("training_state")
def test_trainings_begun_together_take_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the trainings of a bench do, side by side: the first of them make the same folders."""
    begin = Barrier(4)

    def one(rate: int) -> None:
        checkpoint = Checkpoint("train", {"lr": rate}, [], [])
        begin.wait()
        with curves(checkpoint) as watch:
            watch(0, {"loss": 1.0})

    for turn in range(20):
        monkeypatch.setenv("DVC_EXP_NAME", f"turn{turn}")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(4 * turn, 4 * turn + 4)))
        runs = {path.name for path in (tmp_path / f".cache/live/turn{turn}").iterdir()}
        assert runs == {"train", "train-2", "train-3", "train-4"}


def test_without_an_experiment_the_branch_names_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert experiment() == "workspace"
    subprocess.run(["git", "init", "-q", "-b", "fins/left"], check=True)
    assert experiment() == "fins-left"
    monkeypatch.setenv("PATH", "")
    assert experiment() == "workspace"
