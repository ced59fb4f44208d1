"""The seam between a training and what is learned by it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch

from finprint.learning.inputs import Inputs
from finprint.learning.lessons import Lessons, Targets
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe


class Task(ABC):
    """What a network is to learn. The training asks it for everything that depends on what is learned.

    Attributes:
        lessons: what it learns from.
    """

    lessons: Lessons

    @abstractmethod
    def new_network(self, recipe: Recipe) -> Network:
        """The network that the training begins with; equal seeds give equal weights."""

    @abstractmethod
    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        """How good a network is, by the names of the metrics; of none where there is nothing to measure on.

        Args:
            network: with the averaged weights.
            inputs: give vectors of any crops.
        """

    def order(self, rng: np.random.Generator, batch: int) -> np.ndarray:
        """(S, B) numbers of the lessons in each batch of an epoch; the lessons left over wait for the next one's order.

        Args:
            rng: decides the order alone.
            batch: B, at most the number of lessons.
        """
        items = rng.permutation(len(self.lessons))
        return items[: len(items) // batch * batch].reshape(-1, batch)

    def merit(self, row: Mapping[str, float]) -> float:
        """How good an epoch is by its row of the history: the higher, the better; -inf where it was not scored.

        Args:
            row: holds the metrics that `validate` gave, if the epoch was scored.
        """
        return -math.inf

    def mirrored(self, targets: Targets, mirrored: torch.Tensor) -> Targets:
        """What photos show where those that `mirrored` (N,) bool marks are mirror images: the same, unless a task says
        otherwise."""
        return targets

    def at_step(self, network: Network, step: int, steps: int) -> None:  # noqa: B027 - most tasks do nothing
        """Called before step `step` of `steps`, from 0: a task may change its heads as the training goes on."""
