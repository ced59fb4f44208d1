"""What a stage depends on must stay as it is while the stage runs.

DVC hashes params, code and inputs after a stage has ended. What was edited in the meantime would be recorded as what
the stage worked with, and the next `dvc repro` would call a wrong result up to date.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import finprint
from finprint.base import params
from finprint.base.errors import UserError

SKIPPED = "__pycache__"  # Python writes it while a stage runs; .dvcignore names it, too
State = tuple[int, int, int]  # bytes, nanoseconds of the last change, number of the file on its disk
_further: dict[Path, dict[Path, State]] = {}  # of this process, for `depend_on`


def depend_on(folder: Path) -> None:
    """Watch a file or folder that no option of the stage names, from now on."""
    _further.setdefault(folder, dict(_states(folder)))


class Unchanged:
    """The state of what a stage depends on, as it was when the stage began.

    Params are those sections that the stage has read with `load_sections`, code is the rooms that it imports from.

    Args:
        inputs: files and folders; one that is missing must stay missing.
        script: the stage's own file.
    """

    def __init__(self, inputs: Iterable[Path], script: Path) -> None:
        self._inputs = {path: dict(_states(path)) for path in inputs}
        self._read_before = len(params.read_so_far())
        self._package = Path(finprint.__file__).parent
        self._code = {path: dict(_states(path)) for path in (script, *self._package.iterdir()) if path.name != SKIPPED}

    def check(self) -> None:
        """Refuse the stage's result if anything has changed.

        Raises:
            UserError: names what has changed, and says what to do.
        """
        for what in (self._changed_param(), *self._changed_files()):
            if what:
                raise UserError(
                    f"{what} while this stage ran, so its result is not recorded. Its work is kept: undo the change "
                    "and run the same command to use it, or leave the change and run the same command to begin anew"
                )

    def _changed_param(self) -> str:
        for path, before in params.read_so_far()[self._read_before :]:
            try:
                now = params.read_yaml(path)
            except UserError as error:
                return f"{error}: it has changed"
            for key, old, new in _differences(before, {key: now.get(key) for key in before}):
                return f"{path}: {key} has changed from {old!r} to {new!r}"
        return ""

    def _changed_files(self) -> Iterator[str]:
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        loaded = {Path(file) for file in files if file}
        for top, before in self._code.items():
            used = not top.is_relative_to(self._package) or any(path.is_relative_to(top) for path in loaded)
            if used:
                yield from _changes(before, dict(_states(top)))
        for top, before in (self._inputs | _further).items():
            yield from _changes(before, dict(_states(top)))


def _changes(before: dict[Path, State], now: dict[Path, State]) -> Iterator[str]:
    """What differs, in words; the first file is enough."""
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) != now.get(path):
            yield f"{path} has {'gone' if path not in now else 'come' if path not in before else 'changed'}"


def _states(top: Path) -> Iterator[tuple[Path, State]]:
    """Each file at or below `top`, with its state."""
    if not top.is_dir():
        if top.exists():
            yield top, _state(top)
        return
    for folder, below, names in os.walk(top):
        below[:] = [name for name in below if name != SKIPPED]
        for name in names:
            path = Path(folder, name)
            if path.exists():  # not a link to nowhere
                yield path, _state(path)


def _state(path: Path) -> State:
    told = path.stat()
    return told.st_size, told.st_mtime_ns, told.st_ino


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) of all that differs in two trees."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*before, *(name for name in now if name not in before)]:
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key, before, now
