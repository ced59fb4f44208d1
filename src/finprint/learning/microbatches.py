"""A step cut into micro-batches: each goes forward and backward by itself, and the step learns from their mean.

The mean is taken in the order of the micro-batches, whichever process each of them is in. So the weights are the same,
bit by bit, for any number of processes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from finprint.base.errors import UserError
from finprint.base.processes import Team
from finprint.learning.recipe import Recipe

RUNNING = ("running_mean", "running_var")  # the buffers of a norm that follow its batches


def batch_length(recipe: Recipe, lessons: int) -> int:
    """Lessons in a step: `train.batch`, or as many as there are, in micro-batches of one length.

    Raises:
        UserError: there are too few for so many micro-batches.
    """
    parts = recipe.train.parts
    batch = min(recipe.train.batch, lessons)
    if parts > 1 and batch < 2 * parts:
        raise UserError(f"parts is {parts}, but with {lessons} photos to learn from it is at most {max(1, batch // 2)}")
    return batch // parts * parts


def own_order(order: np.ndarray, parts: int, team: Team) -> np.ndarray:
    """(S K, B / parts) numbers of the lessons in each micro-batch of this process, K of them a step.

    Args:
        order: (S, B) numbers of the lessons in each step. Micro-batch p has every `parts`th of them, from the p-th on,
            so that each gets its share of what stands at the end.
        parts: micro-batches of a step.
        team: its first process has the first micro-batches of a step, and so on.
    """
    steps, batch = order.shape
    own = parts // team.count
    apart = order.reshape(steps, batch // parts, parts).transpose(0, 2, 1)
    return apart[:, team.rank * own : (team.rank + 1) * own].reshape(-1, batch // parts)


@contextmanager
def threads_of_one(parts: int) -> Iterator[int]:
    """In the block torch computes with its threads divided by the micro-batches of a step.

    So as many processes as micro-batches keep all cores busy. The number must not depend on that of the processes,
    because bits depend on it. Yields the number.
    """
    before = torch.get_num_threads()
    if parts > 1:
        torch.set_num_threads(max(1, before // parts))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def seed_microbatch(seed: int, step: int, part: int) -> None:
    """Let torch's chance (dropout, drop-path) in a micro-batch follow from its place alone."""
    torch.manual_seed(int(np.random.default_rng([seed, step, part, 2]).integers(2**63)))


def mean_gradients(network: nn.Module, losses: Iterable[Callable[[], torch.Tensor]], team: Team) -> torch.Tensor:
    """Give the parameters the mean gradients of the step's micro-batches, and the norms their mean statistics.

    Each micro-batch begins with the statistics that the norms had before the step. A parameter that no micro-batch of
    the step reaches gets a gradient of 0.

    Args:
        network: the same in all processes.
        losses: compute the loss, a scalar, of each micro-batch of this process.
        team: whose micro-batches count.

    Returns:
        The mean loss.
    """
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    norms = _norm_buffers(network)
    running = [buffer for name, buffer in norms if name in RUNNING]
    before = [buffer.clone() for _, buffer in norms]
    rows = []
    for loss_of in losses:
        for (_, buffer), value in zip(norms, before, strict=True):
            buffer.copy_(value)
        network.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in learning]
        rows.append(torch.cat([each.reshape(-1).float() for each in (*gradients, *running, loss.detach())]))
    mean = team.add(torch.stack(rows)) / (len(rows) * team.count)
    lengths = [each.numel() for each in (*learning, *running)]
    *means, mean_loss = torch.split(mean, [*lengths, 1])
    for parameter, values in zip(learning, means, strict=False):
        parameter.grad = torch.empty_like(parameter).copy_(values.view_as(parameter))
    for buffer, values in zip(running, means[len(learning) :], strict=True):
        buffer.copy_(values.view_as(buffer))
    return mean_loss[0]


def _norm_buffers(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Name and buffer of all that norms keep of their batches; nothing of norms that are held."""
    norms = [module for module in network.modules() if module.training and hasattr(module, RUNNING[0])]
    return [named for module in norms for named in module.named_buffers(recurse=False)]
