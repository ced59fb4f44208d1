"""Finished crops of earlier runs, in a few big files, each crop under a key of all that it was made from.

A run that was killed goes on from here, and a photo that is added costs only its own crop. The folder can be deleted
at any time.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.files import SEAL, atomic, cache, hold, intact, remove, seal, sha256_path
from finprint.engine.params import LOCAL, Engine
from finprint.pictures.shards import write_shard
from finprint.store.tables import SIDES

CHUNK = 512  # photos a chunk: what a killed run loses at most
COLUMNS = ["key", "part", *SIDES, "confidence", "offset", "length"]  # of a chunk's table, a row a crop
TAR_HASH = "tar_sha256"  # under this name the table's metadata hold the SHA-256 of its tar


@dataclass(frozen=True)
class Cut:
    """A finished crop: the part, its box in pixels of the full photo (4,), its confidence, and the stored JPEG."""

    part: str
    box: np.ndarray
    confidence: float
    jpeg: bytes


class CropCache:
    """The crops made under one key, `.cache/crops/<key>/` under the project's root; a context manager.

    One run at a time uses the caches of a project; another one waits. A chunk is a tar of JPEGs and a sealed table
    with the tar's hash. It counts once its table is there, which is written last. A damaged chunk is removed.

    Args:
        key: hashes all that a crop depends on besides its photo.
        engine: where missing crops are made.
    """

    def __init__(self, key: str, engine: Engine = LOCAL) -> None:
        self.engine = engine
        self.folder = cache() / "crops" / key[:16]
        self._chunks: list[_Chunk] = []
        self._places: dict[str, tuple[_Chunk, int, int]] = {}  # key of a photo -> chunk, first and last row

    def __enter__(self) -> "CropCache":
        self._lock = hold(self.folder.with_name("lock"), "another run is cropping: waiting for its end")
        for table in sorted(self.folder.glob("[0-9]*.parquet")):
            if _is_whole(table):
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
        cuts = [(key, cut) for key, its in made.items() for cut in its]
        with atomic(_tar(table)) as draft:
            places = write_shard(draft, [(f"{row:08}.jpg", cut.jpeg) for row, (_, cut) in enumerate(cuts)])
        rows: list[tuple[Any, ...]] = [
            (key, cut.part, *map(float, cut.box), cut.confidence, *place)
            for (key, cut), place in zip(cuts, places, strict=True)
        ]
        kept = pd.DataFrame(rows, columns=COLUMNS)
        kept.attrs[TAR_HASH] = sha256_path(_tar(table))
        with atomic(table) as draft:
            kept.to_parquet(draft, index=False)
            seal(draft)
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
        kept = {chunk.table.stem for chunk in self._chunks}
        for path in self.folder.glob("*"):
            if path.stem not in kept:
                remove(path)

    def _take(self, table: Path) -> None:
        """From now on the crops of this chunk are there."""
        chunk = _Chunk(table)
        self._chunks.append(chunk)
        for key, start, stop in chunk.photos():
            self._places[key] = (chunk, start, stop)


def _tar(table: Path) -> Path:
    return table.with_suffix(".tar")


def _is_whole(table: Path) -> bool:
    """Do the table of a chunk and its tar have the content with which they were written? Else both are removed."""
    if not intact(table):
        remove(_tar(table))
        return False
    if _tar(table).is_file() and sha256_path(_tar(table)) == _read(table).attrs[TAR_HASH]:
        return True
    print(f"{_tar(table)} is damaged: its crops are made anew", flush=True)
    remove(table)
    remove(_tar(table))
    return False


def _read(table: Path) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(table.read_bytes()[:-SEAL]))


class _Chunk:
    """A tar of crops with its table. It is read and not mapped, or the process would grow by all that it reads."""

    def __init__(self, table: Path) -> None:
        self.table = table
        rows = _read(table)
        self._keys: np.ndarray = rows["key"].to_numpy(object)
        self._parts: np.ndarray = rows["part"].to_numpy(object)
        self._boxes = rows[SIDES].to_numpy(np.float64)
        self._confidences = rows["confidence"].to_numpy(np.float64)
        self._ends = rows[["offset", "length"]].to_numpy(np.int64)

    def photos(self) -> Iterator[tuple[str, int, int]]:
        """Each photo's key, its first row, and the row behind its last one."""
        starts = np.flatnonzero(np.r_[True, self._keys[1:] != self._keys[:-1]]).tolist()
        for start, stop in zip(starts, [*starts[1:], len(self._keys)], strict=True):
            yield self._keys[start], start, stop

    def cut(self, row: int) -> Cut:
        """The crop in a row."""
        offset, length = self._ends[row].tolist()
        with _tar(self.table).open("rb") as file:
            file.seek(offset)
            return Cut(self._parts[row], self._boxes[row], float(self._confidences[row]), file.read(length))
