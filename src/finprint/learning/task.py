"""The seam between a training and what is learned by it."""

from abc import ABC, abstractmethod

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

    def mirrored(self, targets: Targets, mirrored: torch.Tensor) -> Targets:
        """What photos show where those that `mirrored` (N,) bool marks are mirror images: the same, unless a task says
        otherwise."""
        return targets

    def at_step(self, network: Network, step: int, steps: int) -> None:  # noqa: B027 - most tasks do nothing
        """Called before step `step` of `steps`, from 0: a task may change its heads as the training goes on."""
