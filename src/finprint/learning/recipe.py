"""How a round trains, and what follows from it for an epoch or a step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from finprint.learning.params import Training


@dataclass(frozen=True)
class Recipe:
    """How one round trains: a section of params.yaml, and what differs between the rounds.

    Attributes:
        train: the section.
        epochs: of this round, in place of the section's.
        lr: peak learning rate of the backbone.
        seed: of initial weights, orders and views.
        processes: that train side by side, of which each takes as many micro-batches of a step. The weights are the
            same for any number.
    """

    train: Training
    epochs: int
    lr: float
    seed: int
    processes: int = 1

    def thawed(self) -> "Recipe":
        """The same for a network that has trained before: the stages of its backbone learn from the first epoch."""
        finetune = self.train.finetune.model_copy(update={"unfreeze": []})
        return replace(self, train=self.train.model_copy(update={"finetune": finetune}))

    def settings(self) -> dict[str, Any]:
        """All of it, for the key of a checkpoint."""
        return self.train.model_dump() | {"epochs": self.epochs, "lr": self.lr, "seed": self.seed}

    def files(self) -> Sequence[Path]:
        """The files and folders that it names: their contents enter the key of a checkpoint."""
        named = (self.train.weights, self.train.continue_from)
        return [Path(name) for name in named if name and Path(name).exists()]


def side_at(epoch: int, recipe: Recipe) -> int:
    """Side of the views in an epoch, px: it grows by equal steps to `image_size`, which the last quarter has
    (progressive resizing: Howard, fast.ai 2018), in multiples of 16."""
    first, last = recipe.train.first_size, recipe.train.image_size
    done = min(1.0, epoch / max(1, round(0.75 * recipe.epochs)))
    return last if done == 1 else min(last, round((first + done * (last - first)) / 16) * 16)


def mixing_share(recipe: Recipe, step: int) -> float:
    """Share of the first photo of each mixed pair at a step, at least a half; 1 without mixup."""
    if not recipe.train.augment.mixup or cut_box(recipe, step):
        return 1.0
    share = np.random.default_rng([recipe.seed, step]).beta(recipe.train.augment.mixup, recipe.train.augment.mixup)
    return float(max(share, 1 - share))


def cut_box(recipe: Recipe, step: int) -> tuple[float, float, float, float] | None:
    """The box (top, left, bottom, right; shares of the side) that each photo of a pair gets from the other at a step.

    Its area is drawn from Beta(cutmix, cutmix) (CutMix: Yun et al., ICCV 2019); it is cut off at the edge. With mixup
    as well, a coin decides for each step. None: nothing is cut.
    """
    cutmix, mixup = recipe.train.augment.cutmix, recipe.train.augment.mixup
    rng = np.random.default_rng([recipe.seed, step, 1])
    if not cutmix or (mixup and rng.random() < 0.5):
        return None
    half, (y, x) = np.sqrt(1 - rng.beta(cutmix, cutmix)) / 2, rng.random(2)
    top, left, bottom, right = np.clip([y - half, x - half, y + half, x + half], 0, 1).tolist()
    return top, left, bottom, right
