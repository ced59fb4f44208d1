"""Nearest photos by their vectors: exactly, block by block through a mapped file, or by lists of compressed vectors.

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

AUTO, FLAT, SQ8, PQ = "auto", "flat", "ivf_sq8", "ivf_pq"  # kinds of indexes
FLAT_UP_TO, SQ8_UP_TO = 2_000_000, 10_000_000  # vectors, for `auto`
POINTS = 39  # vectors that a centre is fitted to: fewer make faiss warn
LEAST = 2 * POINTS  # vectors: with fewer there are no two lists
MOST_LISTS = 16_384
COMPARED = {SQ8: 1, PQ: 4}  # photos compared again for each that is wanted: coarser codes miss more
AGAIN = 16  # queries whose photos are compared again at a time, which bounds the memory
SAMPLE = 256  # queries by which nprobe is chosen; by as many others recall is told
RECALL = 0.98  # the share of queries whose nearest photo must be found
TUNED = 100  # neighbours looked up by these queries
KNOWN = 16  # times as many neighbours as were asked for are kept, which bounds the memory
FEWEST = 8  # lists read at first
NEAR = 1e-6  # cosines that differ by less may differ by rounding
GPU_NEIGHBOURS = 2048  # the most neighbours that faiss looks up on a GPU, and the most lists that it reads there
Found = tuple[np.ndarray, np.ndarray]  # cosines and rows, (Q, K) each, best first


def nearest_rows(queries: np.ndarray, array: Array, count: int, first: int = 0) -> Found:
    """The exact cosines and the rows of each query's nearest vectors, best first. Equal cosines come in any order.

    A large array is read block by block. Pieces that begin at multiples of 1,024 rows can also be searched apart:
    `merged` makes of their results what this function makes of the whole, to the bit.

    Args:
        queries: (Q, D) float32 unit vectors.
        array: (G, D) float32 unit vectors.
        count: K, or G where that is less.
        first: number of the array's first row.

    Returns:
        (Q, K) float32 cosines, -inf where they are no numbers, and (Q, K) int64 rows, there NOBODY.
    """
    (scores, rows), _ = all_nearest(queries, array, count, first)
    return scores[:, :count], rows[:, :count]


def all_nearest(queries: np.ndarray, array: Array, count: int, first: int = 0) -> tuple[Found, np.ndarray]:
    """All that the search for the nearest `count` tells: of several blocks, it is more than was asked for.

    Of each block the nearest `count` are known. So all cosines are known that lie above the last of each block.

    Returns:
        At least `count` cosines and rows for each query, and (Q,) the cosine above which they are complete.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    results = [(np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64))]
    bound = np.full(len(queries), -np.inf, np.float32)
    for start, block in blocks(array):
        scores, rows = _knn(queries, np.ascontiguousarray(block, np.float32), min(count, len(block)))
        missing = rows < 0
        scores[missing] = -np.inf
        rows[~missing] += first + start
        results.append((scores, rows))
        if len(block) > count:
            bound = np.maximum(bound, scores[:, -1])
    scores, rows = merged(results, KNOWN * count)
    if scores.shape[1] < sum(some.shape[1] for some, _ in results):
        bound = np.maximum(bound, scores[:, -1])
    return (scores, rows), bound


