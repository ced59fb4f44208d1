"""How every command starts and ends: options that are paths, errors in one line."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import is_dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from finprint.base.errors import UserError
from finprint.base.files import UNWRITABLE
from finprint.base.unchanged import Unchanged

# Files and folders, given as --name PATH: what a stage reads; what it writes, or watches itself by `depend_on`.
READ = "read"
Input = Annotated[Path, typer.Option(show_default=False), READ]
Inputs = Annotated[list[Path], typer.Option(show_default=False), READ]
Output = Annotated[Path, typer.Option(show_default=False)]


def run(main: Callable[..., Callable[[], None] | None]) -> None:
    """Run a stage's `main` with arguments from the command line; a `UserError` ends in one line and exit code 2.

    Args:
        main: its parameters, or the fields of the dataclass that is its one parameter, are of the types `Input`,
            `Inputs` and `Output`. What it returns is called when it is
            certain that nothing the stage depends on has changed while it ran: the place to forget a checkpoint.
    """
    keep_memory()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(_watched(main))
    if "WORLD_SIZE" in os.environ:  # torchrun started this process and others
        from finprint.base.processes import by_torchrun  # torch takes seconds to import, and not every stage needs it

        guard(by_torchrun(app))
    else:
        guard(app)


def _watched(main: Callable[..., Callable[[], None] | None]) -> Callable[..., None]:
    """`main` as typer calls it: with an option for each parameter, or for each field of the dataclass it takes."""
    hints = {name: hint for name, hint in get_type_hints(main, include_extras=True).items() if name != "return"}
    first = next(iter(hints.values()))
    grouped: Any = first if is_dataclass(first) else None
    options = get_type_hints(grouped, include_extras=True) if grouped else hints
    reads = [name for name, hint in options.items() if READ in getattr(hint, "__metadata__", ())]

    def watched(**given: Any) -> None:
        paths = [path for name in reads for path in (given[name] if isinstance(given[name], list) else [given[name]])]
        before = Unchanged(paths, Path(sys.argv[0]))
        at_the_end = main(grouped(**given)) if grouped else main(**given)
        before.check()
        if at_the_end:
            at_the_end()

    watched.__signature__ = signature(grouped or main)  # type: ignore[attr-defined]
    watched.__annotations__ = options
    return watched


def guard(app: Callable[[], Any]) -> None:
    """Call `app`; turn a `UserError`, and a disk that cannot be written to, into one line and exit code 2, Ctrl-C into
    exit code 130."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        place, reason = error.filename or "the disk", os.strerror(error.errno).lower()
        print(f"error: {place}: {reason}. Mend this and run the same command again", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == 130:  # typer's, for Ctrl-C
            print("interrupted: run the same command again to go on", file=sys.stderr)
        raise


def keep_memory() -> None:
    """Tell glibc to keep freed memory: each training step would return its activations to the system and
    fault them in again, tens of thousands of pages a step (measured in docs/log.md)."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(option, 2**30)
