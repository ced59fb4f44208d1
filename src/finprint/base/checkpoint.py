"""Checkpoints that a killed training resumes from, and never those of other params, data or code."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch

from finprint.base.code import code_of
from finprint.base.device import best_device
from finprint.base.files import atomic, cache, remove, sha256_json, sha256_path

FINISHED = "finished"  # an empty file beside the state of a run that has ended


class Checkpoint:
    """A place for one run's state, `.cache/checkpoints/<stage>/<key>/` under the project's root.

    It is the main checkout's even in `dvc exp run --temp`, so an experiment that was killed there resumes as well.

    Args:
        stage: name of the stage.
        params: everything from params.yaml that the result depends on.
        inputs: the files and folders that it depends on; their contents enter the key, and so do the versions of
            torch and timm, the device and the number of threads.
        rooms: the rooms of this package whose code it depends on; a change elsewhere leaves the run resumable.
    """

    def __init__(self, stage: str, params: Mapping[str, Any], inputs: Sequence[Path], rooms: Iterable[str]) -> None:
        machine = [torch.__version__, timm.__version__, str(best_device()), torch.get_num_threads()]
        key = sha256_json([params, [sha256_path(path) for path in inputs], code_of(rooms), machine])
        self.folder = cache() / "checkpoints" / stage / key[:16]
        self._file = self.folder / "state.pt"

    def save(self, state: dict[str, Any]) -> None:
        """Write the state, atomically."""
        with atomic(self._file) as part:
            torch.save(state, part)

    def load(self) -> dict[str, Any] | None:
        """The last state saved, or None."""
        if not self._file.exists():
            return None
        state: dict[str, Any] = torch.load(self._file, map_location="cpu", weights_only=True)
        return state

    def finish(self) -> None:
        """The run has ended: keep its last state for a run of the same key, and forget what ended before it."""
        for other in self.folder.parent.iterdir():
            if other != self.folder and (other / FINISHED).exists():
                remove(other)
        (self.folder / FINISHED).touch()

    def clear(self) -> None:
        """Forget: the run has ended."""
        remove(self.folder)
