"""The training loop: a plain one, that a reader can follow from top to bottom."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from finprint.base.checkpoint import Checkpoint
from finprint.base.device import best_device, has_bfloat16, repeatable
from finprint.base.errors import UserError
from finprint.base.processes import ALONE, Team, team
from finprint.base.progress import bar
from finprint.base.vision import timm
from finprint.learning.bfloat16 import in_bfloat16
from finprint.learning.finetuning import hold_norms, is_frozen, learning_rates, set_learning
from finprint.learning.inputs import Epoch, Inputs
from finprint.learning.lessons import Targets
from finprint.learning.live import Watch, nobody
from finprint.learning.microbatches import batch_length, mean_gradients, own_order, seed_microbatch, threads_of_one
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe, cut_box, mixing_share, side_at
from finprint.learning.schedules import even_share, learning_rate, plateau, strength
from finprint.learning.task import Task
from finprint.model.views import weaker

WATCHED = 10  # steps from one look at the loss to the next
History = list[dict[str, float]]  # a row for each epoch: epoch, loss, lr, and the metrics of validation


def fit(
    task: Task, network: Network, inputs: Inputs, recipe: Recipe, checkpoint: Checkpoint, watch: Watch = nobody
) -> tuple[Network, History]:
    """Train a network, or go on where a killed run left off, with the same result.

    Every random choice of a view is drawn from (seed, epoch, photo), so neither threads nor a
    resumption change it; the weights come out equal to the last bit on one machine's CPU, by one process or several.

    Args:
        task: what is learned. It validates after every `score_every`th epoch and the last one.
        network: to train, in place.
        inputs: what the network is fed with.
        recipe: how.
        checkpoint: where the state is kept after each epoch.
        watch: told loss and learning rate now and then, and after each epoch the speed and the metrics of validation.

    Returns:
        The network with averaged weights, and a row for each epoch: epoch, loss, lr, and the metrics of validation.

    Raises:
        UserError: the loss is no number any more, or another process has ended.
    """
    run = Run(task, network, inputs, recipe, watch)
    run.resume(checkpoint)
    if len(run.history) < recipe.epochs:
        alone = is_frozen(recipe.train)  # a head learns in seconds
        with nullcontext(ALONE) if alone else team(recipe.processes, recipe.train.parts) as run.team:
            run.team.ask(_help, (task, network, inputs, recipe), run.state(), torch.get_num_threads(), run.bfloat16)
            for epoch in range(len(run.history), recipe.epochs):
                row = run.learn(epoch)
                if not math.isfinite(row["loss"]):
                    raise UserError(f"the loss is {row['loss']} in epoch {epoch + 1}: lower lr (now {recipe.lr})")
                run.history.append(row | run.score(epoch))
                run.keep()
                run.tell()
                run.save(checkpoint)
    return run.average.module, run.history


def _help(
    led: Team, about: tuple[Task, Network, Inputs, Recipe], state: dict[str, Any], threads: int, bfloat16: bool
) -> None:
    """Learn as process 0 does, from the same state on, with another share of the micro-batches."""
    torch.set_num_threads(threads)
    run = Run(*about, nobody)
    run.team, run.bfloat16 = led, bfloat16
    run.take_over(state)
    for epoch in range(len(run.history), run.recipe.epochs):
        run.learn(epoch)


class Run:
    """A training under way.

    Args:
        task, network, inputs, recipe, watch: as for `fit`.

    Attributes:
        average: holds the network with averaged weights.
        bfloat16: does the network go forward in bfloat16? A head alone stays at float32, as its features are.
        history: a row for each epoch that is over.
        team: the processes that learn side by side.
    """

    def __init__(self, task: Task, network: Network, inputs: Inputs, recipe: Recipe, watch: Watch) -> None:
        self.task, self.network, self.inputs, self.recipe, self.watch = task, network, inputs, recipe, watch
        self.device = best_device()
        self.bfloat16 = recipe.train.amp and not is_frozen(recipe.train) and has_bfloat16(self.device)
        repeatable()
        torch.manual_seed(recipe.seed)
        network.to(self.device).to(memory_format=torch.channels_last)
        # A decay of 0 copies the weights.
        self.average = timm.utils.ModelEmaV3(network, decay=recipe.train.ema, use_warmup=not recipe.train.swa)
        self.optimiser = new_optimiser(network, recipe)
        self.history: History = []
        self.best: dict[str, torch.Tensor] = {}  # the averaged weights of the best epoch, with `keep: best`
        self.batch = batch_length(recipe, len(task.lessons))
        self.steps = len(task.order(np.random.default_rng(0), self.batch))  # of an epoch
        self.speed = 0.0  # photos a second in the last epoch
        self.team = ALONE

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a run that was killed, or has ended."""
        state = checkpoint.load()
        if state is None:
            return
        self.take_over(state)
        if len(self.history) < self.recipe.epochs:
            print(f"resuming after epoch {len(self.history)} of {self.recipe.epochs}", flush=True)
        else:
            print("these photos were learned by this recipe already: taken from .cache/checkpoints", flush=True)

    def take_over(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.average.module.load_state_dict(state["average"])
        self.history = state["history"]
        if len(self.history) < self.recipe.epochs:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            torch.set_rng_state(state["random"])
            self.best = state["best"]

    def learn(self, epoch: int) -> dict[str, float]:
        """One pass over the lessons.

        Returns:
            The row of this epoch: epoch, loss, lr.
        """
        self.team.wait()
        ready(self.network, self.recipe, epoch)
        losses = []
        started = time.monotonic()
        stream = epoch_batches(self.task, self.inputs, self.varied(), epoch, self.batch, self.team)
        steps = zip(*[stream] * (self.recipe.train.parts // self.team.count), strict=True)  # micro-batches of each step
        what = f"epoch {epoch + 1}/{self.recipe.epochs}"
        progress = bar(what, self.steps, "batch", quiet=not self.team.leads)
        with progress, threads_of_one(self.recipe.train.parts):
            for step, shown in enumerate(steps, start=epoch * self.steps):
                losses.append(self.step(step, shown))
                progress.update()
        self.speed = self.steps * self.batch / (time.monotonic() - started)
        return {"epoch": epoch + 1, "loss": float(torch.stack(losses).mean()), "lr": self.lr(step)}

    def step(self, step: int, shown: Sequence[tuple[torch.Tensor, Targets]]) -> torch.Tensor:
        """Learn from the micro-batches of a step that this process has; the loss of the whole step."""
        train, steps = self.recipe.train, self.recipe.epochs * self.steps
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * learning_rate(step, steps, train.schedule)
        self.task.at_step(self.network, step, steps)
        first = self.team.rank * len(shown)
        losses = [partial(self.loss, step, part, *batch) for part, batch in enumerate(shown, start=first)]
        if train.parts == 1:
            loss = losses[0]()
            descend(self.optimiser, loss)
        else:
            loss = mean_gradients(self.network, losses, self.team)
            self.optimiser.step()
        if train.swa:
            self.average.decay = even_share(step, steps, train.swa)
        self.average.update(self.network, step)
        if step % WATCHED == 0:
            self.watch(step, {"loss": loss.item(), "lr": self.lr(step)})
        return loss.detach()

    def loss(self, step: int, part: int, views: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The loss of micro-batch `part` of a step."""
        if self.recipe.train.parts > 1:
            seed_microbatch(self.recipe.seed, step, part)
        batch, targets = self.inputs.to_device(views, self.device), targets.to(self.device)
        with in_bfloat16(self.device, self.bfloat16):
            mixing = mixing_share(self.recipe, step), self.inputs.embedded, cut_box(self.recipe, step)
            loss: torch.Tensor = self.network(batch, targets, *mixing)
        return loss

    def varied(self) -> Recipe:
        """The recipe of the next epoch: with `augment.grow: plateau`, its augmentation is as strong as process 0's
        history tells."""
        train = self.recipe.train
        if train.augment.grow != "plateau":
            return self.recipe
        augment = weaker(train.augment, self.team.agreed(self.grown(self.history)))
        full = augment.model_copy(update={"grow": 0.0})
        return replace(self.recipe, train=train.model_copy(update={"augment": full}))

    def grown(self, history: History) -> float:
        """The share of the augmentation's strengths after the epochs of a history, for `augment.grow: plateau`."""
        train = self.recipe.train
        merits = [self.task.merit(row) for row in history if row["epoch"] % train.score_every == 0]
        return plateau(merits, train.augment.patience)

    def keep(self) -> None:
        """Set aside the averaged weights if validation has never been better; after the last epoch take the best."""
        if self.recipe.train.keep == "last":
            return
        if best_epoch(self.task, self.history) == len(self.history) - 1:
            self.best = {name: tensor.clone() for name, tensor in self.average.module.state_dict().items()}
        if len(self.history) == self.recipe.epochs:
            self.average.module.load_state_dict(self.best)

    def lr(self, step: int) -> float:
        """The learning rate of the backbone's last stage at a step."""
        return self.recipe.lr * learning_rate(step, self.recipe.epochs * self.steps, self.recipe.train.schedule)

    def score(self, epoch: int) -> dict[str, float]:
        """The metrics of validation with the averaged weights; none in an epoch that is not scored."""
        due = (epoch + 1) % self.recipe.train.score_every == 0 or epoch + 1 == self.recipe.epochs
        metrics = self.task.validate(self.average.module, self.inputs) if due else {}
        named = {f"validation/{name}": value for name, value in metrics.items()}
        self.watch((epoch + 1) * self.steps, named | {"photos/s": self.speed})
        return metrics

    def tell(self) -> None:
        """Print the row of the last epoch."""
        row = self.history[-1]
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if name not in ("epoch", "lr"))
        print(f"epoch {row['epoch']}/{self.recipe.epochs}: {metrics}, {self.speed:.0f} photos/s", flush=True)
        if self.recipe.train.augment.grow == "plateau" and len(self.history) < self.recipe.epochs:
            share = self.grown(self.history)
            if row["epoch"] == self.recipe.train.score_every and math.isinf(self.task.merit(row)):
                print(f"nothing validates: augmentation stays at {share:.0%} of its strengths", flush=True)
            if share > self.grown(self.history[:-1]):
                print(f"validation does not improve: augmentation grows to {share:.0%} of its strengths", flush=True)

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep the state."""
        checkpoint.save(self.state())

    def state(self) -> dict[str, Any]:
        """All that the training goes on from: after the last epoch the averaged weights alone."""
        state = {"average": self.average.module.state_dict(), "history": self.history}
        if len(self.history) < self.recipe.epochs:
            state |= {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": torch.get_rng_state(),
                "best": self.best,
            }
        return state


def best_epoch(task: Task, history: History) -> int:
    """The row of the epoch whose metrics of validation have most merit; the later one where two are equal."""
    scored = [task.merit(row) for row in history]
    return max(range(len(history)), key=lambda epoch: (scored[epoch], epoch))


def ready(network: Network, recipe: Recipe, epoch: int) -> None:
    """Make a network ready to learn in an epoch, from 0: what of its backbone learns, what its norms do."""
    network.train()
    set_learning(network.embedder.backbone, recipe.train.finetune, epoch)
    if recipe.train.finetune.hold_norms:
        hold_norms(network.embedder.backbone)


def epoch_batches(
    task: Task, inputs: Inputs, recipe: Recipe, epoch: int, batch: int, led: Team = ALONE
) -> Iterator[tuple[torch.Tensor, Targets]]:
    """The micro-batches of an epoch's steps that this process of the team has, as `inputs` makes them, and what they
    show."""
    lessons, augment = task.lessons, recipe.train.augment
    rng = np.random.default_rng([recipe.seed, epoch])
    order = own_order(task.order(rng, batch), recipe.train.parts, led)
    mirrored = rng.random(len(lessons)) < augment.flip
    targets = task.mirrored(lessons.targets, torch.from_numpy(mirrored))
    strengths = weaker(augment, strength(epoch, recipe.epochs, augment.grow, recipe.train.schedule))
    seed, side = (recipe.seed, epoch), side_at(epoch, recipe)
    shown = Epoch(lessons.rows, order, mirrored, side, strengths, seed, recipe.train.padded)
    return zip(inputs.batches(shown), (targets[items] for items in order), strict=True)


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """One step of the optimiser down a loss."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def new_optimiser(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW over `parameter_groups`."""
    return torch.optim.AdamW(parameter_groups(network, recipe), weight_decay=recipe.train.weight_decay, fused=True)


def parameter_groups(network: Network, recipe: Recipe) -> list[dict[str, object]]:
    """Optimiser groups: the backbone at lr, less towards its stem where layers decay, the rest at
    `head_lr_factor` times it; no weight decay of biases and norms."""
    backbone = learning_rates(network.embedder.backbone, recipe.train.finetune.layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        ratio = backbone.get(name.removeprefix("embedder.backbone."), recipe.train.head_lr_factor)
        groups.setdefault((ratio, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "peak": recipe.lr * ratio, "lr": recipe.lr * ratio}
        | ({} if decays else {"weight_decay": 0.0})
        for (ratio, decays), members in groups.items()
    ]
