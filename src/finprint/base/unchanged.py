"""What a stage depends on must stay as it is while the stage runs.

DVC hashes params, code and inputs after a stage has ended. What was edited in the meantime would be recorded as what
the stage worked with, and the next `dvc repro` would call a wrong result up to date.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import finprint
from finprint.base import params
from finprint.base.errors import UserError
from finprint.base.files import cache

# Python, Finder and Explorer write these while a stage runs. DVC passes over them, because .dvcignore names them, too.
SKIPPED = ("__pycache__", ".DS_Store", "Thumbs.db")
# bytes, nanoseconds of the last change of content, number of the file on its disk, nanoseconds of any last change
State = tuple[int, int, int, int]
NEVER: State = (-1, -1, -1, -1)  # differs from the state of every file
_further: list[tuple[Path, dict[Path, State]]] = []  # of this process, for `depend_on`


def depend_on(folder: Path) -> None:
    """Watch a file or folder that no option of the stage names, from now on."""
    _further.append((folder, dict(_states(folder))))


class Unchanged:
    """The state of what a stage depends on, as it was when the stage began.

    Params are those sections that the stage has read with `load_sections`, code is the rooms that it imports from.

    Args:
        inputs: files and folders; one that is missing must stay missing.
        script: the stage's own file.
    """

    def __init__(self, inputs: Iterable[Path], script: Path) -> None:
        self._inputs = {path: dict(_states(path)) for path in inputs}
        self._read_before, self._watched_before = len(params.read_so_far()), len(_further)
        self._package = Path(finprint.__file__).parent
        self._code = {
            path: dict(_states(path)) for path in (script, *self._package.iterdir()) if path.name not in SKIPPED
        }
        now = time.time_ns()  # a file from the future is no edit: the clock was set back
        for states in self._code.values():  # what was edited while this process imported it may not be what it runs
            edited = [path for path, state in states.items() if finprint.BEGAN < state[1] <= now]
            states.update(dict.fromkeys(edited, NEVER))

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
        for top, before in (*self._inputs.items(), *_further[self._watched_before :]):
            yield from _changes(before, dict(_states(top)))


def _changes(before: dict[Path, State], now: dict[Path, State]) -> Iterator[str]:
    """What differs, in words; the first file is enough."""
    for path in sorted(before.keys() | now.keys()):
        if path not in now or path not in before:
            yield f"{path} has {'come' if path in now else 'gone'}"
        elif not same_file(before[path], now[path]):
            yield f"{path} has changed"


def same_file(before: State, now: State) -> bool:
    """Is it the same content in the same file, as far as its state tells?

    Some network drives number a file anew each time that they are asked, and another link to a file or other rights
    change its last time alone. Only both together mean that another file was put in its place.
    """
    return before[:2] == now[:2] and (before[2] == now[2] or before[3] == now[3])


def _states(top: Path) -> Iterator[tuple[Path, State]]:
    """Each file at or below `top`, with its state. What cannot be looked at, such as a link to nowhere, is missing."""
    paths: Iterable[Path] = [top]
    if top.is_dir():
        paths = (Path(folder, name) for folder, names in _walk(top) for name in names)
    for path in paths:
        try:
            told = path.stat()
        except OSError:
            continue
        yield path, (told.st_size, told.st_mtime_ns, told.st_ino, told.st_ctime_ns)


def _walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder at or below `top`, with the names of its files; without what is passed over and our cache."""
    kept = cache().resolve()
    own = cache().name
    for folder, below, names in os.walk(top):
        below[:] = [
            name for name in below if name not in SKIPPED and not (name == own and Path(folder, name).resolve() == kept)
        ]
        yield folder, [name for name in names if name not in SKIPPED]


def _differences(before: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) of all that differs in two trees."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*before, *(name for name in now if name not in before)]:
            yield from _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
    elif before != now:
        yield key, before, now
