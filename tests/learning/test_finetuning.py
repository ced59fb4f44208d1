"""Which parts of a backbone learn: known stages of real networks, by hand."""

from typing import Any

import pytest
import timm
import torch
from conftest import SMALL_TRAIN
from torch import nn

from finprint.base.errors import UserError
from finprint.learning import finetuning
from finprint.learning.finetuning import check_training, hold_norms, learning_rates, set_learning, stages
from finprint.learning.params import Finetune

NETWORKS = {"tf_efficientnet_lite0": 8, "convnext_atto": 5, "resnet18": 5, "vit_tiny_patch16_224": 13}


def _backbone(name: str = "tf_efficientnet_lite0") -> nn.Module:
    return timm.create_model(name, features_only=True, out_indices=(-2, -1))


def _finetune(**changes: Any) -> Finetune:
    plain = {"trainable": 1.0, "unfreeze": [], "layer_decay": 1.0, "hold_norms": False}
    return Finetune.model_validate(plain | changes)


def _learning(backbone: nn.Module) -> set[int]:
    """Stages that learn; each wholly or not at all."""
    of = stages(name for name, _ in backbone.named_parameters())
    learns: dict[int, set[bool]] = {}
    for name, parameter in backbone.named_parameters():
        learns.setdefault(of[name], set()).add(parameter.requires_grad)
    assert all(len(each) == 1 for each in learns.values())
    return {stage for stage, each in learns.items() if each == {True}}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_stages_of_networks_of_each_kind(name: str) -> None:
    of = stages(parameter for parameter, _ in _backbone(name).named_parameters())
    assert sorted(set(of.values())) == list(range(NETWORKS[name]))
    numbers = list(of.values())
    assert numbers == sorted(numbers)


def test_stages_by_hand() -> None:
    names = ["conv_stem.weight", "bn1.bias", "blocks.0.0.conv.weight", "blocks.1.0.bn.weight", "norm.weight"]
    assert list(stages(names).values()) == [0, 0, 1, 2, 2]
    assert list(stages(["stem_0.weight", "stages_0.x", "stages_1.x"]).values()) == [0, 1, 2]
    assert stages(["weight"]) == {"weight": 0}


def test_layers_learn_slower_towards_the_stem() -> None:
    backbone = _backbone("resnet18")
    rates = learning_rates(backbone, 0.5)
    assert rates["layer4.1.conv2.weight"] == 1.0
    assert rates["layer3.0.bn1.bias"] == 0.5
    assert rates["conv1.weight"] == rates["bn1.weight"] == 0.5**4
    assert set(learning_rates(backbone, 1.0).values()) == {1.0}


@pytest.mark.parametrize(
    ("changes", "epoch", "learning"),
    [
        ({}, 0, {0, 1, 2, 3, 4}),
        ({"trainable": 0.4}, 5, {3, 4}),
        ({"trainable": 0.0}, 5, set()),
        ({"unfreeze": [2, 4]}, 1, set()),
        ({"unfreeze": [2, 4]}, 2, {4}),
        ({"unfreeze": [2, 4]}, 3, {4}),
        ({"unfreeze": [2, 4]}, 4, {0, 1, 2, 3, 4}),
        ({"unfreeze": [0, 1, 2], "trainable": 0.6}, 9, {2, 3, 4}),
        ({"unfreeze": [1]}, 0, set()),
    ],
)
def test_unfreezing_from_the_head_backwards(changes: dict[str, Any], epoch: int, learning: set[int]) -> None:
    backbone = _backbone("resnet18")
    set_learning(backbone, _finetune(**changes), epoch)
    assert _learning(backbone) == learning


def test_epochs_that_go_down_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unfreeze is \[3, 1\]: the epochs go up, from the last stage to the first"):
        _finetune(unfreeze=[3, 1])


def test_norms_are_held() -> None:
    backbone = _backbone("resnet18").train()
    hold_norms(backbone)
    assert {type(m).__name__: m.training for m in backbone.modules()}["Conv2d"]
    assert not any(m.training for m in backbone.modules() if "BatchNorm" in type(m).__name__)


VIT = {"backbone": "vit_tiny_patch16_224", "image_size": 64}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            VIT | {"first_size": 32},
            "train.first_size: vit_tiny_patch16_224 takes views of one size alone: set it to 64, which is "
            "train.image_size",
        ),
        (
            {"backbone": "regnety_002", "finetune": _finetune(layer_decay=0.9)},
            "train.finetune: the stages of regnety_002 are not known: leave trainable, unfreeze, layer_decay",
        ),
        (
            {"backbone": "regnety_002", "finetune": _finetune(unfreeze=[0])},
            "train.finetune: the stages of regnety_002 are not known: leave trainable, unfreeze, layer_decay",
        ),
    ],
)
def test_what_a_backbone_cannot_do_is_known_without_a_training(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as caught:
        check_training(SMALL_TRAIN.model_copy(update=changes))
    assert str(caught.value) == complaint


def test_what_a_backbone_can_do_passes_and_leaves_chance_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    frozen = _finetune(trainable=0.0)
    for changes in (
        {"image_size": 64},  # a convolutional network grows
        {"finetune": _finetune(trainable=0.5, layer_decay=0.8)},
        VIT | {"first_size": 64},
        VIT | {"first_size": 32, "finetune": frozen},  # its features are of one size
    ):
        check_training(SMALL_TRAIN.model_copy(update=changes))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_is_built_only_where_the_params_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> nn.Module:
        raise AssertionError("these params ask nothing of the backbone")

    monkeypatch.setattr(finetuning, "create_backbone", never)
    check_training(SMALL_TRAIN)
    check_training(SMALL_TRAIN.model_copy(update={"backbone": "regnety_002"}))
