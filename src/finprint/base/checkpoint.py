"""Checkpoints: a killed training resumes from its own, and never from one of other params, data or code."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, TextIO

import torch

from finprint.base.code import code_of
from finprint.base.device import best_device, has_bfloat16
from finprint.base.files import atomic, cache, hold, intact, remove, seal, sha256_json, sha256_path

FINISHED = "finished"  # an empty file beside the state of a run that has ended


class Checkpoint:
    """A place for one run's state, `.cache/checkpoints/<stage>/<key>/` under the project's root.

    It is the main checkout's even in `dvc exp run --temp`, so an experiment that was killed there resumes as well. One
    process at a time uses it; another one waits for its end, and then goes on from what it left.

    Args:
        stage: name of the stage.
        params: everything from params.yaml that the result depends on.
        inputs: the files and folders that it depends on; their contents enter the key, and so do the versions of
            torch and timm, the device, whether it has bfloat16, and the number of threads.
        rooms: the rooms of this package whose code it depends on; a change elsewhere leaves the run resumable.
    """

    _locks: ClassVar[dict[Path, TextIO]] = {}  # that this process holds, by their checkpoint's folder

    def __init__(self, stage: str, params: Mapping[str, Any], inputs: Sequence[Path], rooms: Iterable[str]) -> None:
        device = best_device()
        machine = [torch.__version__, version("timm"), str(device), has_bfloat16(device), torch.get_num_threads()]
        key = sha256_json([params, [sha256_path(path) for path in inputs], code_of(rooms), machine])
        self.folder = cache() / "checkpoints" / stage / key[:16]
        self._file = self.folder / "state.pt"

    def lock(self) -> None:
        """Keep other processes away until this one finishes, clears or ends. `save` and `load` do it themselves."""
        if self.folder not in self._locks:
            message = f"another process does the same work ({self.folder}): waiting for its end"
            self._locks[self.folder] = hold(self._lock_file, message)

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, atomically."""
        self.lock()
        with atomic(self._file) as draft:
            torch.save(state, draft)
            seal(draft)

    def load(self) -> dict[str, Any] | None:
        """The last state saved. None where there is none, or a damaged one, which is removed."""
        self.lock()
        if not intact(self._file):
            remove(self.folder / FINISHED)  # the run begins anew, so what ends meanwhile must not forget it
            return None
        state: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True)
        return state

    def peek(self) -> dict[str, Any] | None:
        """The last state saved, for a look: nothing is locked. None where there is none that can be read."""
        try:
            state: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True, mmap=True)
        except Exception:  # none yet, being replaced, or damaged
            return None
        return state

    def finish(self) -> None:
        """The run has ended: keep its last state for a run of the same key, and forget what ended before it."""
        for other in self.folder.parent.iterdir():
            if other != self.folder and (other / FINISHED).exists():
                remove(other)
        (self.folder / FINISHED).touch()
        self._unlock()

    def clear(self) -> None:
        """Forget the run: it has ended."""
        remove(self.folder)
        self._unlock()

    @property
    def _lock_file(self) -> Path:
        return self.folder.with_suffix(".lock")

    def _unlock(self) -> None:
        if self.folder in self._locks:
            remove(self._lock_file)
            self._locks.pop(self.folder).close()
