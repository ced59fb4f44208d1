"""Speed of training and embedding beside the bare network, and beside wildlife-tools' extractor where it is installed.

Each figure is the median over interleaved repeats of photos a second, on drawn crops of the stored size. wildlife-tools
is measured if it can be imported (its package and what it asks for, in a folder on PYTHONPATH). With --processes N,
steps are also cut into N micro-batches, which one process computes, or N of them. The processor time of
process 0 tells how much is gained where other jobs make seconds useless. With --classes, the branch of classes is
measured: a network that learns by `classify`, and its probabilities.
In the activated environment: python bench/throughput.py [--set train.backbone=resnet18 --set train.weights=none]
"""

# isort: off
import finprint.base.cli  # first: it says how OpenMP's threads wait, which torch reads when it is imported

# isort: on
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import cv2
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import typer
from overrides import parsed

from finprint.base.checkpoint import Checkpoint
from finprint.base.device import best_device, has_bfloat16
from finprint.base.errors import UserError
from finprint.base.params import changed
from finprint.classes.classifier import Classifier
from finprint.classes.poses import looks
from finprint.classes.task import Classes
from finprint.individuals.lessons import IndividualLessons
from finprint.individuals.task import Individuals
from finprint.learning.bfloat16 import in_bfloat16
from finprint.learning.inputs import Photos
from finprint.learning.lessons import Lessons, Targets
from finprint.learning.loop import fit, new_optimiser
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.task import Task
from finprint.model.embedder import Embedder
from finprint.model.embedding import embed, fused
from finprint.model.loading import Remembered, to_device
from finprint.model.params import Embed
from finprint.model.views import plain_view
from finprint.params import Params, load_params
from finprint.pictures.images import decode_jpeg, encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, write_table

INDIVIDUALS = 64
Precision = Callable[[torch.device, bool], AbstractContextManager[None]]


def main(
    photos: Annotated[int, typer.Option(help="drawn crops")] = 1024,
    repeats: int = 3,
    processes: Annotated[int, typer.Option(help="that share a step; 1: this is not measured")] = 1,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of params.yaml")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="the branch of classes instead")] = False,
) -> None:
    params = changed(load_params(), parsed(set_))
    jpegs = draw(photos, params.crop.image_size, params.crop.quality)
    if classes:
        if processes > 1:
            raise UserError("--classes and --processes: one at a time")
        with TemporaryDirectory() as folder:
            of_classes(params, stored(Path(folder), jpegs), repeats)
        return
    targets = Targets.sure(np.arange(photos) % INDIVIDUALS)
    names, species = [str(n) for n in range(INDIVIDUALS)], np.zeros(INDIVIDUALS, int)
    task = Individuals(IndividualLessons(np.arange(photos), targets, names, species), params.train)
    recipe = Recipe(params.train, 2, params.lr, 0)
    slower = replace(recipe, train=params.train.model_copy(update={"amp": False}))
    begin(photos, recipe)

    def network() -> Network:
        return task.new_network(recipe)

    with TemporaryDirectory() as folder:
        crops = stored(Path(folder), jpegs)
        report(
            "training",
            {
                "bare": lambda: bare_training(network(), recipe, targets),
                "bare, float32": lambda: bare_training(network(), slower, targets),
                "bare, PyTorch's bfloat16": lambda: bare_training(network(), recipe, targets, autocast),
                "finprint": lambda: training(network(), recipe, crops, task)[0],
            },
            repeats,
        )
        if processes > 1:
            parts = recipe.train.model_copy(update={"parts": processes})
            report_sharing(network, replace(recipe, train=parts), crops, task, processes, repeats)
    embedder, size = network().embedder, (params.train.image_size, params.embed.batch)
    for amp, mirror in sorted({(False, False), (params.embed.amp, False), (params.embed.amp, params.embed.mirror)}):
        report(
            f"embedding, {'bfloat16' if amp else 'float32'}{', mirror images too' if mirror else ''}",
            {
                "bare": lambda amp=amp, mirror=mirror: bare_embedding(embedder, *size, photos, amp) / (1 + mirror),
                "bare, norms fused": lambda amp=amp, mirror=mirror: (
                    bare_embedding(fused(embedder.eval()), *size, photos, amp) / (1 + mirror)
                ),
                "finprint": lambda amp=amp, mirror=mirror: embedding(embedder, params, jpegs, amp, mirror)[0],
            }
            | ({} if amp or mirror else theirs(embedder, params, jpegs)),
            repeats,
        )


