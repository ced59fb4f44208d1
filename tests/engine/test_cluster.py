"""Work on a cluster: the results of this process, in order, whatever happens to the nodes."""

import os
import socket
import subprocess
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import save_photo, scenery
from examples import stored_crops
from finished import Project
from keypoints.scenes import SMALL, scene, stored, turned
from nodes import Nodes

from finprint.base.errors import UserError
from finprint.base.files import caching_in, sha256_path
from finprint.bundle.bundle import Bundle
from finprint.bundle.identify import identify
from finprint.crops.cache import CropCache
from finprint.crops.cropping import _work as crop_work
from finprint.crops.cropping import crop_photos
from finprint.detector.loading import load_yolo
from finprint.detector.yolo import TrainedDetector, save_detector
from finprint.engine.cluster import _kept, _per_chunk, check_engine, disconnect
from finprint.engine.connection import RefusedError, Terms
from finprint.engine.mapping import mapped
from finprint.engine.params import LOCAL, Engine, on_cluster
from finprint.engine.work import Work, most_of
from finprint.engine.worker import own_folder
from finprint.keypoints.features import opened
from finprint.keypoints.pairs import match_pairs
from finprint.keypoints.points import features_bytes
from finprint.matching.indexes import nearest_rows
from finprint.matching.ranking import Gallery, rank
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.model.embedding import embed_crops
from finprint.model.heads import SubCentreArcFace
from finprint.model.params import Embed
from finprint.params import load_params
from finprint.store.arrays import Selection, SideBySide
from finprint.store.tables import BOXES, PHOTOS

