"""Images made of each class: what the generator may see, who learns from them, and the same bytes each time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pods import CLASSES, CLASSIFY, MIRROR, crops, photos

from finprint.base.files import sha256_path
from finprint.classes import rivals
from finprint.classes.classifier import load_classifier
from finprint.classes.fitting import _divided
from finprint.classes.generator import Critic, Generator, gradient_penalty
from finprint.classes.guesses import guess
from finprint.classes.imagined import beside_made
from finprint.classes.imagining import SHEET, Asked, imagine
from finprint.classes.labels import ALONE, Labelled, labelled
from finprint.classes.linear import Examples
from finprint.classes.params import Imagine
from finprint.classes.rivals import Rivals
from finprint.classes.task import Classes
from finprint.classes.training import train_head
from finprint.learning.frozen import Features
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.pictures.shards import Crops

pytestmark = pytest.mark.usefixtures("training_state")
SMALL = Imagine(
    per_class=3,
    image_size=32,
    padded=True,
    steps=3,
    batch=4,
    lr=2e-4,
    channels=2,
    noise=5,
    critic_steps=2,
    penalty=10.0,
)
ASKED = Asked("identity", 0, SMALL, 7)


class Killed(Exception):
    """What ends a run in the middle."""


@pytest.fixture
def pod(tmp_path: Path) -> tuple[Labelled, Crops]:
    """Nine photos each of three classes, in three folds; fold 0 is left out, fold 2 the test share."""
    table = photos()
    stored = crops(tmp_path / "crops", table)
    return labelled(table, stored, "identity", CLASSES), stored


def test_the_penalty_of_a_linear_critic_by_hand() -> None:
    """Its gradient is w everywhere, here of length 5: (5 - 1)^2."""
    weight = torch.zeros(3, 4, 4)
    weight[0, 0, 0], weight[2, 3, 1] = 3.0, -4.0
    real, made = torch.rand(2, 6, 3, 4, 4)
    penalty = gradient_penalty(lambda x, _: (x * weight).sum(dim=(1, 2, 3)), real, made, torch.zeros(6), torch.rand(6))
    assert penalty.item() == pytest.approx(16.0)


def test_the_penalty_is_taken_between_the_images_and_can_be_learned_from() -> None:
    """The gradient of |x|^2 / 2 is x: at a quarter of the way from 0 to an image of length 8 it is 2, at half 4."""
    scale = torch.ones((), requires_grad=True)
    made = torch.zeros(2, 3, 4, 4)
    made[:, 1, 2, 3] = 8.0
    penalty = gradient_penalty(
        lambda x, _: scale * x.square().sum(dim=(1, 2, 3)) / 2,
        torch.zeros_like(made), made, torch.zeros(2), torch.tensor([0.75, 0.5]),
    )  # fmt: skip
    assert penalty.item() == pytest.approx(((2 - 1) ** 2 + (4 - 1) ** 2) / 2)
    penalty.backward()
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx((2 * 1 * 2 + 2 * 3 * 4) / 2)


@pytest.mark.parametrize("image_size", [32, 64])
def test_the_class_counts_for_generator_and_critic(image_size: int) -> None:
    generator, critic = Generator(2, image_size, 2, 5), Critic(2, image_size, 2)
    noise, codes = torch.randn(1, 5).repeat(4, 1), torch.tensor([0, 1, 0, 1])
    for embedding in (generator.norms[0].bias, critic.of_class):  # at first all classes are alike
        torch.nn.init.normal_(embedding.weight)
    images = generator(noise, codes)
    assert images.shape == (4, 3, image_size, image_size)
    assert images.abs().max() <= 1
    torch.testing.assert_close(images[0], images[2])
    assert not torch.allclose(images[0], images[1])
    scores = critic(images[:1].repeat(4, 1, 1, 1), codes).tolist()
    assert scores[0] == pytest.approx(scores[2])
    assert scores[0] != pytest.approx(scores[1])


def test_a_killed_generator_goes_on_to_the_same_bytes(
    pod: tuple[Labelled, Crops], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, _ = imagine(*pod, ASKED, tmp_path / "whole")
    monkeypatch.setattr(rivals, "SAVED", 1)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
    done: list[int] = []
    learn = Rivals.step

    def dies(self: Rivals, small: rivals.SmallPhotos) -> None:
        if len(done) == 2:
            raise Killed
        done.append(self.steps)
        learn(self, small)

    monkeypatch.setattr(Rivals, "step", dies)
    with pytest.raises(Killed):
        imagine(*pod, ASKED, tmp_path / "killed")
    assert not (tmp_path / "killed").exists()
    done.clear()
    again, _ = imagine(*pod, ASKED, tmp_path / "killed")
    assert done == [2]  # the two steps before are not taken again
    assert again == metrics
    assert sha256_path(tmp_path / "killed") == sha256_path(tmp_path / "whole")
    monkeypatch.setattr(Rivals, "step", learn)
    other, _ = imagine(*pod, Asked("identity", 0, SMALL, 8), tmp_path / "other")
    assert other["distance"] != metrics["distance"]


def test_no_photo_held_out_reaches_the_generator(
    pod: tuple[Labelled, Crops], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, stored = pod
    seen: set[str] = set()
    pixels = Crops.pixels

    def watched(self: Crops, row: int) -> np.ndarray:
        seen.add(self.image(row))
        return pixels(self, row)

    monkeypatch.setattr(Crops, "pixels", watched)
    imagine(labels, stored, ASKED, tmp_path / "made")
    folds = labels.table.set_index("image")["fold"]
    assert set(folds[sorted(seen)]) == {1}  # neither fold 0 nor the test share, nor a photo to identify
    assert seen == set(labels.learns(0)["image"])


def test_made_images_are_learned_from_and_never_judged(pod: tuple[Labelled, Crops], tmp_path: Path) -> None:
    labels, stored = pod
    metrics, at_the_end = imagine(labels, stored, ASKED, tmp_path / "made")
    assert (metrics["made"], metrics["photos"], metrics["classes"], metrics["steps"]) == (9, 9, 3, 3)
    assert at_the_end is not None
    with Image.open(tmp_path / "made" / SHEET) as sheet:
        assert sheet.height == 20 + 3 * 34
    both, joint = beside_made(labels, stored, tmp_path / "made")
    assert len(joint) == len(stored) + 9
    assert joint.pixels(len(stored)).shape == (32, 32, 3)
    made = set(both.table["image"]) - set(labels.table["image"])
    assert len(made) == 9
    assert made < set(both.learns(0)["image"])
    assert not made & {*both.left_out(0)["image"], *both.answers(0)["image"]}
    assert both.fingerprint(joint) != labels.fingerprint(stored)
    task = Classes.of(both, joint, CLASSIFY, 0)
    assert len(task.lessons) == 18
    assert sorted(task.lessons.rows)[-9:] == list(range(len(stored), len(joint)))
    assert task.rows.max() < len(stored)

    trained = train_head(both, joint, Recipe(CLASSIFY, 1, 1e-3, 0), 0)
    assert trained.metrics()["top1"] > 0.7  # three steps of a generator make coloured noise, which misleads a little
    trained.save(tmp_path / "model")
    answered = guess(load_classifier(tmp_path / "model"), labels, stored, 0, MIRROR, CLASSIFY)
    assert set(answered.photos["image"]) == set(labels.answers(0)["image"])


def test_features_of_photos_are_kept_whatever_is_made_beside_them(pod: tuple[Labelled, Crops], tmp_path: Path) -> None:
    labels, stored = pod
    imagine(labels, stored, ASKED, tmp_path / "made")
    embedder = new_embedder(Recipe(CLASSIFY, 1, 1e-3, 0))
    alone = Features(embedder, stored)
    kept = {path: path.stat().st_ino for path in (tmp_path / ".cache/features").glob("*.npy")}
    assert len(kept) == 1
    joint = Features(embedder, stored.beside(tmp_path / "made"))
    assert {path: path.stat().st_ino for path in (tmp_path / ".cache/features").glob("*.npy")} == kept
    rows = np.arange(len(stored) + 9)
    np.testing.assert_array_equal(joint.both(rows)[: len(stored)], alone.both(rows[: len(stored)]))
    np.testing.assert_array_equal(
        joint.both(rows)[len(stored) :], Features(embedder, Crops(tmp_path / "made")).both(rows[:9])
    )


def test_made_images_never_choose_the_penalty() -> None:
    groups = np.array([ALONE, 4, 4, 5, ALONE, 6, 7, 8])
    rest, judged = _divided(Examples(np.zeros((8, 1, 2), np.float32), np.zeros(8, int), groups, 2))
    assert len(set(judged.groups)) == 1
    assert {ALONE, *judged.groups}.isdisjoint(rest.groups)
    assert {*rest.groups, *judged.groups} == {4, 5, 6, 7, 8}


def test_nothing_is_made_by_default(pod: tuple[Labelled, Crops], tmp_path: Path) -> None:
    labels, stored = pod
    off = Asked("identity", 0, SMALL.model_copy(update={"per_class": 0}), 7)
    assert imagine(labels, stored, off, tmp_path / "made") == ({"made": 0}, None)
    assert beside_made(labels, stored, tmp_path / "made") == (labels, stored)
