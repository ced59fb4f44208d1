"""What changes over a training: learning rates, with a warm-up and one of several falls; averages; what grows."""

import math
from collections.abc import Callable, Iterable

from finprint.learning.params import Schedule

WEAK = 0.25  # the share of the augmentation's strengths from which they grow
LAST = 0.01  # the share of the peak that the falls end at, but for `one_cycle` and `step`


def learning_rate(step: int, steps: int, schedule: Schedule) -> float:
    """The learning rate at a step, as a share of its peak.

    Args:
        step: 0 to `steps` - 1.
        steps: of the whole training.
        schedule: the section `train.schedule`. After a linear climb over the share `warmup` of the steps:
            cosine: half a cosine down to a hundredth (Loshchilov and Hutter, SGDR, ICLR 2017);
            restarts: `cycles` of them, each twice as long as the one before (ibid.), from `cycle_decay` times its peak;
            step: a tenth from each share in `drops` of the whole on;
            one_cycle: climbs by a cosine from a 25th instead, and falls to a 10,000th of that
            (Smith, Super-convergence, 2018; as in torch's OneCycleLR).
    """
    climb = round(steps * schedule.warmup)
    if step < climb:
        curved = schedule.kind == "one_cycle"
        return _half_cosine(1 / 25, 1.0, step / max(1, climb - 1)) if curved else (step + 1) / climb
    return FALLS[schedule.kind](min(1.0, (step - climb) / max(1, steps - climb - 1)), step / steps, schedule)


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def _cosine(done: float, _: float, __: Schedule) -> float:
    return _half_cosine(1.0, LAST, done)


def _restarts(done: float, _: float, schedule: Schedule) -> float:
    total, cycle = 2**schedule.cycles - 1, _cycle(done, schedule)
    peak = max(LAST, schedule.cycle_decay**cycle)
    return _half_cosine(peak, LAST, min(1.0, (done * total + 1) / 2**cycle - 1))


def _cycle(done: float, schedule: Schedule) -> int:
    """The restart that a share of the fall lies in, from 0; the first one has the length 1 of 2**cycles - 1."""
    return min(schedule.cycles - 1, int(math.log2(done * (2**schedule.cycles - 1) + 1)))


def _step(_: float, gone: float, schedule: Schedule) -> float:
    return 0.1 ** sum(gone >= drop for drop in schedule.drops)


def _one_cycle(done: float, _: float, __: Schedule) -> float:
    return _half_cosine(1.0, 1 / 25 / 1e4, done)


# Each of: share of the fall that is done, share of all steps that are gone, the section.
FALLS: dict[str, Callable[[float, float, Schedule], float]] = {
    "cosine": _cosine,
    "restarts": _restarts,
    "step": _step,
    "one_cycle": _one_cycle,
}


def even_share(step: int, steps: int, share: float) -> float:
    """The decay that makes a moving average the plain mean of the weights after each of the last steps, of which
    there are `share` of all (stochastic weight averaging: Izmailov et al., UAI 2018)."""
    after = step - (steps - max(1, round(share * steps)))
    return max(0, after) / (max(0, after) + 1)


def grown(done: int, whole: int, over: float, start: float) -> float:
    """What grows evenly from `start` to 1 over the share `over` of `whole` steps, after `done` of them."""
    return min(1.0, start + (1 - start) * done / (over * whole)) if over else 1.0


def strength(epoch: int, epochs: int, grow: float | str, schedule: Schedule) -> float:
    """The share of the augmentation's strengths that views of an epoch have.

    Args:
        epoch: 0 to `epochs` - 1.
        epochs: of the whole training.
        grow: `augment.grow`. A number: they grow evenly from a quarter to full over this share of the epochs. restarts:
            by equal steps, each time the training has converged, because its rate has fallen to a hundredth. plateau:
            they wait at a quarter, until `plateau` says more.
        schedule: of the rate; for `restarts` it has at least two cycles.
    """
    if grow == "plateau":
        return WEAK
    if grow != "restarts":
        return grown(epoch, epochs, float(grow), WEAK)
    done = max(0.0, epoch / epochs - schedule.warmup) / (1 - schedule.warmup)
    return grown(_cycle(done, schedule), schedule.cycles - 1, 1.0, WEAK)


def plateau(merits: Iterable[float], patience: int) -> float:
    """The share of the augmentation's strengths after some scores: a quarter, and a quarter more each time that the
    best score is `patience` scores old or the last step is.

    Args:
        merits: of the epochs that were scored, the first one first; higher is better. -inf is none, and does not count.
        patience: scores without a better one.
    """
    share, best, waited = WEAK, -math.inf, 0
    for merit in (merit for merit in merits if merit > -math.inf):
        waited = 0 if merit > best else waited + 1
        best = max(best, merit)
        if waited == patience:
            share, waited = share + WEAK, 0
    return min(1.0, share)
