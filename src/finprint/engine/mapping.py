"""Work on many jobs, in this process or chunk by chunk on the nodes of a cluster, with the results in order."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.engine.cluster import spread
from finprint.engine.params import Engine
from finprint.engine.work import Work

J = TypeVar("J")
R = TypeVar("R")


def mapped(
    work: Work[J, R], jobs: Sequence[J], engine: Engine, what: str, unit: str, quiet: bool = False
) -> Iterator[tuple[J, R]]:
    """Do the work on all jobs, with progress.

    Args:
        work: what is done.
        jobs: all of them.
        engine: the section `engine`. On `ray` the jobs are cut into chunks. A chunk whose node was lost, or whose
            worker had too little memory, is done again elsewhere.
        what: is done, for the bar.
        unit: what a job is.
        quiet: show no progress.

    Yields:
        (job, result), in the order of the jobs.

    Raises:
        UserError: there is no such cluster, its connection was lost more than `engine.retries` times, or Ray is not
            installed. Or a chunk was lost more often than that: all others have been yielded before, and the error
            names it. What the work itself raises is raised where its chunk would be yielded.
    """
    if engine.kind == "local":
        yield from zip(jobs, bar(what, len(jobs), unit, work.here(jobs), quiet), strict=True)
    elif len(jobs):
        with bar(what, len(jobs), unit, quiet=quiet) as progress:
            yield from spread(work, jobs, engine, unit, progress)


def device_of(engine: Engine) -> str:
    """The kind of device on which the work is done: `cuda` or `cpu`."""
    if engine.kind == "local":
        return best_device().type
    return "cuda" if engine.gpus else "cpu"
