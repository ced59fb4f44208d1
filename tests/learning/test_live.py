"""Curves of a training: TensorBoard reads what was watched, a resumed run's in the same place."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finprint.base.checkpoint import Checkpoint
from finprint.learning.live import curves, nobody


@pytest.mark.usefixtures("training_state")
def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    checkpoint = Checkpoint("train", {"lr": 1}, [], [])
    for steps in ((0, 10), (20,)):  # killed, and resumed
        with curves(checkpoint) as watch:
            for step in steps:
                watch(step, {"loss": 9.0 - step / 10, "photos/s": 50.0})
    folder = tmp_path / ".cache" / "live" / "train" / checkpoint.folder.name
    found = EventAccumulator(str(folder)).Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(0, 9), (10, 8), (20, 7)]
    assert len(found.Scalars("photos/s")) == 3
    nobody(0, {"loss": 1.0})
    assert found.Tags()["scalars"] == ["loss", "photos/s"]
