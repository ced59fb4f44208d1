"""What `finprint check` finds before any stage works."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from conftest import edited_params

from finprint.base.errors import UserError
from finprint.check import check_params

OURS = Path(__file__).parents[1] / "params.yaml"


def _check(folder: Path, **edits: Any) -> None:
    """Check the project's params with keys set, dots in them written as two underscores."""
    check_params(edited_params(folder, {key.replace("__", "."): value for key, value in edits.items()}))


def test_the_project_s_own_params(tmp_path: Path) -> None:
    shutil.copy(OURS, tmp_path)
    check_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        (
            {"train__backbone": "ResNet18", "train__weights": "package"},
            "train.backbone: timm has no ResNet18 (but resnet18",
        ),
        ({"train__backbone": "resnet18"}, "train.weights: packages have weights of tf_efficientnet_lite0"),
        (
            {"train__weights": "mine.safetensors"},
            "train.weights: mine.safetensors is neither package, hub, none nor a file",
        ),
        ({"train__continue_from": "models/old"}, "train.continue_from: models/old is no model folder"),
        ({"detector__network": "mine.pt"}, "detector.network: mine.pt is not on disk"),
        ({"detector__network": "yolov99.yaml"}, "detector.network: yolov99.yaml: "),
        (
            {"train__backbone": "vit_tiny_patch16_224", "train__weights": "none", "train__first_size": 96},
            "train.first_size: vit_tiny_patch16_224 takes views of one size alone: set it to 128",
        ),
        (
            {"train__backbone": "regnety_002", "train__weights": "none", "train__finetune__layer_decay": 0.9},
            "train.finetune: the stages of regnety_002 are not known",
        ),
    ],
)
def test_what_only_later_stages_would_find(tmp_path: Path, edits: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        _check(tmp_path, **edits)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_weights_of_another_backbone(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth does not fit resnet34"):
        _check(tmp_path, train__backbone="resnet34", train__weights=str(tmp_path / "other.pth"))
    _check(tmp_path, train__backbone="resnet18", train__weights=str(tmp_path / "other.pth"))


def test_a_detector_that_is_not_trained_need_not_be_there(tmp_path: Path) -> None:
    _check(tmp_path, detector__network="mine.pt", detector__enabled=False)


def test_chance_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    _check(tmp_path, train__backbone="vit_tiny_patch16_224", train__weights="none", train__first_size=128)
    assert torch.equal(torch.get_rng_state(), before)
