"""Work on a cluster: the results of this process, in order, whatever happens to the nodes."""

import os
import socket
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from examples import stored_crops
from nodes import Nodes

from finprint.base.errors import UserError
from finprint.engine.cluster import check_engine
from finprint.engine.mapping import mapped
from finprint.engine.params import LOCAL, Engine
from finprint.engine.work import Work
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.model.embedding import embed_crops
from finprint.model.heads import SubCentreArcFace
from finprint.model.params import Embed

EMBED = Embed(batch=4, mirror=True, amp=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """The cluster, to which this process is connected while the tests run."""
    before = dict(os.environ)
    os.environ |= {"RAY_worker_niceness": "0"}  # else its workers give way to all that runs beside the tests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray
    cluster = Nodes()
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.end()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def engine(nodes: Nodes) -> Iterator[Engine]:
    """The engine that uses the cluster, with as many threads here as a node has cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    nodes.fill()
    yield LOCAL.model_copy(update={"kind": "ray", "address": nodes.address, "cpus": 1, "retries": 3})
    torch.set_num_threads(threads)


def _work(function: str = "math.sqrt") -> Work[float, float]:
    """Work that consists in a function of a module, which every process has."""
    module, name = function.split(".")
    called = getattr(__import__(module), name)
    return Work(partial(map, called), partial(partial, map, called), list, str)


def test_results_are_in_order(engine: Engine) -> None:
    jobs = list(range(50))
    assert list(mapped(_work(), jobs, engine, "roots", "number", quiet=True)) == [(n, n**0.5) for n in jobs]
    assert list(mapped(_work(), [], engine, "roots", "number")) == []


def test_a_mistake_is_raised_where_its_chunk_would_come(engine: Engine) -> None:
    seen: list[float] = []
    results = mapped(_work(), [*range(40), -1, *range(40)], engine, "roots", "number", quiet=True)
    with pytest.raises(ValueError, match="math domain error"):
        seen.extend(job for job, _ in results)
    assert seen == list(range(len(seen)))
    assert 30 <= len(seen) <= 40


def test_a_chunk_that_ends_its_workers_is_named_and_the_others_are_done(engine: Engine) -> None:
    """os._exit ends a worker at once, as the system does with a process that takes too much memory."""
    once = engine.model_copy(update={"retries": 1})

    def ended_by_a_minus(numbers: list[int]) -> Iterator[int]:
        for number in numbers:
            if number < 0:
                os._exit(1)
            yield number

    work: Work[int, int] = Work(iter, partial(partial, ended_by_a_minus), list, str)
    done: list[tuple[int, int]] = []
    results = mapped(work, [*range(20), -1, *range(20, 40)], once, "numbers", "number", quiet=True)
    with pytest.raises(UserError) as caught:
        done.extend(results)
    jobs = [job for job, _ in done]
    assert all(job == result for job, result in done)
    assert len(jobs) == 35  # a chunk has six numbers
    assert not {18, 19, -1, 20, 21, 22} & set(jobs)
    message = str(caught.value)
    assert message.startswith("numbers 19 to 24 of 41 (18 to 22) were given up after 1 retries (engine.retries): ")
    assert message.endswith(". Run the same command again")
    assert "\n" not in message


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a tiny model."""
    torch.manual_seed(0)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32))
    save_model(tmp_path / "model", embedder, SubCentreArcFace(8, torch.full((2,), 0.2), 2, 20.0), ["al", "bo"])
    return tmp_path / "model"


def test_vectors_have_the_same_bytes_when_a_node_is_lost(
    tmp_path: Path, model: Path, nodes: Nodes, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = stored_crops(tmp_path / "crops", [f"{'abc'[n % 3]}{n}.jpg" for n in range(61)])
    here = embed_crops(model, crops, EMBED, quiet=True)
    there = embed_crops(model, crops, EMBED, quiet=True, engine=engine)
    assert there.array.tobytes() == here.array.tobytes()
    assert there.images.equals(here.images)

    packed: list[int] = []
    stored = crops.stored

    def counted(row: int) -> object:
        packed.append(row)
        if len(packed) == 45:  # some chunks are done, some are under way
            nodes.kill()
        return stored(row)

    monkeypatch.setattr(crops, "stored", counted)
    rest = embed_crops(model, crops, EMBED, quiet=True, engine=engine)
    assert len(packed) == 61
    assert rest.array.tobytes() == here.array.tobytes()


def test_a_wrong_address_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        wrong = LOCAL.model_copy(update={"kind": "ray", "address": address})
        began = time.monotonic()
        with pytest.raises(UserError) as caught:
            list(mapped(_work(), [1], wrong, "roots", "number", quiet=True))
    assert time.monotonic() - began < 10
    assert str(caught.value) == (
        f"no cluster answers at {address} (engine.address): [Errno 111] Connection refused. `ray start --head` starts "
        "one and prints its address"
    )


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.engine.cluster.find_spec", lambda name: None)
    check_engine(LOCAL)
    with pytest.raises(UserError) as caught:
        list(mapped(_work(), [1], LOCAL.model_copy(update={"kind": "ray"}), "roots", "number"))
    assert str(caught.value) == "engine.kind is ray, which is not installed here: pip install -e '.[ray]'"
