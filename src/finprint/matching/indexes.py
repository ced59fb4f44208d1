"""Nearest photos by their vectors: exactly, block by block through a mapped file, or by lists of compressed vectors.

The blocks of a large search are shared out among the nodes of a cluster, if `engine.kind` asks for one.

Nothing here holds all vectors in memory. Blocks begin at multiples of 1,024 rows, because faiss multiplies so many rows
at a time: the blocks' cosines are those of one search through the whole, to the bit. With other cuts the last bit
differs.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from finprint.base.errors import UserError
from finprint.base.files import atomic
from finprint.engine.params import LOCAL, Engine
from finprint.engine.work import Work
from finprint.store.arrays import Array, block_rows, blocks, portable, write_rows

AUTO, FLAT, SQ8, PQ = "auto", "flat", "ivf_sq8", "ivf_pq"  # kinds of indexes
FLAT_UP_TO, SQ8_UP_TO = 2_000_000, 10_000_000  # vectors, for `auto`
POINTS = 39  # vectors that a centre is fitted to: fewer make faiss warn
LEAST = 2 * POINTS  # vectors: with fewer there are no two lists
MOST_LISTS = 16_384
COMPARED = {SQ8: 1, PQ: 4}  # photos compared again for each that is wanted: coarser codes miss more
AGAIN = 16  # queries whose photos are compared again at a time, which bounds the memory
SAMPLE = 256  # photos of the gallery by which nprobe is chosen; by as many queries recall is told
RECALL = 0.98  # the share of these photos whose nearest other photo must be found
TUNED = 100  # neighbours looked up by them
KNOWN = 16  # times as many neighbours as were asked for are kept, which bounds the memory
FEWEST = 8  # lists read at first
ALONE = 2**37  # multiplications, two or three seconds of a core: a cluster takes longer to begin
NEAR = 1e-6  # cosines that differ by less may differ by rounding
GPU_NEIGHBOURS = 2048  # the most neighbours that faiss looks up on a GPU, and the most lists that it reads there
Found = tuple[np.ndarray, np.ndarray]  # cosines and rows, (Q, K) each, best first


def nearest_rows(queries: np.ndarray, array: Array, count: int, first: int = 0, engine: Engine = LOCAL) -> Found:
    """The exact cosines and the rows of each query's nearest vectors, best first. Equal cosines come in any order.

    A large array is read block by block. Pieces that begin at multiples of 1,024 rows can also be searched apart:
    `merged` makes of their results what this function makes of the whole, to the bit. So do the nodes of a cluster: the
    blocks are the same there.

    Args:
        queries: (Q, D) float32 unit vectors.
        array: (G, D) float32 unit vectors.
        count: K, or G where that is less.
        first: number of the array's first row.
        engine: where the blocks are searched, if they are worth it.

    Returns:
        (Q, K) float32 cosines, -inf where they are no numbers, and (Q, K) int64 rows, there NOBODY.
    """
    (scores, rows), _ = all_nearest(queries, array, count, first, engine)
    return scores[:, :count], rows[:, :count]


def all_nearest(
    queries: np.ndarray, array: Array, count: int, first: int = 0, engine: Engine = LOCAL
) -> tuple[Found, np.ndarray]:
    """All that the search for the nearest `count` tells: of several blocks, it is more than was asked for.

    Of each block the nearest `count` are known. So all cosines are known that lie above the last of each block.

    Returns:
        At least `count` cosines and rows for each query, and (Q,) the cosine above which they are complete.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    results = [(np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64))]
    bound = np.full(len(queries), -np.inf, np.float32)
    for block, (scores, rows) in _searched(queries, array, count, engine):
        results.append((scores, np.where(rows < 0, rows, rows + first)))
        if block.stop - block.start > count:
            bound = np.maximum(bound, scores[:, -1])
        if sum(some.shape[1] for some, _ in results) > 2 * KNOWN * count:
            results, bound = _fewer(results, count, bound)
    (best,), bound = _fewer(results, count, bound)
    return best, bound


def _fewer(results: list[Found], count: int, bound: np.ndarray) -> tuple[list[Found], np.ndarray]:
    """The best of some results, as one, and the cosines above which all are known."""
    scores, rows = merged(results, KNOWN * count)
    if scores.shape[1] < sum(some.shape[1] for some, _ in results):
        bound = np.maximum(bound, scores[:, -1])
    return [(scores, rows)], bound