def merged(results: list[Found], count: int) -> Found:
    """The best of some pieces' results, which come in the order of the pieces."""
    scores, rows = (np.concatenate(values, axis=1) for values in zip(*results, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _knn(queries: np.ndarray, block: np.ndarray, count: int) -> Found:
    scores, rows = faiss.knn(queries, block, count, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


class Compressed:
    """Vectors in inverted lists, a few bytes each. What is near by these is compared again by the vectors themselves.

    So the cosines are exact, and only whom it misses is a matter of chance. How many lists a search reads (nprobe) is
    doubled until it finds the nearest photo of `RECALL` of some queries.

    Args:
        array: (G, D) float32 unit vectors.
        kind: `ivf_sq8`: D bytes a vector; `ivf_pq`: D / 8 bytes a vector, and lists found by a graph.
        asked: (Q, D) queries by which nprobe is chosen and recall is told; without any, a sixteenth of the lists is
            read.

    Attributes:
        cpu: the index in faiss, as it is written to a file.
        recall: share of queries, other than those that nprobe was chosen by, whose nearest photo it finds; None without
            queries.
    """

    def __init__(self, array: Array, kind: str, asked: Array) -> None:
        self._array = array
        self._kind = kind
        self.cpu = _built(array, kind)
        self._index = self.cpu
        self.recall = self._tune(asked[_evenly(len(asked), 2 * SAMPLE)])
        if self.cpu.nprobe <= GPU_NEIGHBOURS:
            self._index = on_gpu(self.cpu)

    def search(self, queries: np.ndarray, count: int) -> Found:
        """As `nearest_rows`, of the photos that the lists show; NOBODY at -inf where they show fewer than `count`."""
        wanted = min(count * COMPARED[self._kind], len(self._array))
        index = self._index if wanted <= GPU_NEIGHBOURS else self.cpu
        queries = np.ascontiguousarray(queries, np.float32)
        _, rows = index.search(queries, wanted)
        scores = np.empty(rows.shape, np.float32)
        for start in range(0, len(queries), AGAIN):
            some = slice(start, start + AGAIN)
            there, place = np.unique(np.maximum(rows[some], 0), return_inverse=True)  # in the order of the file
            stored = self._array[there][place.reshape(rows[some].shape)]
            scores[some] = np.einsum("qrd,qd->qr", stored, queries[some])
        scores[rows < 0] = -np.inf
        return merged([(scores, rows)], count)

    def _tune(self, asked: np.ndarray) -> float | None:
        """Choose nprobe by every other query; the recall of the rest."""
        lists = self.cpu.nlist
        self._read(max(1, lists // 16))
        if len(asked) < 2:
            return None
        exact, _ = nearest_rows(asked, self._array, 1)
        nprobe = FEWEST
        while True:
            self._read(min(nprobe, lists))
            found = self.search(asked, TUNED)[0][:, 0] >= exact[:, 0] - NEAR
            if found[::2].mean() >= RECALL or nprobe >= lists:
                return float(found[1::2].mean())
            nprobe *= 2

    def _read(self, nprobe: int) -> None:
        """Have a search read so many lists."""
        self.cpu.nprobe = nprobe
        if self._kind == PQ:
            graph: Any = faiss.downcast_index(self.cpu.quantizer)
            graph.hnsw.efSearch = 2 * nprobe


def chosen(kind: str, count: int) -> str:
    """The kind of index for so many vectors: what `auto` stands for, and `flat` where there are too few for lists."""
    if kind == AUTO:
        kind = FLAT if count <= FLAT_UP_TO else SQ8 if count <= SQ8_UP_TO else PQ
    return kind if count >= LEAST else FLAT


def _built(array: Array, kind: str) -> Any:
    """A faiss index of compressed vectors; the number of lists is that which faiss's guidelines advise."""
    count, dimensions = array.shape
    lists = min(4 * int(np.sqrt(count)), count // POINTS, MOST_LISTS)
    sample = np.ascontiguousarray(array[_evenly(count, lists * POINTS)], np.float32)
    clustering = faiss.Clustering(dimensions, lists)
    clustering.niter, clustering.spherical = 10, True
    clustering.train(sample, faiss.IndexFlatIP(dimensions))
    centres = faiss.vector_float_to_array(clustering.centroids).reshape(lists, dimensions)
    index: Any  # faiss's own types do not tell what a kind has
    if kind == SQ8:
        flat, bits = faiss.IndexFlatIP(dimensions), faiss.ScalarQuantizer.QT_8bit
        flat.add(centres)
        index = faiss.IndexIVFScalarQuantizer(flat, dimensions, lists, bits, faiss.METRIC_INNER_PRODUCT)
    else:
        graph = faiss.IndexHNSWFlat(dimensions, 32, faiss.METRIC_INNER_PRODUCT)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # several threads would link the graph in another order each time
        graph.add(centres)
        faiss.omp_set_num_threads(threads)
        bits = min(8, int(np.log2(len(sample) / POINTS)))
        index = faiss.IndexIVFPQ(graph, dimensions, lists, _pieces(dimensions), bits, faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    for _, block in blocks(array):
        index.add(np.ascontiguousarray(block, np.float32))
    return index


def _pieces(dimensions: int) -> int:
    """Into how many pieces a vector is cut, each of which takes a byte: of eight numbers, if that leaves no rest."""
    return max(pieces for pieces in range(1, -(-dimensions // 8) + 1) if dimensions % pieces == 0)


def _evenly(count: int, wanted: int) -> np.ndarray:
    """At most so many of `count` rows, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def gpus() -> int:
    """How many GPUs faiss sees."""
    return int(getattr(faiss, "get_num_gpus", int)())


def on_gpu(index: faiss.Index) -> faiss.Index:
    """The index on the GPUs that faiss sees, if there are any and if they can hold this kind of index."""
    if gpus() == 0 or isinstance(getattr(index, "quantizer", None), faiss.IndexHNSW):
        return index
    return faiss.index_cpu_to_all_gpus(index)


def flat_on_gpu(array: Array) -> faiss.Index | None:
    """A flat index of an array on the GPUs that faiss sees; None without a GPU."""
    if gpus() == 0:
        return None
    index = on_gpu(faiss.IndexFlatIP(array.shape[1]))
    for _, block in blocks(array):
        index.add(np.ascontiguousarray(block, np.float32))
    return index


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
