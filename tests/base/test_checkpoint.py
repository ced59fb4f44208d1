"""Checkpoints: kept, found again, and never those of other params, inputs or code."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import finprint
from finprint.base.checkpoint import Checkpoint

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
