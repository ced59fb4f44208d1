"""Learning rates: by hand, and beside torch's and timm's own schedulers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler

from finprint.learning.params import Schedule
from finprint.learning.schedules import FALLS, even_share, grown, learning_rate, plateau, strength


def _schedule(kind: str = "cosine", warmup: float = 0.2, **changes: Any) -> Schedule:
    return Schedule.model_validate(
        {"kind": kind, "warmup": warmup, "drops": [0.5, 0.8], "cycles": 3, "cycle_decay": 1.0} | changes
    )


def _rates(steps: int, schedule: Schedule) -> list[float]:
    return [learning_rate(step, steps, schedule) for step in range(steps)]


def test_cosine_by_hand() -> None:
    # 10 steps, 2 of them climbing; then a cosine over the steps 2 to 9, from 1 to 0.01.
    expected = [0.5, 1.0] + [0.01 + 0.99 * (1 + math.cos(math.pi * k / 7)) / 2 for k in range(8)]
    assert _rates(10, _schedule()) == pytest.approx(expected)


def test_the_ends() -> None:
    assert learning_rate(0, 8, _schedule(warmup=0.0)) == 1.0
    assert learning_rate(7, 8, _schedule(warmup=0.0)) == pytest.approx(0.01)
    assert learning_rate(0, 1, _schedule(warmup=0.5)) == 1.0  # a single step
    assert _rates(2, _schedule(warmup=0.9)) == [0.5, 1.0]  # nothing but climbing


def test_steps_by_hand() -> None:
    assert _rates(10, _schedule("step", 0.2)) == pytest.approx([0.5, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_one_cycle_is_torch_s() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1.0, total_steps=41, pct_start=10 / 41)
    expected = []
    for _ in range(41):
        expected.append(theirs.get_last_lr()[0])
        optimiser.step()
        if len(expected) < 41:
            theirs.step()
    assert _rates(41, _schedule("one_cycle", 10 / 41)) == pytest.approx(
        expected, abs=0.03
    )  # their peak lies a step off
    assert max(expected) == pytest.approx(1.0, abs=0.01)


def test_restarts_are_timm_s() -> None:
    """Cycles of 10, 20 and 40 steps."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = CosineLRScheduler(optimiser, t_initial=10, lr_min=0.01, cycle_mul=2, cycle_limit=3, t_in_epochs=False)
    schedule = _schedule("restarts", 0.0)
    for step in range(70):
        theirs.step_update(step)
        # timm counts 70 steps to the end, we 69 from the first to the last.
        assert learning_rate(step, 71, schedule) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-6), step


@given(
    kind=st.sampled_from(sorted(FALLS)), steps=st.integers(1, 300), warmup=st.floats(0, 0.99), cycles=st.integers(1, 5)
)
def test_a_rate_is_a_share_of_the_peak(kind: str, steps: int, warmup: float, cycles: int) -> None:
    rates = _rates(steps, _schedule(kind, warmup, cycles=cycles))
    assert all(0 < rate <= 1 for rate in rates)
    if kind != "one_cycle" or steps > 2:
        assert max(rates) > 0.03


def test_each_restart_is_lower_where_its_peak_decays() -> None:
    plain, lower = (_rates(71, _schedule("restarts", 0.0, cycle_decay=decay)) for decay in (1.0, 0.5))
    peaks = [lower[step] for step in (0, 10, 30)]  # seven lengths of ten steps: the cycles have 1, 2 and 4 of them
    assert peaks == pytest.approx([1.0, 0.5, 0.25])
    assert [plain[step] for step in (0, 10, 30)] == pytest.approx([1.0] * 3)
    assert min(lower) == pytest.approx(min(plain))
    assert min(_rates(71, _schedule("restarts", 0.0, cycle_decay=0.001))) == pytest.approx(0.01)


def test_augmentation_grows_when_training_has_converged() -> None:
    schedule = _schedule("restarts", 0.0)
    shares = [strength(epoch, 14, "restarts", schedule) for epoch in range(14)]
    assert shares == [0.25] * 2 + [0.625] * 4 + [1.0] * 8
    warm = [strength(epoch, 20, "restarts", _schedule("restarts", 0.3)) for epoch in range(20)]
    assert warm == [0.25] * 6 + shares
    assert [strength(epoch, 8, 0.5, schedule) for epoch in (0, 2, 4, 7)] == [0.25, 0.625, 1.0, 1.0]


@pytest.mark.parametrize(
    ("merits", "share"),
    [
        ([], 0.25),
        ([0.1, 0.2, 0.3], 0.25),
        ([0.3, 0.2], 0.25),
        ([0.3, 0.2, 0.3], 0.5),  # an equal score is no better one
        ([0.3, 0.2, 0.3, 0.2], 0.5),  # it has waited for one score since it grew
        ([0.3, 0.2, 0.3, 0.4, 0.2], 0.5),
        ([0.3, 0.2, 0.3, 0.4, 0.2, 0.1], 0.75),
        ([0.3] * 9, 1.0),
        ([-math.inf] * 4, 0.25),  # nothing to validate on
        ([0.3, 0.2, -math.inf, 0.3], 0.5),
    ],
)
def test_augmentation_grows_where_validation_stops_improving(merits: list[float], share: float) -> None:
    assert plateau(merits, 2) == share
    assert strength(3, 9, "plateau", _schedule()) == 0.25


def test_an_even_average_is_the_mean_of_the_last_steps() -> None:
    values, average = np.random.default_rng(0).random(20), 0.0
    for step, value in enumerate(values):
        decay = even_share(step, 20, 0.3)
        average = decay * average + (1 - decay) * value
    assert average == pytest.approx(values[-6:].mean())
    assert [even_share(step, 5, 0.0) for step in range(5)] == [0, 0, 0, 0, 0]  # the last one alone


@pytest.mark.parametrize(
    ("done", "over", "start", "share"),
    [(0, 0.0, 0.2, 1.0), (0, 0.5, 0.2, 0.2), (25, 0.5, 0.2, 0.6), (50, 0.5, 0.2, 1.0), (90, 0.5, 0.2, 1.0)],
)
def test_growing_by_hand(done: int, over: float, start: float, share: float) -> None:
    assert grown(done, 100, over, start) == pytest.approx(share)
