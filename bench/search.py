"""Speed of ranking at Happywhale's size: five distinct individuals for 27,956 queries in 51,033 photos of 15,587.

Times in one run, on the same threads: (a) the bare faiss search for so many neighbours, (b) `ranking.rank`, (c)
scikit-learn and a loop in Python; and the approximate indexes beside the exact one. In the activated environment:
python bench/search.py [--scale 0.1] [--table FOLDER_OF_HAPPYWHALE_TABLES]
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from drawn import animals, directions, individual_centres, spread
from sklearn.neighbors import NearestNeighbors

from finprint.matching.indexes import PQ, SQ8
from finprint.matching.names import NOBODY
from finprint.matching.ranking import ANSWERS, Gallery, Ranking, rank

NOISE = 1.2  # length of a photo's noise; that of its individual's direction is 1
SAMPLE = 2000  # queries by which recall is told

Number = Annotated[int, typer.Option()]


def main(
    table: Path | None = None,
    scale: float = 1.0,
    neighbours: Number = 100,
    repeats: Number = 1,
    approximate: bool = True,
    blocks: bool = False,
    memory: Annotated[bool, typer.Option(help="Only rank, and print the process's peak memory.")] = False,
) -> None:
    if not memory:  # first of all: Linux lets a process inherit the peak of its parent
        command = [sys.executable, __file__, "--memory", f"--scale={scale}", f"--neighbours={neighbours}"]
        subprocess.run(command + ([f"--table={table}"] if table else []), check=True)
    gallery, codes, queries = draw(table, scale)
    if memory:
        before = peak()
        rank(queries, Gallery(gallery, codes), neighbours=neighbours)
        print(f"peak memory, GB: vectors drawn {before:.2f}, ranked {peak():.2f}")
        return
    print(
        f"{len(queries)} queries, {len(gallery)} photos of {len(np.unique(codes))} individuals, "
        f"{gallery.shape[1]} dimensions, {neighbours} neighbours, {faiss.omp_get_max_threads()} threads"
    )
    stored = Gallery(gallery, codes)
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    index.search(queries[:64], neighbours)  # the first call starts the threads
    bare, _ = best_time(lambda: index.search(queries, neighbours), repeats)
    ours, ranking = best_time(lambda: rank(queries, stored, neighbours=neighbours), repeats)
    wide, _ = best_time(lambda: rank(queries, stored, 20, neighbours, 3), repeats)
    print(f"(a) faiss alone              {bare:7.2f} s")
    print(f"(b) rank, 5 individuals      {ours:7.2f} s   (b)/(a) {ours / bare:.2f}")
    print(f"    rank, 20 and mean of 3   {wide:7.2f} s       /(a) {wide / bare:.2f}")
    for metric in ("euclidean", "cosine"):  # of unit vectors the nearest are the same
        simple, names = best_time(lambda m=metric: with_sklearn(queries, gallery, codes, neighbours, m), 1)
        ratio, same = simple / ours, agreement(ranking, names)
        print(f"(c) scikit-learn, {metric:10s} {simple:7.2f} s   (c)/(b) {ratio:.2f}   {same}")
    if blocks:
        for block in (512, 1024, 2048, 4096, 8192, 16384, len(queries)):
            pieces = [queries[start : start + block] for start in range(0, len(queries), block)]
            taken, _ = best_time(lambda p=pieces: [index.search(piece, neighbours) for piece in p], repeats)
            print(f"faiss in blocks of {block:6d}  {taken:7.2f} s   /(a) {taken / bare:.2f}")
    if approximate:
        print("index     build, s   search, s   speed-up   recall   same first individual")
        for kind in (SQ8, PQ):
            built, rough = best_time(lambda k=kind: Gallery(gallery, codes, k, queries[-SAMPLE:]), 1)
            taken, answers = best_time(lambda r=rough: rank(queries, r, neighbours=neighbours), repeats)
            same = (answers.identities[:, 0] == ranking.identities[:, 0]).mean()
            share = recall(queries[:SAMPLE], rough, neighbours)
            print(f"{kind:7s} {built:10.1f} {taken:11.2f} {ours / taken:10.1f} {share:8.3f} {same:23.4f}")


def draw(table: Path | None, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gallery vectors, their individuals' codes, and queries: of the gallery's individuals, by their photos."""
    rng = np.random.default_rng(0)
    drawn = animals(table, scale, rng)
    codes = rng.permutation(drawn.rows)
    asked = rng.choice(codes, drawn.queries)
    shown = individual_centres(drawn.species, rng)[np.concatenate([codes, asked])]
    vectors = spread(shown + np.float32(NOISE) * directions(len(shown), rng), rng)
    return vectors[: len(codes)], codes.astype(np.int64), vectors[len(codes) :]


def with_sklearn(
    queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray, neighbours: int, metric: str
) -> np.ndarray:
    """The plain way: neighbours, and a loop that keeps the first five names of each query, (Q, 5) codes."""
    nearest = NearestNeighbors(n_neighbors=neighbours, algorithm="brute", metric=metric, n_jobs=-1).fit(gallery)
    photos = nearest.kneighbors(queries, return_distance=False)
    names = np.full((len(queries), ANSWERS), NOBODY)
    for query, individuals in enumerate(codes[photos].tolist()):
        seen: list[int] = []
        for individual in individuals:
            if individual not in seen:
                seen.append(individual)
                if len(seen) == ANSWERS:
                    break
        names[query, : len(seen)] = seen
    return names


def agreement(ranking: Ranking, names: np.ndarray) -> str:
    """How many of the loop's answers are the same as `rank`'s, among the names that the loop found."""
    same = (ranking.identities == names) | (names == NOBODY)
    short = (names == NOBODY).any(axis=1)
    return f"same names {same.mean():.6f}; fewer than five by the loop: {short.sum()} queries"


def recall(queries: np.ndarray, gallery: Gallery, neighbours: int) -> float:
    """Share of the exact nearest photos that the gallery's index finds; 1 for an exact one.

    The exact ones come from one reading of all vectors.
    """
    if gallery.exact or not len(queries):
        return 1.0
    count = min(neighbours, len(gallery.codes))
    _, approximate = gallery.nearest(queries, count)
    _, exact = gallery.exactly(queries, count)
    return float(np.mean([np.isin(e, a).mean() for e, a in zip(exact, approximate, strict=True)]))


def best_time(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least wall time of some runs, in seconds, and what the last returned."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - start)
    return min(taken), result


def peak() -> float:
    """The process's peak resident memory, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    typer.run(main)
