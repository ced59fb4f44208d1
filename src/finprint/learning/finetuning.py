"""Which parts of a pretrained backbone learn, when, and how fast."""

import re
from collections.abc import Iterable

from torch import nn

from finprint.base.errors import UserError
from finprint.learning.params import Finetune

# What timm calls the stages of its networks: blocks.3, stages_1, layers_2, layer4, model.blocks.11.
STAGE = re.compile(r"(?:model\.)?(?:blocks\.|stages[_.]|layers[_.]|layer)(\d+)\.")


def stages(names: Iterable[str]) -> dict[str, int]:
    """The stage of each parameter of a timm backbone: 0 is the stem, the last one lies next to the head.

    Parameters behind the last stage (a final norm) belong to it.
    """
    found: dict[str, int] = {}
    now = 0
    for name in names:
        match = STAGE.match(name)
        now = int(match.group(1)) + 1 if match else now
        found[name] = now
    ranks = {stage: rank for rank, stage in enumerate(sorted({0, *found.values()}))}
    return {name: ranks[stage] for name, stage in found.items()}


def learning_rates(backbone: nn.Module, layer_decay: float) -> dict[str, float]:
    """The learning rate of each parameter as a share of the last stage's: `layer_decay` to the power of its distance.

    Layer-wise decay: Clark et al., ELECTRA (ICLR 2020); Bao et al., BEiT (ICLR 2022).
    """
    of = stages(name for name, _ in backbone.named_parameters())
    last = max(of.values(), default=0)
    return {name: layer_decay ** (last - stage) for name, stage in of.items()}


def set_learning(backbone: nn.Module, finetune: Finetune, epoch: int) -> None:
    """Switch the gradients of a backbone's parameters on or off, for this epoch.

    The share `trainable` of the stages, counted from the head, learns at all. With `unfreeze` [2, 4] they join
    from behind: all are still in the epochs 0 and 1, the last one learns from epoch 2, the one before it from 4,
    and the rest from the last epoch named.

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


def check_stages(backbone: nn.Module, finetune: Finetune, name: str) -> None:
    """Refuse to fine-tune by stages what has none that we know.

    Raises:
        UserError: fewer than three stages are known of this backbone, and a param asks for them.
    """
    asked = finetune.trainable not in (0, 1) or finetune.unfreeze or finetune.layer_decay < 1
    if asked and max(stages(n for n, _ in backbone.named_parameters()).values(), default=0) < 2:
        raise UserError(f"train.finetune: the stages of {name} are not known: leave trainable, unfreeze, layer_decay")


def hold_norms(backbone: nn.Module) -> None:
    """Let BatchNorm use the statistics that it came with: those of small batches of few individuals are noise."""
    for module in backbone.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