def begin(photos: int, recipe: Recipe) -> None:
    """Say what is measured."""
    train, threads = recipe.train, torch.get_num_threads()
    print(f"{photos} crops, {train.backbone}, {train.image_size} px, {threads} threads, {best_device()}", flush=True)


def of_classes(params: Params, crops: Crops, repeats: int) -> None:
    """Print the speeds of a network that learns classes, and of its probabilities by plain view and mirror image."""
    learns = params.classify.finetune.model_copy(update={"trainable": 1.0})
    train = params.classify.model_copy(update={"head": "random", "start_share": 0.0, "finetune": learns})
    targets = Targets.sure(np.arange(len(crops)) % INDIVIDUALS)
    names, rows = [str(n) for n in range(INDIVIDUALS)], np.arange(len(crops))
    none, recipe = np.zeros((len(crops), 0), np.float32), Recipe(train, 2, train.lr, 0)
    task = Classes(Lessons(rows, targets, names), train, crops.pixels, extras=none)
    begin(len(crops), recipe)
    report(
        "training of classes",
        {
            "bare": lambda: bare_training(task.new_network(recipe), recipe, targets),
            "finprint": lambda: training(task.new_network(recipe), recipe, crops, task)[0],
        },
        repeats,
    )
    network, guess = task.new_network(recipe), params.guess.model_copy(update={"views": "mirror"})
    embedder = network.embedder.eval()
    classifier = Classifier(embedder, network.head, names)

    def guessing() -> float:
        started = time.perf_counter()
        classifier.probabilities(crops.pixels, rows, none, guess, quiet=True)
        return len(crops) / (time.perf_counter() - started)

    side, batch, views = train.image_size, guess.batch, len(looks(guess))
    ways = {
        "bare": lambda: bare_embedding(embedder, side, batch, len(crops), amp=True) / views,
        "bare, norms fused": lambda: bare_embedding(fused(embedder.eval()), side, batch, len(crops), amp=True) / views,
        "finprint": guessing,
    }
    report("guessing, bfloat16, by two views each", ways, repeats)