EMBED = Embed(batch=4, mirror=True, amp=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """The cluster, to which this process is connected while the tests run."""
    before = dict(os.environ)
    os.environ |= {"RAY_worker_niceness": "0"}  # else its workers give way to all that runs beside the tests
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = Nodes()
    try:
        yield cluster
    finally:
        disconnect()
        cluster.end()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def engine(nodes: Nodes) -> Engine:
    """The engine that uses the cluster, with as many threads here as a node has cores."""
    torch.set_num_threads(1)
    nodes.fill()
    return LOCAL.model_copy(update={"kind": "ray", "address": nodes.address, "cpus": 1, "retries": 3})


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
    numbers = [str(number) for number in range(40)]
    work: Work[str, int] = Work(iter, partial(partial, map, eval), list, str)
    done: list[tuple[str, int]] = []
    results = mapped(work, [*numbers[:20], "__import__('os')._exit(1)", *numbers[20:]], once, "numbers", "number", True)
    with pytest.raises(UserError) as caught:
        done.extend(results)
    assert all(job == str(result) for job, result in done)
    assert [job for job, _ in done] == numbers[:18] + numbers[23:]  # a chunk has six numbers
    message = str(caught.value)
    assert message.startswith("numbers 19 to 24 of 41 (18 to 22) were given up after 1 retries (engine.retries): ")
    assert message.endswith(". Run the same command again")
    assert "\n" not in message


def test_a_lost_connection_is_made_again(engine: Engine) -> None:
    """Ray ends the process that is connected to a node that is lost."""
    seen = []
    for job, result in mapped(_work(), list(range(60)), engine, "roots", "number", quiet=True):
        assert result == job**0.5
        seen.append(job)
        if job == 20:
            _kept[0].process.kill()
    assert seen == list(range(60))


def test_a_connection_that_is_lost_too_often_is_told(engine: Engine) -> None:
    never = engine.model_copy(update={"retries": 0})
    with pytest.raises(UserError) as caught:
        deque(_kept[0].process.kill() for _ in mapped(_work(), list(range(200)), never, "roots", "number", quiet=True))
    assert str(caught.value) == (
        "the connection to the cluster was lost, because its process was killed by signal 9, after 0 retries "
        "(engine.retries). `ray status` tells whether this machine is still a node. Run the same command again"
    )


def test_two_works_share_a_connection(engine: Engine) -> None:
    first, second = (mapped(_work(), list(range(60)), engine, "roots", "number", quiet=True) for _ in range(2))
    assert next(first) == (0, 0.0)
    assert [job for job, _ in second] == list(range(60))
    third = mapped(_work(), list(range(60)), engine, "roots", "number", quiet=True)
    next(third)
    third.close()
    assert [job for job, _ in first] == list(range(1, 60))


def test_what_cannot_travel_is_told_by_its_traceback(engine: Engine) -> None:
    """The constructor of this exception wants more than its text."""
    work: Work[str, int] = Work(iter, partial(partial, map, eval), list, str)
    wrong = "(_ for _ in ()).throw(UnicodeDecodeError('utf-8', b'x', 0, 1, 'odd'))"
    with pytest.raises(UnicodeDecodeError) as caught:
        list(mapped(work, [wrong], engine, "numbers", "number", quiet=True))
    assert "run_chunk" in caught.value.__notes__[0]
    local = "exec('class Odd(Exception): pass') or (_ for _ in ()).throw(locals()['Odd']('odd'))"
    with pytest.raises(RuntimeError, match="odd"):
        list(mapped(work, [local], engine, "numbers", "number", quiet=True))


def test_the_process_that_is_connected_ends_with_the_one_that_asked(engine: Engine, tmp_path: Path) -> None:
    asking = (
        "import os, sys; from finprint.engine import cluster, params\n"
        f"link = cluster.connect(params.LOCAL.model_copy(update={{'kind': 'ray', 'address': '{engine.address}'}}))\n"
        "print(link.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
    process, until = Path(f"/proc/{int(done.stdout)}"), time.monotonic() + 30
    while process.exists() and process.joinpath("stat").read_text().split()[2] != "Z":
        assert time.monotonic() < until
        time.sleep(0.1)


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


def _table(paths: Sequence[Path]) -> pd.DataFrame:
    """Table `PHOTOS` of photos of 96 x 64 px."""
    table = pd.DataFrame({"image": [path.name for path in paths], "path": [str(path) for path in paths]})
    table = table.assign(sha256=[sha256_path(path) for path in paths], width=96, height=64, split="train", fold=-1)
    return PHOTOS.validate(table.assign(group=range(len(table))).reindex(columns=list(PHOTOS.columns)))


def test_crops_have_the_same_bytes_with_and_without_a_shared_disk(tmp_path: Path, engine: Engine) -> None:
    """The detector sees by chance, which is as good here. One photo is damaged: a reject, wherever it is read."""
    paths = [save_photo(tmp_path / f"{number}.jpg", scenery(number)) for number in range(34)]
    paths[20].write_bytes(b"no photo")
    torch.manual_seed(0)
    save_detector(tmp_path / "detector", load_yolo("yolov5n.yaml", "test"), 64)
    detector = TrainedDetector(tmp_path / "detector")
    ours = load_params(Path(__file__).parents[2] / "params.yaml").crop
    params = ours.model_copy(update={"parts": detector.parts, "confidence": 0.0, "image_size": 32})
    none = pd.DataFrame(columns=list(BOXES.columns))
    hashes = []
    for where in (LOCAL, engine, engine.model_copy(update={"ship": "bytes"})):
        with CropCache(f"{where.kind}{where.ship}", where) as cache:
            counts = crop_photos(_table(paths), none, detector, params, cache, tmp_path / "crops")
        assert counts["photos"] == 34
        assert counts["rejects"] == 1
        hashes.append(sha256_path(tmp_path / "crops"))
    assert counts["whole"] < 34  # there were boxes
    assert hashes[1:] == hashes[:1] * 2


def test_the_second_look_has_the_same_bytes(tmp_path: Path, engine: Engine) -> None:
    pictures = {"q.jpg": scene(1), "copy.jpg": turned(scene(1)), "other.jpg": scene(2), "copy2.jpg": turned(scene(2))}
    crops = stored(tmp_path / "crops", pictures)
    photos = _table([save_photo(tmp_path / name, pixels) for name, pixels in pictures.items()])
    photos = photos.assign(width=200, height=160)
    couples = [("q.jpg", "copy.jpg"), ("q.jpg", "other.jpg"), ("other.jpg", "copy2.jpg")]
    pairs = pd.DataFrame(couples, columns=["query", "match"]).assign(identity="al", cosine=0.5)
    looks = []
    for pixels in ("crops", "photos"):
        params = SMALL.model_copy(update={"pixels": pixels})
        for where in (LOCAL, engine.model_copy(update={"ship": "bytes"})):
            with caching_in(tmp_path / f"{pixels} {where.kind}"), opened(photos, crops, params, where) as bench:
                looks.append(match_pairs(bench, pairs))
    for here, there in (looks[:2], looks[2:]):
        assert here.pairs["score"].max() > 5
        assert there.pairs.equals(here.pairs)
        assert there.points.equals(here.points)


def test_a_search_has_the_same_bits_with_and_without_a_shared_disk(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finprint.store.arrays.BLOCK", 1024)
    rng = np.random.default_rng(0)
    files = []
    for name in ("one", "two"):
        array = rng.normal(size=(5000, 24)).astype(np.float32)
        np.save(tmp_path / f"{name}.npy", array / np.linalg.norm(array, axis=1, keepdims=True))
        files.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    both = SideBySide([Selection([file], rng.permutation(5000)) for file in files], [0.4, 0.6])
    queries, codes = both[:70], np.minimum(rng.integers(400, size=5000), 300)  # one animal has a quarter of the photos
    gallery = Selection([both], np.arange(70, 5000))
    here = rank(queries, Gallery(gallery, codes[70:]), 20, 30, 3)
    monkeypatch.setattr("finprint.matching.indexes.ALONE", 0)
    for where in (engine, engine.model_copy(update={"ship": "bytes"})):
        there = rank(queries, Gallery(gallery, codes[70:], engine=where), 20, 30, 3)
        for name in ("identities", "scores", "photos", "means"):
            assert getattr(there, name).tobytes() == getattr(here, name).tobytes()
    (tmp_path / "two.npy").unlink()
    with pytest.raises(UserError, match=r"has no file .*two\.npy: with engine\.ship path every node"):
        nearest_rows(queries, gallery, 5, engine=engine)


def test_a_worker_removes_the_folder_that_a_killed_one_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "finprint-worker-killed").mkdir()
    (tmp_path / "finprint-worker-killed" / "kept").write_text("x")
    (tmp_path / "another").mkdir()
    first, lock = own_folder()
    second, other = own_folder()
    assert {path.name for path in tmp_path.iterdir()} == {"another", Path(first.name).name, Path(second.name).name}
    os.close(lock)  # as the system does when a process ends
    third, last = own_folder()
    assert {path.name for path in tmp_path.iterdir()} == {"another", Path(second.name).name, Path(third.name).name}
    for held in (other, last):
        os.close(held)
    for folder in (first, second, third):
        folder.cleanup()


def test_identify_crops_and_embeds_on_a_cluster(tmp_path: Path, project: Project, engine: Engine) -> None:
    bundle = Bundle.load(project.bundle)
    away = replace(bundle, engine=on_cluster(engine.address).model_copy(update={"cpus": 1}))
    here, there = (
        identify([project.queries], one, tmp_path / name) for name, one in (("here", bundle), ("there", away))
    )
    assert there.vectors.tobytes() == here.vectors.tobytes()
    assert there.answers.equals(here.answers)


def test_another_node_of_this_machine_connects_when_its_own_is_lost(nodes: Nodes, engine: Engine) -> None:
    """The last test of the cluster, because its head does no more afterwards than to know the nodes."""
    seen = []
    for job, _ in mapped(_work(), list(range(60)), engine, "roots", "number", quiet=True):
        seen.append(job)
        if job == 20:
            nodes.behead()
    assert seen == list(range(60))


@pytest.mark.parametrize(
    ("jobs", "batch", "most", "wanted"),
    [
        (20_000, 16, 32, 32),
        (20_000, 16, 1024, 1024),
        (20_000, 16, 40, 32),
        (20_000, 512, 32, 512),  # the bits need a whole batch
        (50, 1, 1024, 7),
        (50, 16, 32, 16),
        (0, 16, 32, 16),
    ],
)
def test_a_chunk_has_whole_batches_and_no_more_jobs_than_may_travel(
    jobs: int, batch: int, most: int, wanted: int
) -> None:
    assert _per_chunk(jobs, replace(_work(), batch=batch, most=most), 2) == wanted


def test_pairs_travel_by_their_bytes() -> None:
    assert features_bytes(1024) == 1024 * (8 + 256)
    assert most_of(2 * features_bytes(1024)) == 124  # in 64 MB
    assert [most_of(size) for size in (1, 2**26, 2**30)] == [1024, 1, 1]


def test_few_photos_travel_together() -> None:
    crop = load_params(Path(__file__).parents[2] / "params.yaml").crop
    engine = on_cluster("")
    work = crop_work(None, crop, engine)
    assert engine.ship == "bytes"
    assert _per_chunk(20_000, work, 1) == 32
    assert _per_chunk(20_000, crop_work(None, crop, LOCAL), 1) == 1024


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


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("AuthenticationError", ""),
        ("ConnectionError", "W 1 1] gcs_client.cc:210: InvalidAuthToken: Authentication token is incorrect"),
    ],
)
def test_a_cluster_with_another_token(monkeypatch: pytest.MonkeyPatch, kind: str, heard: str) -> None:
    """What Ray says was seen with a real cluster, by hand."""

    def refused(terms: Terms) -> None:
        raise RefusedError(kind, "timed out", heard)

    disconnect()
    monkeypatch.setattr("finprint.engine.cluster.Connection", refused)
    with pytest.raises(UserError) as caught:
        list(mapped(_work(), [1], LOCAL.model_copy(update={"kind": "ray", "address": "auto"}), "roots", "number"))
    assert str(caught.value) == (
        "no cluster can be used at this machine without its token: copy ~/.ray/auth_token from its head, and set "
        "RAY_AUTH_MODE=token"
    )


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.engine.cluster.find_spec", lambda name: None)
    check_engine(LOCAL)
    with pytest.raises(UserError) as caught:
        list(mapped(_work(), [1], LOCAL.model_copy(update={"kind": "ray"}), "roots", "number"))
    assert str(caught.value) == "engine.kind is ray, which is not installed here: pip install -e '.[ray]'"
