"""Finished crops of earlier runs, known by what they were made from, in a few big files.

A run that was killed goes on from here, and a photo that is added costs only its own crop. The folder can be deleted
at any time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.files import atomic, cache, hold, remove
from finprint.pictures.shards import write_shard
from finprint.store.tables import SIDES

CHUNK = 512  # photos a chunk: what a killed run loses at most
COLUMNS = ["key", "part", *SIDES, "confidence", "offset", "length"]  # of a chunk's table, a row a crop


@dataclass(frozen=True)
class Cut:
    """A finished crop: the part, its box in pixels of the full photo (4,), its confidence, and the stored JPEG."""

    part: str
    box: np.ndarray
    confidence: float
    jpeg: bytes


class CropCache:
    """The crops made under one key, `.cache/crops/<key>/` under the project's root; a context manager.

    One run at a time may use the caches of a project: another one waits. A chunk is a tar of JPEGs and a table; it
    counts once its table is there, and that is written last.

    Args:
        key: hashes all that a crop depends on besides its photo.
    """

    def __init__(self, key: str) -> None:
        self.folder = cache() / "crops" / key[:16]
        self._chunks: list[_Chunk] = []
        self._places: dict[str, tuple[_Chunk, int, int]] = {}  # key of a photo -> chunk, first and last row

    def __enter__(self) -> "CropCache":
        self._lock = hold(self.folder.with_name("lock"), "another run is cropping: waiting for its end")
        for table in sorted(self.folder.glob("*.parquet")):
            self._take(table)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> list[Cut]:
        """The crops of a photo."""
        chunk, start, stop = self._places[key]
        return [chunk.cut(row) for row in range(start, stop)]

    def add(self, made: Mapping[str, Sequence[Cut]]) -> None:
        """Keep the crops of some photos, by the photos' keys, as a new chunk."""
        if not made:
            return
        number = 1 + max((int(chunk.table.stem) for chunk in self._chunks), default=-1)
        table = self.folder / f"{number:08}.parquet"
        cuts = [(key, cut) for key, mine in made.items() for cut in mine]
        with atomic(table.with_suffix(".tar")) as part:
            places = write_shard(part, [(f"{row:08}.jpg", cut.jpeg) for row, (_, cut) in enumerate(cuts)])
        rows: list[tuple[Any, ...]] = [
            (key, cut.part, *map(float, cut.box), cut.confidence, *place)
            for (key, cut), place in zip(cuts, places, strict=True)
        ]
        with atomic(table) as part:
            pd.DataFrame(rows, columns=COLUMNS).to_parquet(part, index=False)
        self._take(table)

    def tidy(self, keys: Sequence[str]) -> None:
        """Forget the crops of other keys of the cache, and, where they are many, those of photos not among `keys`.

        Few additions leave a few small chunks; many, or many photos gone, are written anew as full ones.
        """
        for other in self.folder.parent.iterdir():
            if other.is_dir() and other != self.folder:
                remove(other)
        live = [key for key in dict.fromkeys(keys) if key in self._places]
        if len(self._chunks) > 2 * math.ceil(len(live) / CHUNK) + 8 or len(self._places) > 2 * len(live):
            old = len(self._chunks)
            for start in range(0, len(live), CHUNK):
                self.add({key: self.get(key) for key in live[start : start + CHUNK]})
            self._chunks = self._chunks[old:]
            self._places = {key: self._places[key] for key in live}
        known = {chunk.table.stem for chunk in self._chunks}
        for path in self.folder.glob("*"):
            if path.stem not in known:
                remove(path)

    def _take(self, table: Path) -> None:
        """Know the crops of a chunk; one that a crash of the machine damaged is passed over."""
        try:
            chunk = _Chunk(table)
        except (OSError, ValueError):
            return
        self._chunks.append(chunk)
        starts = np.flatnonzero(np.r_[True, chunk.keys[1:] != chunk.keys[:-1]])
        for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(chunk.keys)], strict=True):
            self._places[chunk.keys[start]] = (chunk, start, stop)


class _Chunk:
    """A tar of crops with its table. It is read and not mapped, or the process would grow by all that it reads.

    Raises:
        OSError, ValueError: it is damaged.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        rows = pd.read_parquet(table)
        self.keys: np.ndarray = rows["key"].to_numpy(object)
        self._parts: np.ndarray = rows["part"].to_numpy(object)
        self._boxes = rows[SIDES].to_numpy(np.float64)
        self._sure = rows["confidence"].to_numpy(np.float64)
        self._ends = rows[["offset", "length"]].to_numpy(np.int64)
        self._tar = table.with_suffix(".tar")
        if len(rows) == 0 or self._ends.sum(axis=1).max() > self._tar.stat().st_size:
            raise ValueError(f"{table} and its tar do not fit")

    def cut(self, row: int) -> Cut:
        offset, length = self._ends[row].tolist()
        with self._tar.open("rb") as file:
            file.seek(offset)
            return Cut(self._parts[row], self._boxes[row], float(self._sure[row]), file.read(length))
