"""Which stages of a pretrained backbone learn, when, and how fast."""

import re
from collections.abc import Iterable

import torch
from torch import nn

from finprint.base.errors import UserError
from finprint.learning.params import Finetune, Training
from finprint.model.backbone import create_backbone
from finprint.model.hub import origin

# What timm calls the stages of its networks: blocks.3, stages_1, layers_2, layer4, model.blocks.11.
STAGE = re.compile(r"(?:model\.)?(?:blocks\.|stages[_.]|layers[_.]|layer)(\d+)\.")


def stages(names: Iterable[str]) -> dict[str, int]:
    """The stage of each parameter of a timm backbone: 0 is the stem, the last one lies next to the head.

    Parameters behind the last stage (a final norm) belong to it.
    """
    numbers: dict[str, int] = {}
    now = 0
    for name in names:
        match = STAGE.match(name)
        now = int(match.group(1)) + 1 if match else now
        numbers[name] = now
    ranks = {number: rank for rank, number in enumerate(sorted({0, *numbers.values()}))}
    return {name: ranks[number] for name, number in numbers.items()}


def learning_rates(backbone: nn.Module, layer_decay: float) -> dict[str, float]:
    """The learning rate of each parameter as a share of the last stage's: `layer_decay` to the power of its distance.

    Layer-wise decay: Clark et al., ELECTRA (ICLR 2020); Bao et al., BEiT (ICLR 2022).
    """
    of = stages(name for name, _ in backbone.named_parameters())
    last = max(of.values(), default=0)
    return {name: layer_decay ** (last - stage) for name, stage in of.items()}


def is_frozen(train: Training) -> bool:
    """Whether no stage of the backbone learns, so that its features can be kept.

    The feature maps of four turns are too many to keep. A fusion that learns nothing can pool them before.
    """
    return train.finetune.trainable == 0 and not (train.cyclic and train.fusion == "dolg")


def set_learning(backbone: nn.Module, finetune: Finetune, epoch: int) -> None:
    """Switch the gradients of a backbone's parameters on or off, for this epoch.

    Only the share `trainable` of the stages, counted from the head, learns at all. `unfreeze` says when: with [2, 4] no
    stage learns in the epochs 0 and 1, the last one learns from epoch 2, the one before it and all others from epoch 4.

    Args:
        backbone: of timm.
        finetune: the section `train.finetune`.
        epoch: from 0.
    """
    of = stages(name for name, _ in backbone.named_parameters())
    count = max(of.values(), default=0) + 1
    first = count - round(finetune.trainable * count)  # stages before it never learn
    for name, parameter in backbone.named_parameters():
        behind = count - 1 - of[name]  # stages between it and the head
        starts = finetune.unfreeze[min(behind, len(finetune.unfreeze) - 1)] if finetune.unfreeze else 0
        parameter.requires_grad_(of[name] >= first and epoch >= starts)


def check_training(train: Training) -> None:
    """Refuse what the backbone cannot do, before any stage works: fine-tuning by stages, views that grow.

    Only where the params ask for either, a network with random weights is built to try it on.

    Raises:
        UserError: see `check_stages` and `check_views`. The backbone itself is looked at by `check_backbone`.
    """
    if _by_stages(train.finetune) or _views_grow(train):
        check_learning(_untrained(train), train)


def check_learning(backbone: nn.Module, train: Training) -> None:
    """Refuse what this backbone cannot do: `check_stages` and `check_views`."""
    check_stages(backbone, train)
    check_views(backbone, train)


def check_stages(backbone: nn.Module, train: Training) -> None:
    """Refuse to fine-tune by stages a backbone whose stages are not known.

    Raises:
        UserError: fewer than three stages are known, and `train.finetune` asks for some of them.
    """
    deepest = max(stages(name for name, _ in backbone.named_parameters()).values(), default=0)
    if _by_stages(train.finetune) and deepest < 2:
        raise UserError(
            f"train.finetune: the stages of {train.backbone} are not known: leave trainable, unfreeze, layer_decay"
        )


def check_views(backbone: nn.Module, train: Training) -> None:
    """Refuse views that grow where the backbone takes one size alone, as transformers do.

    Raises:
        UserError: `train.first_size` is another than `train.image_size`, and the backbone does not take it.
    """
    if _views_grow(train) and not _takes(backbone, train.first_size):
        raise UserError(
            f"train.first_size: {train.backbone} takes views of one size alone: set it to {train.image_size}, "
            "which is train.image_size"
        )


def one_size(train: Training) -> bool:
    """Does the backbone take views of one size alone, as transformers do?"""
    return not _takes(_untrained(train), train.image_size // 2)


def _untrained(train: Training) -> nn.Module:
    """The backbone with random weights, to try it on."""
    with torch.random.fork_rng(devices=[]):  # a check leaves chance alone
        return create_backbone(origin(train.backbone, "none").architecture, "none", train.image_size)


def _takes(backbone: nn.Module, side: int) -> bool:
    """Does it take views of this size, px?"""
    was = backbone.training
    try:
        with torch.inference_mode():
            backbone.eval()(torch.zeros(1, 3, side, side))
    except (AssertionError, RuntimeError):
        return False
    finally:
        backbone.train(was)
    return True


def _by_stages(finetune: Finetune) -> bool:
    return finetune.trainable not in (0, 1) or bool(finetune.unfreeze) or finetune.layer_decay < 1


def _views_grow(train: Training) -> bool:
    return train.first_size != train.image_size and not is_frozen(train)


def hold_norms(backbone: nn.Module) -> None:
    """Let BatchNorm use the statistics that it came with, because those of small batches are noise."""
    for module in backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