def merged(results: list[Found], count: int) -> Found:
    """The best of some pieces' results, which come in the order of the pieces."""
    scores, rows = (np.concatenate(values, axis=1) for values in zip(*results, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _searched(queries: np.ndarray, array: Array, count: int, engine: Engine) -> Iterator[tuple[slice, Found]]:
    """What each block of an array tells, here or on a cluster: the block's rows, and the nearest of them."""
    work: Work[slice, Found] = Work(
        here=lambda jobs: _searcher(queries, count)((rows.start, array[rows]) for rows in jobs),
        there=partial(_searcher, queries, count),
        pack=lambda jobs: [(rows.start, _sent(array, rows, engine)) for rows in jobs],
        name=lambda rows: f"photo {rows.start + 1}",
        most=1,
    )
    jobs = block_rows(len(array))
    if engine.kind == "local" or queries.size * len(array) < ALONE:
        yield from zip(jobs, work.here(jobs), strict=True)
    else:
        from finprint.engine.mapping import mapped  # imports torch, which a search here does not need

        yield from mapped(work, jobs, engine, "search", "block", quiet=True)


def _sent(array: Array, rows: slice, engine: Engine) -> Array:
    return portable(array, rows) if engine.ship == "path" else np.asarray(array[rows])


def _searcher(queries: np.ndarray, count: int) -> Callable[[Iterable[tuple[int, Array]]], Iterator[Found]]:
    """The stream that searches blocks, each with the number of its first row, in any process.

    Raises:
        UserError: this machine lacks the file of the vectors.
    """

    def search(given: Iterable[tuple[int, Array]]) -> Iterator[Found]:
        for start, array in given:
            try:
                block = np.ascontiguousarray(array[:], np.float32)
            except FileNotFoundError as error:
                raise UserError(
                    f"{socket.gethostname()} has no file {error.filename}: with engine.ship path every node needs the "
                    "project's folder in the same place; set engine.ship to bytes"
                ) from None
            scores, rows = faiss.knn(queries, block, min(count, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
            missing = rows < 0
            scores[missing] = -np.inf
            rows[~missing] += start
            yield scores, rows

    return search


class Compressed:
    """Vectors in inverted lists, a few bytes each. What is near by these is compared again by the vectors themselves.

    So the cosines are exact, and only whom it misses is a matter of chance. How many lists a search reads (nprobe) is
    doubled until it finds the nearest other photo of `RECALL` of some photos of the gallery. These are drawn by their
    number alone, so that the answers to a query do not depend on what else is asked.

    Args:
        array: (G, D) float32 unit vectors.
        kind: `ivf_sq8`: D bytes a vector; `ivf_pq`: D / 8 bytes a vector, and lists found by a graph.
        asked: (Q, D) queries by which recall is told.
        engine: where the exact search is done with which the lists are compared.

    Attributes:
        cpu: the index in faiss, as it is written to a file.
        recall: share of queries whose nearest photo it finds; None without queries.
    """

    def __init__(self, array: Array, kind: str, asked: Array, engine: Engine = LOCAL) -> None:
        self._array = array
        self._kind = kind
        self.cpu = _built(array, kind)
        self._index = self.cpu
        self._tune(engine)
        self.recall = self._told(asked[_evenly(len(asked), SAMPLE)], engine)
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

    def _tune(self, engine: Engine) -> None:
        """Choose nprobe. The nearest of all photos to a photo of the gallery is itself: the next one is sought."""
        count, nprobe = len(self._array), FEWEST
        drawn = self._array[np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))]
        exact = nearest_rows(drawn, self._array, 2, engine=engine)[0]
        while True:
            self._read(min(nprobe, self.cpu.nlist))
            if self._share(drawn, exact) >= RECALL or nprobe >= self.cpu.nlist:
                return
            nprobe *= 2

    def _told(self, asked: np.ndarray, engine: Engine) -> float | None:
        """The recall by some queries."""
        if not len(asked):
            return None
        return self._share(asked, nearest_rows(asked, self._array, 1, engine=engine)[0])

    def _share(self, asked: np.ndarray, exact: np.ndarray) -> float:
        """The share of queries whose nearest K photos are as near as the exact ones, (Q, K)."""
        last = exact.shape[1] - 1
        return float((self.search(asked, TUNED)[0][:, last] >= exact[:, last] - NEAR).mean())

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
