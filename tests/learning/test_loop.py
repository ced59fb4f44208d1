"""The training loop: its schedule by hand, same seed same bytes, killed and resumed the same to the last bit."""

import hashlib
import itertools
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN
from examples import AUGMENT, TRAIN, small_network

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.individuals.lessons import IndividualLessons
from finprint.individuals.task import Individuals
from finprint.learning import loop
from finprint.learning.inputs import Inputs, Photos
from finprint.learning.lessons import Targets
from finprint.learning.live import nobody
from finprint.learning.loop import Run, epoch_batches, fit, parameter_groups
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe, cut_box, mixing_share, side_at
from finprint.model.embedder import Embedder
from finprint.model.loading import View

pytestmark = pytest.mark.usefixtures("training_state")

LABELS = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int64)
LESSONS = IndividualLessons(np.arange(9), Targets.sure(LABELS), ["al", "bo", "cy"], np.zeros(3, np.int64))
Validate = Callable[[Embedder], dict[str, float]]


@dataclass(frozen=True)
class Colours(Individuals):
    """Individuals of one colour each, validated as a test asks for."""

    scored_by: Validate = lambda _: {}

    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        return self.scored_by(network.embedder)


class Killed(Exception):
    """What ends a run in the middle."""


def _pixels(item: int) -> np.ndarray:
    """An easy set: each individual has its own colour, each photo some noise."""
    colour = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]])[LABELS[item]]
    noise = np.random.default_rng(item).normal(0, 25, (36, 40, 3))
    return (colour + noise).clip(0, 255).astype(np.uint8)


def _recipe(seed: int = 0, lr: float = 1e-3, epochs: int = 3, **changes: Any) -> Recipe:
    return Recipe(TRAIN.model_copy(update=changes), epochs, lr, seed)


def _digest(network: Network) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _nothing(_: Embedder) -> dict[str, float]:
    return {}


def _fit(
    recipe: Recipe, validate: Validate = _nothing, key: str = "a", network: Network | None = None
) -> tuple[Network, list[dict[str, float]]]:
    task = Colours(LESSONS, recipe.train, scored_by=validate)
    checkpoint = Checkpoint("train", {"key": key}, [], [])
    return fit(task, network or small_network(), Photos(_pixels, 8), recipe, checkpoint)


def _batches(recipe: Recipe, epoch: int, batch: int, pixels: View = _pixels) -> list[tuple[torch.Tensor, Targets]]:
    return list(epoch_batches(Colours(LESSONS, recipe.train), Photos(pixels, 8), recipe, epoch, batch))