def report(title: str, ways: dict[str, Callable[[], float]], repeats: int) -> None:
    """Print the median speed of each way, and as a share of the first one's; the ways take turns."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            speeds[name].append(way())
    first = np.median(speeds["bare"])
    told = (f"{name} {np.median(own):.0f} ({np.median(own) / first:.2f})" for name, own in speeds.items())
    print(f"{title}, photos/s (of bare): " + ", ".join(told), flush=True)


def report_sharing(
    network: Callable[[], Network], recipe: Recipe, crops: Crops, task: Task, processes: int, repeats: int
) -> None:
    """Print the median speed of steps that one process computes, or several, and what it costs process 0."""
    taken: dict[int, list[tuple[float, float]]] = {1: [], processes: []}
    for _ in range(repeats):
        for count, own in taken.items():
            own.append(training(network(), replace(recipe, processes=count), crops, task))
    for count, own in taken.items():
        speed, cost = np.median(own, axis=0)
        print(
            f"{processes} micro-batches, {count} processes: {speed:.0f} photos/s, "
            f"processor time of process 0: {cost:.1f} ms a photo",
            flush=True,
        )


def draw(count: int, side: int, quality: int) -> list[bytes]:
    """JPEGs with the detail of photos: smooth colours and grain."""
    rng = np.random.default_rng(0)
    jpegs = []
    for _ in range(count):
        cells = rng.uniform(0, 255, (9, 9, 3)).astype(np.float32)
        smooth = cv2.resize(cells, (side * 3 // 2, side), interpolation=cv2.INTER_CUBIC)
        grain = rng.normal(0, 8, smooth.shape)
        jpegs.append(encode_jpeg((smooth + grain).clip(0, 255).astype(np.uint8), quality))
    return jpegs


def stored(folder: Path, jpegs: list[bytes]) -> Crops:
    """The JPEGs as the crops of a folder."""
    names = [f"{number}.jpg" for number in range(len(jpegs))]
    places = write_shard(folder / "0.tar", list(zip(names, jpegs, strict=True)))
    table = pd.DataFrame(places, columns=["offset", "length"]).assign(image=names, part="whole", shard="0.tar")
    table = table.assign(confidence=0.0, x_min=0.0, y_min=0.0, x_max=1.0, y_max=1.0)
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)


def autocast(device: torch.device, wanted: bool) -> AbstractContextManager[None]:
    """In the block PyTorch computes in bfloat16 if `wanted`, with gradients of its own."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def bare_training(network: Network, recipe: Recipe, every: Targets, within: Precision = in_bfloat16) -> float:
    """Forward, within a precision, backward and step on a batch that lies ready."""
    train, device = recipe.train, best_device()
    network.to(device).to(memory_format=torch.channels_last).train()
    optimiser = new_optimiser(network, recipe)
    photos = torch.rand(train.batch, 3, train.image_size, train.image_size, device=device)
    photos = photos.to(memory_format=torch.channels_last)
    targets = every[np.arange(train.batch)].to(device)
    wanted = train.amp and has_bfloat16(device)

    def step() -> None:
        with within(device, wanted):
            loss = network(photos, targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return speed(step, len(every) // train.batch, train.batch)


def training(network: Network, recipe: Recipe, crops: Crops, task: Task) -> tuple[float, float]:
    """The training loop from its second epoch on, when the crops are decoded: views, averaged weights and all.

    Returns:
        Photos a second, and ms of processor time of this process a photo.
    """
    checkpoint = Checkpoint("throughput", {"time": time.time()}, [], [])
    photos = Photos(Remembered(crops.pixels), recipe.train.batch)
    epochs = []

    def watch(_: int, told: dict[str, float]) -> None:
        if "photos/s" in told:
            epochs.append((told["photos/s"], time.process_time()))

    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        fit(task, network, photos, recipe, checkpoint, watch)
    checkpoint.clear()
    (_, began), (speed, ended) = epochs
    return speed, (ended - began) * 1000 / len(task.lessons)


@torch.inference_mode()
def bare_embedding(embedder: Embedder, side: int, batch: int, photos: int, amp: bool) -> float:
    """The forward pass on a batch of views of `side` px that lies ready."""
    device = best_device()
    embedder.to(device).to(memory_format=torch.channels_last).eval()
    views = torch.rand(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            embedder(views)

    return speed(step, photos // batch, batch)


def embedding(
    embedder: Embedder, params: Params, jpegs: list[bytes], amp: bool, mirror: bool = False
) -> tuple[float, np.ndarray]:
    """`embed`, and its vectors."""
    started = time.perf_counter()
    asked = Embed(batch=params.embed.batch, mirror=mirror, amp=amp)
    vectors = embed(embedder, lambda row: decode_jpeg(jpegs[row]), np.arange(len(jpegs)), asked, quiet=True)
    return len(jpegs) / (time.perf_counter() - started), vectors


def theirs(embedder: Embedder, params: Params, jpegs: list[bytes]) -> dict[str, Callable[[], float]]:
    """wildlife-tools' DeepFeatures with the same network, views and batches, by its loader's processes."""
    try:
        from wildlife_tools.data import WildlifeDataset
        from wildlife_tools.features.deep import DeepFeatures
    except ImportError as missing:
        print(f"wildlife-tools is not measured: {missing}")
        return {}
    ours = embedding(embedder, params, jpegs, amp=False)[1]

    def view(image: Any) -> torch.Tensor:
        pixels = torch.from_numpy(plain_view(np.asarray(image), params.train.image_size))
        return to_device(pixels, torch.device("cpu")).permute(2, 0, 1)

    def extract(workers: int) -> float:
        with TemporaryDirectory() as folder, redirect_stderr(StringIO()):
            for number, jpeg in enumerate(jpegs):
                (Path(folder) / f"{number}.jpg").write_bytes(jpeg)
            table = pd.DataFrame({"path": [f"{n}.jpg" for n in range(len(jpegs))], "identity": "a"})
            dataset = WildlifeDataset(table, root=folder, transform=view)
            # Theirs leaves the memory layout alone: the one that torch gives a new network.
            model = embedder.to(memory_format=torch.contiguous_format)
            started = time.perf_counter()
            theirs = DeepFeatures(model, params.embed.batch, workers, str(best_device()))(dataset)
            taken = time.perf_counter() - started
        apart = np.abs(F.normalize(torch.from_numpy(theirs)).numpy() - ours).max()
        assert apart < 1e-4, f"wildlife-tools' embeddings are {apart} away"
        return len(jpegs) / taken

    return {f"wildlife-tools, {workers} workers": lambda workers=workers: extract(workers) for workers in (0, 1, 2)}


def speed(step: Callable[[], None], steps: int, batch: int) -> float:
    """Photos a second over some steps, after one to warm up."""
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return steps * batch / (time.perf_counter() - started)


if __name__ == "__main__":
    finprint.base.cli.run(main)
