"""The training loop: a plain one, that a reader can follow from top to bottom."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from finprint.base.checkpoint import Checkpoint
from finprint.base.device import best_device, repeatable
from finprint.base.errors import UserError
from finprint.base.progress import bar
from finprint.learning.finetuning import hold_norms, learning_rates, set_learning
from finprint.learning.live import Watch, nobody
from finprint.learning.network import Network, Targets
from finprint.learning.params import Train
from finprint.learning.schedules import learning_rate
from finprint.model.embedder import Embedder
from finprint.model.loading import batches, to_device
from finprint.model.views import random_view, weaker

# Number of a training photo -> crop (H, W, 3) uint8; or features of it and of its mirror image, (2, L) float16.
Pixels = Callable[[int], np.ndarray]
WATCHED = 10  # steps from one look at the loss to the next
Validate = Callable[[Embedder], dict[str, float]]


@dataclass(frozen=True)
class Recipe:
    """How one round trains: the params `train`, and what differs between the rounds."""

    train: Train
    epochs: int
    lr: float
    seed: int


def fit(
    network: Network,
    pixels: Pixels,
    targets: Targets,
    recipe: Recipe,
    validate: Validate,
    checkpoint: Checkpoint,
    watch: Watch = nobody,
) -> tuple[Network, list[dict[str, float]]]:
    """Train a network, or go on where a killed run left off, with the same result.

    Every random choice of a view is drawn from (seed, epoch, photo), so neither threads nor a
    resumption change it; the weights come out equal to the last bit on one machine's CPU.

    Args:
        network: to train, in place.
        pixels: the training photos.
        targets: whom each shows.
        recipe: how.
        validate: scores an embedder; called with the averaged weights after every `score_every`th epoch and the last.
        checkpoint: where the state is kept after each epoch.
        watch: told loss and learning rate now and then, and after each epoch what `validate` said and the speed.

    Returns:
        The network with averaged weights (EMA), and a row for each epoch: epoch, loss, lr, and what
        `validate` said.
    """
    device = best_device()
    repeatable()
    torch.manual_seed(recipe.seed)
    network.to(device).to(memory_format=torch.channels_last)
    amp = recipe.train.amp and device.type == "cuda"  # on CPUs bfloat16 trains depthwise layers slower
    swa = recipe.train.swa > 0
    average = ModelEmaV3(network, decay=recipe.train.ema, use_warmup=not swa)  # decay 0 copies the weights
    optimiser = torch.optim.AdamW(parameter_groups(network, recipe), weight_decay=recipe.train.weight_decay)
    history: list[dict[str, float]] = []

    if state := checkpoint.load():
        average.module.load_state_dict(state["average"])
        history = state["history"]
        if len(history) < recipe.epochs:
            network.load_state_dict(state["network"])
            optimiser.load_state_dict(state["optimiser"])
            torch.set_rng_state(state["random"])
            print(f"resuming after epoch {len(history)} of {recipe.epochs}", flush=True)
        else:
            print("these photos were learned by this recipe already: taken from .cache/checkpoints", flush=True)

    batch = min(recipe.train.batch, len(targets))
    steps = len(targets) // batch  # of an epoch; the photos left over wait for the next one's order
    for epoch in range(len(history), recipe.epochs):
        network.train()
        set_learning(network.embedder.backbone, recipe.train.finetune, epoch)
        if recipe.train.finetune.hold_norms:
            hold_norms(network.embedder.backbone)
        losses = []
        started = time.monotonic()
        stream = epoch_batches(pixels, targets, recipe, epoch, batch)
        with bar(f"epoch {epoch + 1}/{recipe.epochs}", steps, "batch") as progress:
            for step, (views, shown) in enumerate(stream, start=epoch * steps):
                share = learning_rate(step, recipe.epochs * steps, recipe.train.schedule)
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * share
                network.head.strength = grown(step, recipe.epochs * steps, recipe.train.margin.ramp, 0.2)
                with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                    loss = network(to_device(views, device), shown.to(device), mixing_share(recipe, step))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                if swa:
                    average.decay = even_share(step, recipe.epochs * steps, recipe.train.swa)
                average.update(network, step)
                losses.append(loss.detach())
                if step % WATCHED == 0:
                    watch(step, {"loss": losses[-1].item(), "lr": recipe.lr * share})
                progress.set_postfix(loss=f"{losses[-1]:.3f}", lr=f"{recipe.lr * share:.1e}", refresh=False)
                progress.update()
        speed = steps * batch / (time.monotonic() - started)
        row = {"epoch": epoch + 1, "loss": float(torch.stack(losses).mean()), "lr": recipe.lr * share}
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss is {row['loss']} in epoch {epoch + 1}: lower lr (now {recipe.lr})")
        due = (epoch + 1) % recipe.train.score_every == 0 or epoch + 1 == recipe.epochs
        scored = validate(average.module.embedder) if due else {}
        watch(
            (epoch + 1) * steps, {f"validation/{name}": value for name, value in scored.items()} | {"photos/s": speed}
        )
        row |= scored
        history.append(row)
        scores = ", ".join(f"{name} {value:.3f}" for name, value in row.items() if name not in ("epoch", "lr"))
        print(f"epoch {epoch + 1}/{recipe.epochs}: {scores}, {speed:.0f} photos/s", flush=True)
        state = {"average": average.module.state_dict(), "history": history}
        if len(history) < recipe.epochs:
            state |= {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "random": torch.get_rng_state(),
            }
        checkpoint.save(state)
    return average.module, history


def epoch_batches(
    pixels: Pixels, targets: Targets, recipe: Recipe, epoch: int, batch: int
) -> Iterator[tuple[torch.Tensor, Targets]]:
    """Full batches of an epoch: views (B, 3, side, side) uint8, or features (B, L) float16, and whom they show.

    Where a mirror image is another individual, its label is higher by the number of classes.
    """
    augment = recipe.train.augment
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(len(targets))
    mirrored = rng.random(len(targets)) < augment.flip
    if augment.mirror == "other":
        further = torch.from_numpy(mirrored)[:, None] * (targets.labels.max() + 1)
        targets = Targets(targets.labels + further, targets.weights)
    order = order[: len(order) // batch * batch].reshape(-1, batch)
    side = size_at(epoch, recipe)
    strengths = weaker(augment, grown(epoch, recipe.epochs, augment.grow, 0.25))

    def view(item: int) -> np.ndarray:
        shown = pixels(item)
        if shown.ndim == 2:
            return shown[int(mirrored[item])]
        rng = np.random.default_rng([recipe.seed, epoch, item])
        return random_view(shown, side, strengths, rng, bool(mirrored[item]))

    return zip(batches(view, order), (targets[items] for items in order), strict=True)


def size_at(epoch: int, recipe: Recipe) -> int:
    """Side of the views in an epoch, px: grows by equal steps to `image_size`, which the last quarter has
    (progressive resizing: Howard, fast.ai 2018), in multiples of 16."""
    first, last = recipe.train.first_size, recipe.train.image_size
    done = min(1.0, epoch / max(1, round(0.75 * recipe.epochs)))
    return last if done == 1 else min(last, round((first + done * (last - first)) / 16) * 16)


def mixing_share(recipe: Recipe, step: int) -> float:
    """Share of the first photo of each mixed pair at a step, at least a half; 1 without mixup."""
    if not recipe.train.augment.mixup:
        return 1.0
    share = np.random.default_rng([recipe.seed, step]).beta(recipe.train.augment.mixup, recipe.train.augment.mixup)
    return float(max(share, 1 - share))


def even_share(step: int, steps: int, share: float) -> float:
    """The decay that makes a moving average the plain mean of the weights after each of the last steps, of which
    there are `share` of all (stochastic weight averaging: Izmailov et al., UAI 2018)."""
    after = step - (steps - max(1, round(share * steps)))
    return max(0, after) / (max(0, after) + 1)


def grown(done: int, whole: int, over: float, start: float) -> float:
    """What grows evenly from `start` to 1 over the share `over` of a whole, after `done` parts of it."""
    return min(1.0, start + (1 - start) * done / (over * whole)) if over else 1.0


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
