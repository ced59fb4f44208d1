"""Nearest photos by their vectors: exactly, block by block through a mapped file, or approximately by a faiss index.

Nothing here holds all vectors in memory. Blocks begin at multiples of 1,024 rows, because faiss multiplies so many rows
at a time: the blocks' cosines are those of one search through the whole, to the bit. With other cuts the last bit
differs.
"""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from finprint.base.files import atomic
from finprint.store.arrays import Array, blocks, write_rows

FLAT = "flat"
Found = tuple[np.ndarray, np.ndarray]  # cosines and rows, (Q, K) each, best first


def nearest_rows(queries: np.ndarray, array: Array, count: int, first: int = 0) -> Found:
    """The exact cosines and the rows of each query's nearest vectors, best first. Equal cosines come in any order.

    A large array is read block by block. Its pieces can be searched apart, on several machines: where they begin at
    multiples of 1,024 rows, `merged` makes of their results what this function makes of the whole, to the bit.

    Args:
        queries: (Q, D) float32 unit vectors.
        array: (G, D) float32 unit vectors.
        count: K, or G where that is less.
        first: number of the array's first row.

    Returns:
        (Q, K) float32 cosines, -inf where they are no numbers, and (Q, K) int64 rows, there NOBODY.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    best = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
    for start, block in blocks(array):
        scores, rows = _knn(queries, np.ascontiguousarray(block, np.float32), min(count, len(block)))
        missing = rows < 0
        scores[missing] = -np.inf
        rows[~missing] += first + start
        best = merged([best, (scores, rows)], count) if start else (scores, rows)
    return best


def merged(results: list[Found], count: int) -> Found:
    """The best of some pieces' results, which come in the order of the pieces."""
    scores, rows = (np.concatenate(values, axis=1) for values in zip(*results, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _knn(queries: np.ndarray, block: np.ndarray, count: int) -> Found:
    scores, rows = faiss.knn(queries, block, count, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


def build_index(array: Array, kind: str) -> faiss.Index:
    """A faiss index of inner products; the numbers of lists and links are those that faiss's guidelines advise."""
    count, dimensions = array.shape
    lists = min(4 * int(np.sqrt(count)), count // 39)  # faiss wants 39 training vectors a list
    index: Any  # faiss's own types do not tell what a kind has
    if kind == "ivf" and lists > 1:
        index = faiss.index_factory(dimensions, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(1, lists // 16)
        index.train(array[:])
    elif kind == "hnsw":
        index = faiss.index_factory(dimensions, "HNSW32", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = 80, 256
    else:
        index = faiss.index_factory(dimensions, "Flat", faiss.METRIC_INNER_PRODUCT)
    threads = faiss.omp_get_max_threads()
    if kind == "hnsw":
        faiss.omp_set_num_threads(1)  # several threads would link the graph in another order each time
    for _, block in blocks(array):
        index.add(np.ascontiguousarray(block, np.float32))
    faiss.omp_set_num_threads(threads)
    return index


def gpus() -> int:
    """How many GPUs faiss sees."""
    return int(getattr(faiss, "get_num_gpus", int)())


def on_gpu(index: faiss.Index) -> faiss.Index:
    """The index on the GPUs that faiss sees, if there are any and if they can hold this kind of index."""
    if gpus() == 0 or isinstance(index, faiss.IndexHNSW):
        return index
    return faiss.index_cpu_to_all_gpus(index)


def write_flat(path: Path, array: Array) -> None:
    """Write a flat index of an array as `faiss.write_index` would, without holding it in memory.

    Such a file is the head of an empty index, in which the number of vectors is filled in, and the vectors.
    """
    head = bytearray(faiss.serialize_index(faiss.IndexFlatIP(array.shape[1])).tobytes())
    count, numbers = len(array), len(array) * array.shape[1]
    head[8:16] = count.to_bytes(8, "little")  # behind the kind's four letters and the dimensions
    head[-8:] = numbers.to_bytes(8, "little")
    with atomic(path) as draft, draft.open("wb") as file:
        file.write(head)
        write_rows(file, array)
