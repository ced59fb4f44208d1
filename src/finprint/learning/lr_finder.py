"""The learning rate range test: the loss while the learning rate climbs, and the rate at which it falls fastest."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from finprint.base.device import best_device, repeatable
from finprint.base.errors import UserError
from finprint.base.progress import bar
from finprint.learning.inputs import Inputs
from finprint.learning.lessons import Targets
from finprint.learning.loop import descend, epoch_batches, new_optimiser, ready
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe, cut_box, mixing_share
from finprint.learning.task import Task

LOW, HIGH = 1e-6, 1.0  # learning rates of the backbone, first and last
SMOOTH = 0.9  # decay of the loss's moving average
DIVERGED = 2.0  # times the least loss: the test ends


@dataclass(frozen=True)
class Curve:
    """(S,) learning rates of the backbone, (S,) smoothed losses, and the rate to begin with."""

    rates: np.ndarray
    losses: np.ndarray

    @property
    def suggestion(self) -> float:
        """Where the loss falls fastest over the logarithm of the rate, up to its least value."""
        least = max(2, int(self.losses.argmin()) + 1)
        slope = np.gradient(self.losses[:least], np.log(self.rates[:least]))
        return float(self.rates[int(slope.argmin())])


def find_rate(task: Task, network: Network, inputs: Inputs, recipe: Recipe, steps: int) -> Curve:
    """Train for some steps while the learning rate climbs evenly in its logarithm (Smith, Cyclical learning rates,
    WACV 2017). The network is spoilt by it.

    Args:
        task: what is learned; its heads stay as they are made.
        network: to train, in place.
        inputs: what the network is fed with.
        recipe: how, but for its learning rate and its epochs; in float32, and each step as one.
        steps: at most; the test ends where the loss diverges.

    Raises:
        UserError: the loss diverges at once.
    """
    recipe = replace(recipe, train=recipe.train.model_copy(update={"parts": 1}))
    device = best_device()
    repeatable()
    network.to(device).to(memory_format=torch.channels_last)
    ready(network, recipe, recipe.epochs)  # all that ever learns
    optimiser = new_optimiser(network, recipe)
    rates, losses, mean = np.geomspace(LOW, HIGH, steps), [], 0.0
    stream = bar("lr-find", steps, "batch", _endless(task, inputs, recipe, steps))
    for step, (views, targets) in enumerate(stream):
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] / recipe.lr * rates[step]
        batch = inputs.to_device(views, device)
        mixing = mixing_share(recipe, step), inputs.embedded, cut_box(recipe, step)
        loss = network(batch, targets.to(device), *mixing)
        descend(optimiser, loss)
        mean = SMOOTH * mean + (1 - SMOOTH) * loss.item()
        losses.append(mean / (1 - SMOOTH ** (step + 1)))
        if not np.isfinite(losses[-1]) or losses[-1] > DIVERGED * min(losses):
            break
    good = np.isfinite(losses)
    if good.sum() < 3:
        raise UserError(f"the loss is {losses[-1]} after {len(losses)} steps at a learning rate of {rates[0]:.0e}")
    return Curve(rates[: len(losses)][good], np.array(losses)[good])


def _endless(task: Task, inputs: Inputs, recipe: Recipe, steps: int) -> Iterator[tuple[torch.Tensor, Targets]]:
    """So many batches, of as many epochs as it takes."""
    batch = min(recipe.train.batch, len(task.lessons))
    epochs = (epoch_batches(task, inputs, recipe, epoch, batch) for epoch in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), steps)
