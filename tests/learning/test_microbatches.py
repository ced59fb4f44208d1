"""A step in micro-batches: the mean by hand, and the same weights for one process and several, killed or not."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAIN
from examples import AUGMENT
from torch import nn

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.base.processes import ALONE, Team, by_torchrun
from finprint.learning import loop
from finprint.learning.inputs import Inputs, Photos
from finprint.learning.lessons import Lessons, Targets
from finprint.learning.loop import fit
from finprint.learning.microbatches import batch_length, mean_gradients, own_order, threads_of_one
from finprint.learning.network import Heads, Network
from finprint.learning.recipe import Recipe
from finprint.learning.task import Task
from finprint.model.embedder import Embedder, ModelConfig

pytestmark = pytest.mark.usefixtures("training_state")

LABELS = np.arange(17) % 2
MIXED = AUGMENT.model_copy(update={"mixup": 0.4, "grow": "plateau", "patience": 1})
TRAIN = SMALL_TRAIN.model_copy(update={"epochs": 3, "ema": 0.9, "batch": 8, "parts": 4, "augment": MIXED})
AGAIN = "Run the same command again to go on from the last finished epoch"
shown: list[int] = []  # the photos that this process has decoded
after_epoch: list[Callable[[], None]] = []  # what happens to process 0 while it validates
OTHER = """
from finprint.base.cli import Input, run

def main(photos: Input) -> None:
    print("only process 0 does what the stage is for")

