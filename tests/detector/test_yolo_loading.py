"""No code from data: hostile weights, architectures and model folders, which would touch a file, do not."""

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from finprint.base.errors import UserError
from finprint.base.files import write_json
from finprint.detector.loading import load_yolo, ultralytics_yolo
from finprint.detector.yolo import CONFIG, WEIGHTS, TrainedDetector, save_detector


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        yield


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a detector that is as it should be, though untrained."""
    folder = tmp_path_factory.mktemp("plain") / "detector"
    save_detector(folder, load_yolo("yolov5n.yaml", "test"), 64)
    return folder


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a hostile file would make."""
    return tmp_path / "mark"


class Calls:
    """Pickled, it is a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


ARCHITECTURE = """
nc: 1
{more}
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, {layer}, [{value}]]
head:
  - [[1, 2, 3], 1, Detect, [nc]]
"""


def _architecture(path: Path, more: str = "", layer: str = "Conv", value: str = "8, 3, 2") -> Path:
    path.write_text(ARCHITECTURE.format(more=more, layer=layer, value=value))
    return path


def _touch(mark: Path) -> str:
    return f"__import__('pathlib').Path('{mark}').touch()"


def _refused(source: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_yolo(source, "detector.network")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"detector.network: {source}: ")


def _weights(kind: str, mark: Path, plain: Path) -> Any:
    """A checkpoint that is hostile in one place."""
    from ultralytics.nn.tasks import DetectionModel

    good = load_yolo(plain / WEIGHTS, "test").model
    if kind == "system":
        return {"model": Calls(os.system, f"touch {mark}")}
    if kind == "eval":
        return {"model": Calls(eval, _touch(mark))}
    if kind == "exec in a list":
        return {"model": good, "train_args": [Calls(exec, _touch(mark))]}
    if kind == "open":
        return {"model": good, "date": Calls(open, str(mark), "w")}
    if kind == "subprocess":
        return {"model": good, "ema": Calls(subprocess.Popen, ["touch", str(mark)])}
    if kind == "a layer's hook":
        good._forward_hooks[0] = Calls(getattr, Calls(__import__, "os"), "system")
        return {"model": good}
    if kind == "no dict":
        return Calls(os.system, f"touch {mark}")
    assert kind == "an architecture inside"  # made by a class that is allowed, from one with an expression
    return {"model": Calls(DetectionModel, good.yaml | {"activation": _touch(mark)})}


HOSTILE = {
    "system": "it asks for posix.system, which",
    "eval": "it asks for eval, which",
    "exec in a list": "it asks for exec, which",
    "open": "it asks for io.open, which",
    "subprocess": "it asks for commands.Popen, which",
    "a layer's hook": "it asks for __import__, which",
    "no dict": "it asks for posix.system, which",
    "an architecture inside": "unsupported activation",
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("way", ["torch.save", "pickle"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_weights_run_nothing(kind: str, way: str, mark: Path, plain: Path, tmp_path: Path) -> None:
    source, content = tmp_path / "x.pt", _weights(kind, mark, plain)
    if way == "torch.save":
        torch.save(content, source)
    else:
        source.write_bytes(pickle.dumps(content, protocol=2))
    reason = _refused(source)
    assert not mark.exists()
    if way == "torch.save" or kind == "system":
        assert reason.startswith(HOSTILE[kind])


def test_the_hostile_weights_are_hostile(mark: Path, plain: Path, tmp_path: Path) -> None:
    """The control: loaded without care, they do run."""
    source = tmp_path / "x.pt"
    for kind in ("system", "eval", "exec in a list", "no dict"):
        torch.save(_weights(kind, mark, plain), source)
        torch.load(source, weights_only=False)
        assert mark.exists(), kind
        mark.unlink()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("activation", "unsupported activation"),
        ("layer", "ultralytics has no layer "),
        ("function", "module "),
        ("value", ""),
        ("torch", "module '"),
    ],
)
def test_hostile_architectures_run_nothing(change: str, complaint: str, mark: Path, tmp_path: Path) -> None:
    hostile = {
        "activation": {"more": f"activation: {_touch(mark)}"},
        "layer": {"layer": f'"{_touch(mark)}"'},
        "function": {"layer": "torch_safe_load", "value": str(mark)},  # a name of the module, but no layer
        "value": {"value": f'8, "{_touch(mark)}", 2'},
        "torch": {"layer": "nn.init", "value": "1"},
    }[change]
    reason = _refused(_architecture(tmp_path / "x.yaml", **hostile))
    assert not mark.exists()
    assert reason.startswith(complaint)


def test_a_tag_in_an_architecture_runs_nothing(mark: Path, tmp_path: Path) -> None:
    path = _architecture(tmp_path / "x.yaml", f"more: !!python/object/apply:os.system ['touch {mark}']")
    _refused(path)
    assert not mark.exists()


def test_a_plain_architecture_is_made_with_its_activation(tmp_path: Path) -> None:
    yolo = load_yolo(_architecture(tmp_path / "x.yaml", "activation: torch.nn.LeakyReLU(0.1)"), "test")
    assert isinstance(yolo.model.model[0].act, torch.nn.LeakyReLU)
    assert yolo.model.model[0].act.negative_slope == 0.1


def test_hostile_weights_in_a_model_folder_run_nothing(mark: Path, plain: Path, tmp_path: Path) -> None:
    folder = tmp_path / "detector"
    folder.mkdir()
    write_json(folder / CONFIG, {"enabled": True, "parts": ["body"], "image_size": 64})
    torch.save(_weights("system", mark, plain), folder / WEIGHTS)
    with pytest.raises(UserError) as caught:
        TrainedDetector(folder)
    assert not mark.exists()
    assert str(caught.value).startswith(
        f"{folder} holds no detector of this project: {folder / WEIGHTS}: it asks for posix.system"
    )


def test_the_architecture_in_weights_is_made_anew_without_running_it(mark: Path, plain: Path, tmp_path: Path) -> None:
    """A training makes the network again from what its weights say of the architecture."""
    network = load_yolo(plain / WEIGHTS, "test").model
    network.yaml["activation"] = _touch(mark)
    torch.save({"model": network, "train_args": {}}, tmp_path / "x.pt")
    yolo = load_yolo(tmp_path / "x.pt", "test")  # the expression is a text so far
    from ultralytics.models.yolo.detect import DetectionTrainer

    trainer = DetectionTrainer.__new__(DetectionTrainer)
    trainer.data = {"nc": 1, "channels": 3}
    with pytest.raises(TypeError, match="unsupported activation"):
        trainer.get_model(cfg=yolo.model.yaml, weights=yolo.model, verbose=False)
    assert not mark.exists()


def test_weights_of_an_unknown_layer_are_refused_with_a_way_to_convert_them(plain: Path, tmp_path: Path) -> None:
    """The way is tried: what comes out of it is loaded, with the same weights."""
    (tmp_path / "theirs.py").write_text("import torch\n\nclass Extra(torch.nn.Module):\n    pass\n")
    code = (
        "import torch, sys; from ultralytics import YOLO; from theirs import Extra; "
        "m = YOLO(sys.argv[1]).model; m.extra = Extra(); torch.save({'model': m, 'train_args': {}}, 'own.pt')"
    )
    env = os.environ | {"ULTRALYTICS_SAFE_LOAD": "false", "PYTHONPATH": str(tmp_path), "YOLO_OFFLINE": "true"}
    subprocess.run([sys.executable, "-c", code, str(plain / WEIGHTS)], cwd=tmp_path, env=env, check=True)
    reason = _refused(tmp_path / "own.pt")
    assert reason.startswith("it asks for theirs.Extra, which is no known layer and could run anything")
    (recipe,) = re.findall(r'python -c "(.*)"$', reason)
    subprocess.run([sys.executable, "-c", recipe], cwd=tmp_path, env=env, check=True)
    converted = load_yolo(tmp_path / "plain.pt", "test").model.state_dict()
    wanted = load_yolo(plain / WEIGHTS, "test").model.state_dict()
    assert list(converted) == list(wanted)
    assert all(torch.equal(converted[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 half of an archive"])
def test_damaged_weights_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    assert _refused(tmp_path / "x.pt")


def test_a_file_of_other_content_holds_no_detector(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "x.pt")
    with pytest.raises(UserError):
        load_yolo(tmp_path / "x.pt", "detector.network")


def test_an_ultralytics_that_would_run_code_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ultralytics_yolo()
    from ultralytics.nn import tasks

    monkeypatch.delattr(tasks, "SAFE_LOAD")
    with pytest.raises(UserError, match="install a newer one"):
        ultralytics_yolo()
