"""What a Ray cluster costs and gives: crops embedded here, on one node, and on two nodes of one core each.

All nodes run on this machine. Crops of a finished run are repeated until there are enough; each way embeds all of them
and must give the same bytes. Beside the seconds stands the processor time of all processes, which other jobs on the
machine change less. In the activated environment:
OMP_NUM_THREADS=1 python bench/engine.py [--crops data/crops] [--model models/round2] [--count 20000]
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import torch
import typer

from finprint.base.cli import run
from finprint.engine.cluster import disconnect
from finprint.engine.params import LOCAL, Engine
from finprint.model.embedding import embed_crops
from finprint.model.params import Embed
from finprint.params import load_params
from finprint.pictures.shards import Crops

STORE = 300 * 2**20  # bytes of each node's object store


class Repeated(Crops):
    """The crops of a folder again and again, until there are so many."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder)
        self._own = len(self.index)
        self.index = self.index.iloc[np.arange(count) % self._own].reset_index(drop=True)

    def jpeg(self, row: int) -> bytes:
        """The JPEG bytes of the crop in `row`."""
        return super().jpeg(row % self._own)


@dataclass(frozen=True)
class Measured:
    """How long a way took.

    Attributes:
        seconds: by the clock.
        processor: of all processes.
        workers: the share of it that workers on nodes took.
        content: what came out.
    """

    seconds: float
    processor: float
    workers: float
    content: bytes


def main(
    crops: Annotated[Path, typer.Option(help="of a finished run")] = Path("data/crops"),
    model: Annotated[Path, typer.Option(help="of a finished run")] = Path("models/round2"),
    count: Annotated[int, typer.Option(help="crops")] = 20000,
) -> None:
    threads = torch.get_num_threads()
    many, params = Repeated(crops, count), load_params().embed
    first = Repeated(crops, 8 * params.batch)  # chunks enough to start every worker
    print(f"{count} crops, {threads} threads a worker, load {os.getloadavg()[0]:.1f}", flush=True)
    ways = {"here": measured(model, first, many, params, LOCAL)}
    for nodes in (1, 2):
        ways[f"{nodes} nodes of {threads} cores"] = on_nodes(nodes, threads, model, (first, many), params)
    here = ways["here"]
    print(f"{'':24} {'seconds':>8} {'of here':>8} {'processor':>10} {'of here':>8} {'workers':>8}")
    for name, way in ways.items():
        assert way.content == here.content, name
        shares = way.seconds / here.seconds, way.processor / here.processor
        print(
            f"{name:24} {way.seconds:8.1f} {shares[0]:8.2f} {way.processor:10.1f} {shares[1]:8.2f} {way.workers:8.1f}"
        )
    one, two = list(ways.values())[1:]
    print(f"two nodes against one: {one.seconds / two.seconds:.2f}; all ways gave the same bytes")


def on_nodes(nodes: int, cpus: int, model: Path, crops: tuple[Crops, Crops], params: Embed) -> Measured:
    """Embed on a head that does no work and some nodes, which are ended afterwards."""
    os.environ |= {"RAY_worker_niceness": "0"}  # else workers give way to all other jobs
    from ray.cluster_utils import Cluster

    options: dict[str, Any] = {"object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=options | {"num_cpus": 0})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=cpus, object_store_memory=STORE)
        engine = LOCAL.model_copy(update={"kind": "ray", "address": cluster.address, "cpus": cpus})
        return measured(model, *crops, params, engine)
    finally:
        disconnect()
        cluster.shutdown()


def measured(model: Path, first: Crops, crops: Crops, params: Embed, engine: Engine) -> Measured:
    """Embed all crops, after a few that are not counted: by then the workers have imported what they need."""
    embed_crops(model, first, params, quiet=True, engine=engine)
    before, began = processor_times(), time.perf_counter()
    vectors = embed_crops(model, crops, params, quiet=True, engine=engine)
    seconds = time.perf_counter() - began
    spent = [after - before for after, before in zip(processor_times(), before, strict=True)]
    return Measured(seconds, *spent, vectors.array.tobytes())


def processor_times() -> tuple[float, float]:
    """Seconds of processor time of this process and all that it has started and that still run; of them, workers'."""
    mine = psutil.Process()
    times = {process: process.cpu_times() for process in (mine, *mine.children(recursive=True))}
    seconds = {process: one.user + one.system for process, one in times.items()}
    workers = [spent for process, spent in seconds.items() if process.name().startswith("ray::")]
    return sum(seconds.values()), sum(workers)


if __name__ == "__main__":
    run(main)
