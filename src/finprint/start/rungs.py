"""What could be done, from the best to the cheapest: trainings, and second looks beside them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

SIDES = (160, 128, 112, 96)  # px of the views, best first
FULL = 30  # epochs of each of two rounds; more gave nothing
GOOD = 20  # epochs that a size must leave room for; else a smaller one is taken
FEW = 8  # epochs below which nothing but a head is trained
HEAD_EPOCHS = (60, 20)  # of a head on frozen features


@dataclass(frozen=True)
class Look:
    """How closely photos are looked at.

    Attributes:
        individuals, photos: that a query is matched with, and of each so many.
        epochs: passes in which it is learned what matches tell.
        fine: crops are looked at larger, with more local features, where few photos are compared.
    """

    individuals: int
    photos: int
    epochs: int = 8
    fine: bool = True


LOOKS = (Look(8, 2), Look(5, 2), Look(3, 2))  # best first: second photos say more than more individuals
FINE_LOOK = Look(0, 1)  # by descriptors alone, which cost a tenth of the pairs and tell nearly as much
COARSE_LOOK = Look(0, 1, fine=False)
LEAST_LOOK = Look(0, 1, epochs=0, fine=False)  # all matches count alike


@dataclass(frozen=True)
class Training:
    """How much is trained: px, epochs of both rounds; 0 px: a head alone."""

    side: int
    first: int
    second: int
    start: str = "pretrained"


def trainings(only: int | None = None) -> Iterator[Training]:
    """All that could be trained, from the best to the cheapest; the last ones are a head on frozen features.

    Args:
        only: px of the views, if the backbone takes one size alone.
    """
    sides = SIDES if only is None else (only,)
    for side in sides:
        for epochs in range(FULL, GOOD - 1, -2):
            yield Training(side, epochs, epochs)
    for epochs in range(GOOD - 2, FEW - 1, -2):
        yield Training(sides[-1], epochs, epochs)
    for epochs in range(GOOD - 2, FEW - 1, -2):
        yield Training(sides[-1], epochs, 3, "round1")
    for epochs in HEAD_EPOCHS:
        yield Training(0, epochs, 1, "round1")


def rungs(looks: bool, only: int | None = None) -> Iterator[tuple[Training, Look | None]]:
    """Trainings with a second look, from the best to the cheapest. Pairs are given up before anything else, because
    descriptors alone tell nearly as much. A finer look is given up when no training of `GOOD` epochs leaves the time.
    What matches tell is learned as long as any training leaves the time, because in two minutes it adds as much as many
    epochs. Descriptors are given up last, because a head beside them tells more than a training without them.

    Args:
        looks: can there be a second look?
        only: as for `trainings`.
    """
    whole = [training for training in trainings(only) if training.side]
    heads = [training for training in trainings(only) if not training.side]
    if looks:
        yield from itertools.product(whole[:1], LOOKS)
        yield from itertools.product([training for training in whole if training.first >= GOOD], [FINE_LOOK])
        for look in (COARSE_LOOK, LEAST_LOOK):
            yield from itertools.product(whole, [look])
        for look in (FINE_LOOK, COARSE_LOOK, LEAST_LOOK):
            yield from itertools.product(heads, [look])
    yield from itertools.product([*whole, *heads], [None])
