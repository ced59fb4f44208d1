"""A gallery of millions of photos: time, memory beyond the mapped file, and recall of each kind of index.

The vectors are drawn into a temporary file (4 GB for 2 million). Each kind of index is measured in a process of its
own, which may not take more memory of its own than `--limit`. Pages of the mapped file do not count, because the system
drops them when others need the room. In the activated environment:
python bench/scale.py [--photos 200000] [--kinds flat]
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from drawn import DIMENSIONS, PHOTOS, animals, directions, individual_centres, spread

from finprint.matching.names import NOBODY
from finprint.matching.ranking import Gallery, Ranking, rank
from finprint.store.arrays import BLOCK

NOISE = 1.2  # length of a photo's noise; that of its individual's direction is 1
NEIGHBOURS = 100
GB = 2**30

Number = Annotated[int, typer.Option()]


def main(
    photos: Number = 2_000_000,
    queries: Number = 1000,
    kinds: str = "flat,ivf_sq8,ivf_pq",
    limit: Annotated[float, typer.Option(help="GB that a process may take beyond the mapped file.")] = 4,
    repeats: Number = 1,
    folder: Annotated[Path | None, typer.Option(help="Measure what another process has drawn here.")] = None,
) -> None:
    if folder is not None:
        measure(folder, kinds, limit, repeats)
        return
    with tempfile.TemporaryDirectory() as name:
        draw(Path(name), photos, queries)
        print(f"{queries} queries, {photos} photos, {DIMENSIONS} dimensions, {faiss.omp_get_max_threads()} threads")
        print(
            f"{'kind':8s} build, s  search, s  /faiss  /faiss CPU  peak GB  recall@1  same first name  five names",
            flush=True,
        )
        for kind in kinds.split(","):
            command = [sys.executable, __file__, f"--kinds={kind}", f"--limit={limit}", f"--repeats={repeats}"]
            subprocess.run([*command, f"--folder={name}"], check=True)


def draw(folder: Path, photos: int, queries: int) -> None:
    """Write vectors of photos and of queries, and the individuals on them, as .npy files."""
    rng = np.random.default_rng(0)
    drawn = animals(None, photos / PHOTOS, rng)
    centres = individual_centres(drawn.species, rng)
    codes = rng.permutation(drawn.rows).astype(np.int64)
    asked = rng.choice(codes, queries)
    np.save(folder / "codes.npy", codes)
    shape = len(codes), DIMENSIONS
    array = np.lib.format.open_memmap(folder / "vectors.npy", mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, len(codes), BLOCK):
        array[start : start + BLOCK] = _shown(centres[codes[start : start + BLOCK]], rng)
    array.flush()
    np.save(folder / "queries.npy", _shown(centres[asked], rng))


def _shown(centres: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vectors of photos of individuals; the subspace is the same each time."""
    noise = np.float32(NOISE) * directions(len(centres), rng)
    return spread(centres + noise, np.random.default_rng(1))


def measure(folder: Path, kind: str, limit: float, repeats: int) -> None:
    """Print a line for a kind of index; the flat one also keeps its answers, with which the others are compared."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    codes, queries = np.load(folder / "codes.npy"), np.load(folder / "queries.npy")
    vectors[::2].max()  # the file's pages are in memory, as far as there is room, before any time is taken
    own = own_memory()
    resource.setrlimit(resource.RLIMIT_DATA, (data_size() + round(limit * GB), resource.RLIM_INFINITY))
    ours, bare = [], []
    with Peak() as peak:
        built, gallery = timed(lambda: Gallery(vectors, codes, kind, queries))
        for _ in range(repeats):
            taken, ranking = timed(lambda: rank(queries, gallery, neighbours=NEIGHBOURS))
            ours.append(taken)
            bare.append(timed(lambda: faiss.knn(queries, vectors, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT))[0])
    exact = folder / "exact.npz"
    if gallery.exact:
        np.savez(exact, photos=ranking.photos[:, 0], names=ranking.identities[:, 0])
    told = agreement(exact, ranking) if exact.exists() else "recall needs the kind flat first"
    (least, cpu), (faiss_least, faiss_cpu) = np.min(ours, axis=0), np.min(bare, axis=0)
    times = f"{built[0]:8.1f} {least:10.1f} {least / faiss_least:7.2f} {cpu / faiss_cpu:11.2f}"
    print(f"{kind:8s} {times} {(peak.most - own) / GB:8.2f} {told}", flush=True)


def agreement(exact: Path, ranking: Ranking) -> str:
    """Shares of queries with the exact first photo, first name, and five names."""
    of_exact = np.load(exact)
    same = [
        (values[:, 0] == of_exact[name]).mean()
        for name, values in (("photos", ranking.photos), ("names", ranking.identities))
    ]
    return f"{same[0]:9.3f} {same[1]:16.3f} {(ranking.identities != NOBODY).all(axis=1).mean():11.3f}"


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Wall time and processor time in seconds, the latter for a shared machine; and what the work returned."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    return (time.perf_counter() - start, time.process_time() - cpu), result


class Peak:
    """The most memory of its own that this process takes in a block, looked at every 20 ms.

    Attributes:
        most: bytes.
    """

    def __enter__(self) -> "Peak":
        self.most, self._ended = own_memory(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self.most = max(self.most, own_memory())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def own_memory() -> int:
    """Bytes of this process in memory that are of no file."""
    return _status("RssAnon")


def data_size() -> int:
    """Bytes that this process has asked for, which RLIMIT_DATA limits."""
    return _status("VmData")


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    typer.run(main)
