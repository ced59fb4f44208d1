"""Arrays of vectors whose rows stay in their files until they are asked for."""

import mmap
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np

BLOCK = 131_072  # rows read at a time; a multiple of 1,024, see `finprint.matching.indexes`


class Array(Protocol):
    """(N, D) float32, of which some rows are read at a time: a numpy array, mapped or not, or one of the classes here.

    Rows that are asked for by numbers, a mask or a slice come as a numpy array.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray: ...


class Readable:
    """What arrays have in common that are read when they are asked for.

    Attributes:
        shape: (N, D).
    """

    shape: tuple[int, int]
    dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it, in memory."""
        return np.asarray(self[:], dtype=dtype)

    def __getitem__(self, rows: Any) -> np.ndarray:
        raise NotImplementedError

    def portable(self, rows: Any) -> Array:
        """Some rows, a slice or numbers, as another process can have them: see `portable`."""
        return self[rows]


class Stored(Readable):
    """Some rows of a .npy file. What travels to another process is its path and where the rows are.

    Args:
        path: of the file, which is opened each time that rows are asked for.
        rows: of the file, a slice or (N,) numbers.
        shape: (N, D).
    """

    def __init__(self, path: str, rows: Any, shape: tuple[int, int]) -> None:
        self._path, self._rows, self.shape = path, rows, shape

    def __getitem__(self, rows: Any) -> np.ndarray:
        file: np.ndarray = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return np.asarray(file[self._rows][rows])


class Selection(Readable):
    """Some rows of arrays that lie one below the other.

    Neighbouring rows of one array come as a view: of a mapped file nothing is copied.

    Args:
        arrays: (N_i, D) each.
        rows: (N,) of them, counted through; None: all rows.
    """

    def __init__(self, arrays: Sequence[Array], rows: np.ndarray | None = None) -> None:
        self._arrays = arrays
        self._ends = np.cumsum([len(array) for array in arrays])
        self._rows = np.arange(self._ends[-1]) if rows is None else rows
        self.shape = len(self._rows), arrays[0].shape[1]

    def __getitem__(self, rows: Any) -> np.ndarray:
        wanted = self._rows[rows]
        if wanted.ndim == 0:
            return self[np.array([rows])][0]
        if len(self._arrays) == 1:
            return self._arrays[0][_as_slice(wanted)]
        out = np.empty((len(wanted), self.shape[1]), np.float32)
        source = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(source):
            here = source == number
            out[here] = self._arrays[number][wanted[here] - (self._ends[number - 1] if number else 0)]
        return out

    def portable(self, rows: Any) -> Array:
        return portable(self._arrays[0], _as_slice(self._rows[rows])) if len(self._arrays) == 1 else self[rows]


class SideBySide(Readable):
    """Unit vectors whose cosines are a weighted mean of the cosines of several arrays.

    Args:
        arrays: (N, D_i) each, unit vectors.
        weights: of the arrays, of sum 1. An array of weight 0 is left out.
    """

    def __init__(self, arrays: Sequence[Array], weights: Sequence[float]) -> None:
        weighed = [(np.float32(np.sqrt(w)), array) for w, array in zip(weights, arrays, strict=True) if w]
        self._arrays, self._weights = arrays, weights
        self._weighed = weighed
        self.shape = len(weighed[0][1]), sum(array.shape[1] for _, array in weighed)

    def __getitem__(self, rows: Any) -> np.ndarray:
        return np.concatenate([root * array[rows] for root, array in self._weighed], axis=-1)

    def portable(self, rows: Any) -> Array:
        return SideBySide([portable(array, rows) for array in self._arrays], self._weights)


def portable(array: Array, rows: Any) -> Array:
    """Some rows of an array, a slice or numbers, as another process can have them.

    Those of a mapped .npy file are known by its path and are read there. All others are their numbers.
    """
    if isinstance(array, Readable):
        return array.portable(rows)
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and str(array.filename).endswith(".npy"):
        count = len(range(*rows.indices(len(array)))) if isinstance(rows, slice) else len(rows)
        return Stored(str(array.filename), rows, (count, array.shape[1]))
    return np.asarray(array[rows])


def block_rows(count: int) -> list[slice]:
    """Where the blocks of `count` rows are."""
    return [slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def blocks(array: Array) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of an array, `BLOCK` at a time, each block with the number of its first row."""
    for rows in block_rows(len(array)):
        yield rows.start, array[rows]


def write_rows(file: BinaryIO, array: Array) -> None:
    """Write the numbers of an array, row by row, a block at a time."""
    for _, block in blocks(array):
        file.write(np.ascontiguousarray(block, np.float32).tobytes())


def _as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """The slice that stands for these rows, if they follow one upon the other; else the rows."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