run(main)
"""


class Dropping(Heads):
    """A linear classifier behind dropout, whose chance is torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Linear(8, 2)

    def forward(self, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        dropped = nn.functional.dropout(vectors, 0.3, self.training)
        return nn.functional.cross_entropy(self.main(dropped), targets.labels[:, 0])


@dataclass(frozen=True)
class WarmOrCold(Task):
    """Which of two colours has a photo?"""

    lessons: Lessons

    def new_network(self, recipe: Recipe) -> Network:
        torch.manual_seed(recipe.seed)
        return Network(Embedder(ModelConfig(TRAIN.backbone, "gem", 8, 32)), Dropping())

    def validate(self, network: Network, inputs: Inputs) -> dict[str, float]:
        for happens in after_epoch:
            happens()
        return {}


TASK = WarmOrCold(Lessons(np.arange(17), Targets.sure(LABELS), ["warm", "cold"]))


def pixels(item: int) -> np.ndarray:
    shown.append(item)
    colour = np.array([[200, 90, 40], [40, 90, 200]])[LABELS[item]]
    return (colour + np.random.default_rng(item).normal(0, 25, (36, 40, 3))).clip(0, 255).astype(np.uint8)


def train(processes: int, **changes: Any) -> tuple[str, list[Any]]:
    """The digest of the weights, and the history."""
    recipe = Recipe(TRAIN.model_copy(update=changes), 3, 1e-3, 0, processes)
    checkpoint = Checkpoint("toy", recipe.settings(), [], [])
    network, history = fit(TASK, TASK.new_network(recipe), Photos(pixels, 8), recipe, checkpoint)
    sha = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        sha.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return sha.hexdigest(), history


def children() -> list[int]:
    """The processes that this one has started and that still run."""
    lists = Path("/proc/self/task").glob("*/children")
    return sorted(int(pid) for each in lists for pid in each.read_text().split())


@pytest.fixture(autouse=True)
def _nothing_happens() -> None:
    after_epoch.clear()
    shown.clear()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    """One process, uninterrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("whole")))
        return train(1)


def test_four_processes_killed_and_resumed_by_two_give_the_weights_of_one(
    whole: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    after_epoch.append(lambda: os.kill([pid for pid in children() if pid not in before][1], signal.SIGKILL))
    with pytest.raises(UserError, match=rf"^process 2 of this training was killed by signal 9. {AGAIN}$"):
        train(4)
    assert children() == before  # the others have ended, too
    assert len(shown) == 4  # a quarter of the two batches of the epoch
    after_epoch.clear()
    trained = as_torchrun_does(lambda: train(1), monkeypatch)  # its number counts, and not that of the params
    assert trained == [whole]
    assert len(shown) == 4 + 2 * 8


@pytest.mark.parametrize("there", [True, False])
def test_other_processes_take_the_first_one_s_precision(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One processor may have bfloat16 while that of another machine has not."""
    monkeypatch.setattr(loop, "has_bfloat16", lambda device: there)
    weights, _ = train(1, amp=True)
    monkeypatch.setenv("DVC_ROOT", os.environ["DVC_ROOT"] + "/again")
    assert train(2, amp=True)[0] == weights
    assert len(shown) == 3 * (16 + 8)


def as_torchrun_does(stage: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a stage gives that two processes run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    for name, value in (place | {"RANK": "0"}).items():
        monkeypatch.setenv(name, value)
    given = []

    def command() -> None:
        given.append(stage())
        raise SystemExit(0)  # as typer's commands end

    path = os.pathsep.join(path for path in sys.path if path)
    other = {**os.environ, "RANK": "1", "PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", OTHER], env=other, stdout=subprocess.PIPE) as helper:
        by_torchrun(command)()
        assert helper.communicate()[0] == b""
    assert helper.returncode == 0
    return given


def test_parts_change_the_training_and_a_process_cannot_take_half_a_part(whole: tuple[str, list[Any]]) -> None:
    assert train(1, parts=2)[0] != whole[0]
    with pytest.raises(UserError, match=r"^3 processes do not divide parts: 4$"):
        train(3)


def test_each_micro_batch_has_its_share_of_the_end_of_a_batch() -> None:
    order = np.arange(12).reshape(2, 6)
    assert own_order(order, 1, ALONE).tolist() == order.tolist()
    assert own_order(order, 2, ALONE).tolist() == [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]
    assert own_order(order, 2, Team(1, 2)).tolist() == [[1, 3, 5], [7, 9, 11]]


def test_batches_are_shortened_to_micro_batches_of_one_length() -> None:
    recipe = Recipe(TRAIN, 1, 1e-3, 0)
    assert [batch_length(recipe, lessons) for lessons in (8, 9, 100)] == [8, 8, 8]
    with pytest.raises(UserError, match=r"^parts is 4, but with 7 photos to learn from it is at most 3$"):
        batch_length(recipe, 7)
    three = Recipe(TRAIN.model_copy(update={"parts": 3, "batch": 9}), 1, 1e-3, 0)
    assert [batch_length(three, lessons) for lessons in (7, 8, 9)] == [6, 6, 9]
    assert batch_length(Recipe(SMALL_TRAIN, 1, 1e-3, 0), 3) == 3


def test_the_threads_of_a_process_follow_from_the_parts_alone() -> None:
    torch.set_num_threads(2)
    for parts, threads in ((1, 2), (2, 1), (4, 1)):
        with threads_of_one(parts) as given:
            assert given == threads == torch.get_num_threads()
    assert torch.get_num_threads() == 2


def test_gradients_and_statistics_are_means_by_hand() -> None:
    """y = w x behind a norm that learns nothing; the micro-batches are (0, 2) and (0, 4)."""
    norm, held, line = nn.BatchNorm1d(1, affine=False), nn.BatchNorm1d(1, affine=False), nn.Linear(1, 1, bias=False)
    held.eval()
    network = nn.ModuleList([norm, held, line, nn.Linear(1, 1)])
    batches = [torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]])]

    def loss(batch: torch.Tensor) -> torch.Tensor:
        norm(batch)
        return (line(held(batch)) ** 2).mean()

    nn.init.ones_(line.weight)
    held.running_var = torch.tensor([1.0 - held.eps])
    mean = mean_gradients(network, [lambda batch=batch: loss(batch) for batch in batches], ALONE)
    assert mean.item() == 5.0  # of 2 and 8
    assert line.weight.grad is not None
    assert line.weight.grad.item() == 10.0  # of 4 and 16
    assert norm.running_mean is not None
    assert norm.running_mean.item() == pytest.approx(0.1 * 1.5)  # of 1 and 2
    assert norm.running_var is not None
    assert norm.running_var.item() == pytest.approx(0.9 + 0.1 * 5)  # of 2 and 8
    assert norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 1
    assert held.running_mean is not None
    assert held.running_mean.item() == 0
    assert [parameter.grad.tolist() for parameter in network[3].parameters()] == [[[0.0]], [0.0]]