def test_heads_learn_faster_and_norms_and_biases_do_not_decay() -> None:
    network = small_network()
    groups = parameter_groups(network, _recipe(lr=0.002, head_lr_factor=10.0))
    group_of = {id(p): group for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    named = dict(network.named_parameters())
    assert sum(len(group["params"]) for group in groups) == len(named) == len(group_of)  # type: ignore[arg-type]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.03)
    for name, parameter in named.items():
        group = next(g for g in optimiser.param_groups if any(p is parameter for p in g["params"]))
        backbone = name.startswith("embedder.backbone.")
        assert group["lr"] == group["peak"] == pytest.approx(0.002 if backbone else 0.02), name
        plain = name.endswith(".bias") or ".bn" in name or name in ("embedder.neck.0.weight", "embedder.neck.2.weight")
        assert group["weight_decay"] == (0.0 if plain else 0.03), name
    assert {name for name in named if not name.startswith("embedder.backbone.")} >= {"heads.main.weight"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, float]]]:
    """An uninterrupted run: the digest of its weights, and its history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("whole")))
        network, history = _fit(_recipe(), _nothing)
    return _digest(network), history


def test_amp_is_bfloat16_where_the_device_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {}
    for amp, there in itertools.product((True, False), repeat=2):
        monkeypatch.setattr(loop, "has_bfloat16", lambda device, there=there: there)
        network, _ = _fit(_recipe(epochs=1, amp=amp), key=f"{amp} {there}")
        digests[amp, there] = _digest(network)
    assert digests[True, True] != digests[True, False]
    assert digests[True, False] == digests[False, True] == digests[False, False]


def test_same_seed_same_bytes_and_another_seed_others(whole: tuple[str, list[dict[str, float]]]) -> None:
    network, history = _fit(_recipe())
    assert _digest(network) == whole[0]
    assert history == whole[1]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    # The same initial weights, other orders and views.
    other, losses = _fit(_recipe(seed=1), key="another seed")
    assert _digest(other) != whole[0]
    assert losses != whole[1]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_killed_and_resumed_ends_like_an_uninterrupted_run(
    whole: tuple[str, list[dict[str, float]]], epoch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[int] = []

    def dies(_: Embedder) -> dict[str, float]:
        calls.append(1)
        if len(calls) == epoch:
            raise Killed
        return {}

    with pytest.raises(Killed):
        _fit(_recipe(), dies)
    torch.manual_seed(99)  # what another process would start with
    initial = small_network(7 if epoch > 1 else 0)  # resumed, the initial weights do not count
    network, history = _fit(_recipe(), network=initial)
    assert _digest(network) == whole[0]
    assert history == whole[1]
    told = f"resuming after epoch {epoch - 1} of 3" in capsys.readouterr().out
    assert told == (epoch > 1)


def test_a_finished_run_that_is_started_again_only_loads(whole: tuple[str, list[dict[str, float]]]) -> None:
    _fit(_recipe())

    def never(_: Embedder) -> dict[str, float]:
        raise AssertionError("no epoch is left")

    network, history = _fit(_recipe(), never, network=small_network(3))
    assert _digest(network) == whole[0]
    assert history == whole[1]


def test_a_checkpoint_of_another_key_is_not_resumed() -> None:
    _fit(_recipe(epochs=1), key="one")
    network, history = _fit(_recipe(epochs=1, seed=4), key="two")
    again, _ = _fit(_recipe(epochs=1, seed=4), key="three")
    assert len(history) == 1
    assert _digest(network) == _digest(again)


def test_the_loss_falls_and_individuals_are_told_apart() -> None:
    plain = SMALL_TRAIN.augment
    recipe = _recipe(epochs=10, lr=1e-3, ema=0.5, batch=9, augment=plain)
    network, history = _fit(recipe, lambda _: {"map5": 0.5})
    losses = [row["loss"] for row in history]
    assert losses[-1] < 0.2 * losses[0]
    assert all(row["map5"] == 0.5 for row in history)
    assert history[-1]["lr"] == pytest.approx(1e-5)  # a hundredth of the peak
    ((views, shows),) = _batches(recipe, 0, 9)
    device = next(network.parameters()).device
    with torch.inference_mode():  # with the batch's statistics: the running ones lag behind ten steps
        cosines = network.train().head.cosines(network.embedder(views.float().to(device) / 255))
    assert cosines.argmax(dim=1).tolist() == shows.labels[:, 0].tolist()


def test_without_averaging_the_weights_are_the_trained_ones_and_with_it_others() -> None:
    trained = small_network()
    averaged, _ = _fit(_recipe(epochs=2, ema=0.0), key="ema", network=trained)
    assert _digest(averaged) == _digest(trained)
    moved = small_network()
    averaged, _ = _fit(_recipe(epochs=2, ema=0.9), key="moved", network=moved)
    assert _digest(moved) == _digest(trained)
    assert _digest(averaged) != _digest(moved)


def test_validate_sees_the_averaged_weights() -> None:
    seen: list[torch.Tensor] = []

    def validate(embedder: Embedder) -> dict[str, float]:
        seen.append(embedder.neck[1].weight.detach().clone())
        return {}

    network, _ = _fit(_recipe(epochs=2), validate)
    assert len(seen) == 2
    assert torch.equal(seen[1], network.embedder.neck[1].weight)
    assert not torch.equal(seen[0], seen[1])


def test_fewer_photos_than_a_batch_are_one_batch() -> None:
    network, history = _fit(_recipe(epochs=1, batch=64))
    assert math.isfinite(history[0]["loss"])
    assert network.embedder.neck[0].num_batches_tracked.item() == 1


def test_a_diverging_loss_ends_the_run_with_advice() -> None:
    with pytest.raises(UserError, match=r"^the loss is (nan|inf) in epoch \d+: lower lr \(now 1e\+30\)$"):
        _fit(_recipe(lr=1e30, schedule=TRAIN.schedule.model_copy(update={"warmup": 0.0})))


def _epoch(recipe: Recipe, epoch: int) -> tuple[bytes, list[int]]:
    stream = _batches(recipe, epoch, 4)
    views = torch.cat([v for v, _ in stream])
    return views.numpy().tobytes(), torch.cat([t.labels[:, 0] for _, t in stream]).tolist()


def test_views_do_not_depend_on_threads_and_differ_between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {}
    for threads in (1, 2, 16):
        monkeypatch.setattr(os, "cpu_count", lambda threads=threads: threads)
        shown[threads] = _epoch(_recipe(), 2)
    assert shown[1] == shown[2] == shown[16]
    assert _epoch(_recipe(), 3)[0] != shown[1][0]
    assert _epoch(_recipe(seed=1), 2)[0] != shown[1][0]


def test_an_epoch_shows_each_photo_once_in_full_batches() -> None:
    shown: list[int] = []

    def pixels(item: int) -> np.ndarray:
        shown.append(item)
        return _pixels(item)

    stream = _batches(_recipe(), 0, 4, pixels)
    assert [views.shape for views, _ in stream] == [(4, 3, 32, 32)] * 2
    assert len(shown) == len(set(shown)) == 8  # the ninth waits for the next epoch
    plain = _recipe(augment=SMALL_TRAIN.augment)
    for views, shows in _batches(plain, 0, 4):
        assert (
            views.float().mean(dim=(2, 3)).argmax(dim=1).tolist() == shows.labels[:, 0].tolist()
        )  # a colour an individual


def _striped(item: int) -> np.ndarray:
    """Black on the left, white on the right."""
    return np.repeat(np.repeat([[0, 255]], 16, axis=1), 32, axis=0).astype(np.uint8)[..., None].repeat(3, axis=2)


@pytest.mark.parametrize("mirror", ["same", "other"])
def test_half_of_the_views_are_mirrored_and_may_be_other_individuals(mirror: str) -> None:
    recipe = _recipe(augment=NO_AUGMENT.model_copy(update={"flip": 0.5, "mirror": mirror}))
    turned, shifts = [], []
    for epoch in range(20):
        order = np.random.default_rng([recipe.seed, epoch]).permutation(9)[:8]
        for (views, shows), items in zip(_batches(recipe, epoch, 4, _striped), order.reshape(2, 4), strict=True):
            turned += (views[:, 0, 16, 2] > 128).tolist()
            shifts += (shows.labels[:, 0].numpy() - LABELS[items]).tolist()
    assert 50 < sum(turned) < 110  # of 160
    assert shifts == [3 * t if mirror == "other" else 0 for t in turned]


def test_views_grow_to_the_full_size_by_three_quarters() -> None:
    recipe = _recipe(epochs=8, first_size=64, image_size=128)
    assert [side_at(epoch, recipe) for epoch in range(8)] == [64, 80, 80, 96, 112, 112, 128, 128]
    assert {side_at(epoch, _recipe(epochs=8)) for epoch in range(8)} == {32}
    assert [side_at(epoch, _recipe(epochs=1, first_size=64, image_size=128)) for epoch in range(1)] == [64]
    views, _ = _batches(recipe, 1, 4)[0]
    assert views.shape == (4, 3, 80, 80)


def test_mixing_shares_are_the_larger_halves_of_a_beta() -> None:
    assert mixing_share(_recipe(), 5) == 1
    recipe = _recipe(augment=NO_AUGMENT.model_copy(update={"mixup": 0.4}))
    shares = np.array([mixing_share(recipe, step) for step in range(2000)])
    assert shares.min() >= 0.5
    assert shares.max() <= 1
    assert mixing_share(recipe, 3) == shares[3]
    draws = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    assert shares.mean() == pytest.approx(np.maximum(draws, 1 - draws).mean(), abs=0.02)


def test_mixing_trains_and_repeats_itself() -> None:
    mixed = _recipe(epochs=2, augment=AUGMENT.model_copy(update={"mixup": 0.4}))
    one, two, plain = (
        _digest(_fit(recipe, key=str(run))[0]) for run, recipe in enumerate((mixed, mixed, _recipe(epochs=2)))
    )
    assert one == two != plain


def test_what_is_switched_on_trains_and_resumes_to_the_same_bytes() -> None:
    """All techniques that touch the loop at once, killed and resumed."""
    finetune = TRAIN.finetune.model_copy(
        update={"unfreeze": [1, 2], "layer_decay": 0.7, "trainable": 0.6, "hold_norms": True}
    )
    recipe = _recipe(
        finetune=finetune, swa=0.5, margin=TRAIN.margin.model_copy(update={"ramp": 0.5}),
        schedule=TRAIN.schedule.model_copy(update={"kind": "one_cycle"}),
        augment=AUGMENT.model_copy(update={"grow": 1.0, "noise": 1.0, "mixup": 0.4, "mixed": "vectors"}),
    )  # fmt: skip
    first = dict(small_network().embedder.backbone.named_parameters())
    network, history = _fit(recipe, key="whole")
    for name, parameter in network.embedder.backbone.named_parameters():
        moved = not torch.equal(parameter.cpu(), first[name])
        assert moved == (re.match(r"blocks\.[1234]", name) is not None), name  # three fifths of six stages
    calls: list[int] = []

    def dies(_: Embedder) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return {}

    with pytest.raises(Killed):
        _fit(recipe, dies, key="killed")
    resumed, again = _fit(recipe, key="killed")
    assert _digest(resumed) == _digest(network)
    assert again == history


def test_augmentation_that_grows_goes_on_as_it_stood(capsys: pytest.CaptureFixture[str]) -> None:
    """Killed after its strengths have grown."""
    recipe = _recipe(epochs=3, augment=AUGMENT.model_copy(update={"grow": "plateau", "patience": 1}))
    scores = iter([0.3, 0.2, 0.4, 0.3, 0.2])
    network, history = _fit(recipe, lambda _: {"map5": next(scores)}, key="whole")
    told = "validation does not improve: augmentation grows to 50% of its strengths"
    assert capsys.readouterr().out.count(told) == 1

    def dies(_: Embedder) -> dict[str, float]:
        if (score := next(scores, None)) is None:
            raise Killed
        return {"map5": score}

    with pytest.raises(Killed):
        _fit(recipe, dies, key="killed")
    assert capsys.readouterr().out.splitlines()[-1] == told
    resumed, again = _fit(recipe, lambda _: {"map5": 0.4}, key="killed")
    assert _digest(resumed) == _digest(network)
    assert again == history
    run = Run(Colours(LESSONS, recipe.train), network, Photos(_pixels, 8), recipe, nobody)
    for epochs, rotate in ((0, 15 / 4), (2, 15 / 2)):
        run.history = history[:epochs]
        assert run.varied().train.augment.rotate == rotate


TECHNIQUES: dict[str, dict[str, Any]] = {
    "swa": {"swa": 0.5},
    "ramp": {"margin": TRAIN.margin.model_copy(update={"ramp": 0.5})},
    "weight_decay": {"weight_decay": 0.5},
    "head_lr_factor": {"head_lr_factor": 20.0},
    "first_size": {"first_size": 16},
    **{
        name: {"finetune": TRAIN.finetune.model_copy(update={name: value})}
        for name, value in {"hold_norms": True, "layer_decay": 0.7, "trainable": 0.6, "unfreeze": [1]}.items()
    },
    **{
        kind: {"schedule": TRAIN.schedule.model_copy(update={"kind": kind})}
        for kind in ("one_cycle", "step", "restarts")
    },
    **{
        name: {"augment": AUGMENT.model_copy(update={name: value})}
        for name, value in {
            "rotate": 90.0, "shear": 30.0, "grow": 1.0, "mixup": 0.4, "noise": 1.0, "blur": 1.0, "grey": 1.0,
            "erase": 1.0,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_each_technique_alone_reaches_the_weights(whole: tuple[str, list[dict[str, float]]], technique: str) -> None:
    assert _digest(_fit(_recipe(**TECHNIQUES[technique]), key=technique)[0]) != whole[0]


def test_scores_come_when_they_are_due_and_at_the_end() -> None:
    asked = []

    def validate(_: Embedder) -> dict[str, float]:
        asked.append(1)
        return {"map5": 0.5}

    _, history = _fit(_recipe(epochs=5, score_every=2), validate=validate)
    assert ["map5" in row for row in history] == [False, True, False, True, True]
    assert len(asked) == 3


def test_the_best_epoch_is_kept_and_survives_a_killed_run() -> None:
    digests: list[str] = []

    def validate(embedder: Embedder) -> dict[str, float]:
        digests.append(hashlib.sha256(str([t.sum().item() for t in embedder.parameters()]).encode()).hexdigest())
        return {"map5": [0.2, 0.9, 0.5, 0.9, 0.1][len(digests) - 1]}

    recipe = _recipe(epochs=5, keep="best")
    network, history = _fit(recipe, validate, key="kept")
    kept = hashlib.sha256(str([t.sum().item() for t in network.embedder.parameters()]).encode()).hexdigest()
    assert digests.index(kept) == 3  # the later one of two that are equally good
    assert [row["map5"] for row in history] == [0.2, 0.9, 0.5, 0.9, 0.1]
    whole, digests = _digest(network), []

    def dies(embedder: Embedder) -> dict[str, float]:
        if len(digests) == 4:
            raise Killed
        return validate(embedder)

    with pytest.raises(Killed):
        _fit(recipe, dies, key="dies")
    again, _ = _fit(recipe, validate, key="dies")
    assert _digest(again) == whole


def test_boxes_that_are_cut_have_the_area_of_a_beta_and_a_coin_decides_with_mixup() -> None:
    assert cut_box(_recipe(), 5) is None
    recipe = _recipe(augment=AUGMENT.model_copy(update={"cutmix": 1.0}))
    boxes = [cut_box(recipe, step) for step in range(500)]
    assert cut_box(recipe, 3) == boxes[3]
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in filter(None, boxes)]
    assert len(areas) == 500
    assert 0 <= min(areas) < 0.05
    assert 0.8 < max(areas) <= 1
    both = _recipe(augment=AUGMENT.model_copy(update={"cutmix": 1.0, "mixup": 0.2}))
    cut = [cut_box(both, step) is not None for step in range(500)]
    assert 200 < sum(cut) < 300
    assert all(mixing_share(both, step) == 1 for step in range(50) if cut[step])
    assert any(mixing_share(both, step) < 1 for step in range(50) if not cut[step])


def test_cutting_photos_trains_and_repeats_itself() -> None:
    recipe = _recipe(augment=AUGMENT.model_copy(update={"cutmix": 1.0}))
    assert _digest(_fit(recipe, key="one")[0]) == _digest(_fit(recipe, key="two")[0])
