"""How every command starts and ends: options that are paths, errors in one line."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from finprint.base.errors import UserError
from finprint.base.files import UNWRITABLE

Place = Annotated[Path, typer.Option(show_default=False)]  # a file or folder, given as --name PATH


def run(main: Callable[..., Any]) -> None:
    """Run `main` with arguments from the command line; a `UserError` ends in one line and exit code 2."""
    keep_memory()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    guard(app)


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
