"""What is done with each of many jobs, in this process and in others."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")

MOST = 1024  # jobs that travel together, where each takes little
BYTES = 2**26  # of jobs that travel together, where it is known how many each takes
MOST_PHOTOS = 32  # the same where the contents of photos travel, each of which may take many MB


def most_of(size: int) -> int:
    """How many jobs of so many bytes may travel together."""
    return min(MOST, max(1, BYTES // size))


@dataclass(frozen=True)
class Work(Generic[J, R]):
    """What is done with each job, here and elsewhere.

    A stream takes a sequence of jobs and gives the result of each, in order. It may work on `batch` jobs at a time,
    counted from the first one. So a sequence that is cut at multiples of `batch` has the same results, bit by bit.

    Attributes:
        here: the stream in this process.
        there: makes the stream in another process, and is called once in each. It is pickled: it holds all that the
            stream needs, such as weights, and functions of modules that every node has.
        pack: what is sent to that stream for some jobs.
        name: of a job, for the errors.
        batch: jobs.
        most: jobs that are sent together; more only where a batch has more. It bounds the memory.
    """

    here: Callable[[Sequence[J]], Iterable[R]]
    there: Callable[[], Callable[[Any], Iterable[R]]]
    pack: Callable[[Sequence[J]], Any]
    name: Callable[[J], str]
    batch: int = 1
    most: int = MOST
