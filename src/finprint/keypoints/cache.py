"""Arrays that took long to compute, kept between runs by the content they were computed from, in a few big files.

A run that was killed goes on from here. The folder can be deleted at any time.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from finprint.base.files import atomic, remove, sha256_bytes, sha256_path
from finprint.engine.mapping import mapped
from finprint.engine.params import Engine
from finprint.engine.work import Work

KEYS, ENDS = "keys", ".ends"
KEY_BYTES = 32  # a key is a SHA-256
PERIOD = 20.0  # seconds of work that a killed run loses, at most
Arrays = Mapping[str, np.ndarray]  # of an entry, by name


class Kept:
    """Rows of arrays by key, in chunks.

    A chunk is a safetensors file that holds the arrays of its entries one behind the other. It bears the hash of its
    content as its name: a file that was damaged, or is not one of ours, is removed. One run at a time may use a folder.

    Args:
        folder: of the chunks.
        entries: in a full chunk.
    """

    def __init__(self, folder: Path, entries: int) -> None:
        self.folder, self.entries = folder, entries
        self._chunks: list[_Chunk] = []
        self._places: dict[str, tuple[_Chunk, int]] = {}
        for path in sorted(folder.glob("*")):
            self._take(path)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of an entry, by name."""
        chunk, row = self._places[key]
        return chunk.arrays(row)

    def add(self, made: Mapping[str, Arrays]) -> None:
        """Keep some entries as a new chunk.

        Args:
            made: the arrays of each entry by name, by the entry's key; the same names in each.
        """
        if not made:
            return
        tensors = {KEYS: np.frombuffer(bytes.fromhex("".join(made)), np.uint8).reshape(-1, KEY_BYTES)}
        for name in next(iter(made.values())):
            arrays = [entry[name] for entry in made.values()]
            # A row more, because safetensors reads no empty slice at a tensor's end.
            tensors[name] = np.concatenate([*arrays, np.zeros((1, *arrays[0].shape[1:]), arrays[0].dtype)])
            tensors[name + ENDS] = np.cumsum([len(array) for array in arrays], dtype=np.int64)
        content = save(tensors)
        path = self.folder / f"{sha256_bytes(content)}.safetensors"
        with atomic(path) as draft:
            draft.write_bytes(content)
        self._take(path)

    def tidy(self, keys: Sequence[str]) -> None:
        """Forget entries not among `keys` where they are the greater part, and join chunks where they are many."""
        live = [key for key in dict.fromkeys(keys) if key in self._places]
        if len(self._chunks) <= 2 * math.ceil(len(live) / self.entries) + 8 and len(self._places) <= 2 * len(live):
            return
        old = {chunk.path for chunk in self._chunks}
        before, self._chunks = self._chunks, []
        for start in range(0, len(live), self.entries):
            self.add({key: self.get(key) for key in live[start : start + self.entries]})
        self._places = {key: self._places[key] for key in live}
        del before
        for path in old - {chunk.path for chunk in self._chunks}:
            remove(path)

    def _take(self, path: Path) -> None:
        """Know the entries of a chunk."""
        try:
            chunk = _Chunk(path)
        except (OSError, ValueError, SafetensorError):
            remove(path)
            return
        self._chunks.append(chunk)
        self._places |= {key: (chunk, row) for row, key in enumerate(chunk.keys)}


class _Chunk:
    """A file of entries; an entry's rows are read when they are asked for.

    Raises:
        OSError, ValueError, SafetensorError: it is damaged or not one of ours.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.suffix != ".safetensors" or path.stem != sha256_path(path):
            raise ValueError(f"{path} is damaged")
        self._file = cast(Any, safe_open(path, framework="numpy"))
        names = set(self._file.keys())
        self._ends = {
            name.removesuffix(ENDS): self._file.get_tensor(name).tolist() for name in names if name.endswith(ENDS)
        }
        if names != {KEYS, *self._ends, *(name + ENDS for name in self._ends)}:
            raise ValueError(f"{path} is no chunk")
        self.keys: list[str] = [row.tobytes().hex() for row in self._file.get_tensor(KEYS)]
        for name, ends in self._ends.items():
            rows = self._file.get_slice(name).get_shape()[0]
            if len(ends) != len(self.keys) or ends != sorted(ends) or ends[-1:] != [rows - 1]:
                raise ValueError(f"{path}: {name} does not fit its keys")

    def arrays(self, row: int) -> dict[str, np.ndarray]:
        return {
            name: self._file.get_slice(name)[(ends[row - 1] if row else 0) : ends[row]]
            for name, ends in self._ends.items()
        }


def keep(kept: Kept, work: Work[str, Any], keys: Sequence[str], engine: Engine, what: str, unit: str) -> None:
    """Compute entries of the cache, with progress. A killed run loses the last seconds alone.

    Args:
        kept: where the entries go.
        work: makes the arrays of an entry from its key; None: there are none.
        keys: of the entries.
        engine: the section `engine`.
        what: is computed, for the bar.
        unit: of the bar.
    """
    made: dict[str, Arrays] = {}
    saved = time.monotonic()
    try:
        for key, arrays in mapped(work, keys, engine, what, unit):
            if arrays is not None:
                made[key] = arrays
            if len(made) >= kept.entries or time.monotonic() - saved > PERIOD:
                kept.add(made)
                made, saved = {}, time.monotonic()
    finally:
        kept.add(made)
