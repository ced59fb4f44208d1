"""One model of classes: trained by the loop, or a head fitted to what a frozen backbone makes of the crops."""

import zlib
from dataclasses import replace
from pathlib import Path

from finprint.base.checkpoint import Checkpoint
from finprint.base.unchanged import depend_on
from finprint.classes.classifier import Classifier
from finprint.classes.heads import ClassHeads
from finprint.classes.labels import Labelled, remarks
from finprint.classes.params import Classify
from finprint.classes.probing import fitted_probe
from finprint.classes.task import Classes, scores
from finprint.learning.finetuning import is_frozen
from finprint.learning.inputs import Inputs, Photos
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import Trained, train_round
from finprint.pictures.shards import Crops

# The rooms that a model depends on, besides its params and inputs
CODE = ("base", "classes", "engine", "learning", "model", "pictures", "store")


def model_seed(seed: int, member: str, fold: int) -> int:
    """A seed of its own for each model, whatever other models there are: a further one leaves them as they are."""
    return seed + 1000 * (zlib.crc32(member.encode()) % 1_000_000) + fold


def class_recipe(params: Classify, member: str, fold: int, seed: int, processes: int) -> Recipe:
    """How the model of a member trains without a fold; by `seed` all models have seeds of their own."""
    section = params.of_model(member, fold)
    return Recipe(section, section.epochs, section.lr, model_seed(seed, member, fold), processes)


def class_checkpoint(name: str, recipe: Recipe, photos: str) -> Checkpoint | None:
    """Where a model goes on after it was killed; None for a head on frozen features, which needs none.

    Args:
        name: of the model.
        recipe: how it trains.
        photos: `Labelled.fingerprint`.
    """
    soft = Path(getattr(recipe.train, "soft", ""))
    files = [*recipe.files(), *([soft] if soft.name and soft.exists() else [])]
    for file in files:
        depend_on(file)
    if is_frozen(recipe.train):
        return None
    return Checkpoint(f"classify_{name}", recipe.settings() | {"photos": photos}, files, CODE)


def train_model(labels: Labelled, crops: Crops, recipe: Recipe, fold: int, checkpoint: Checkpoint | None) -> Trained:
    """Train the model that leaves a fold out.

    Args:
        labels: which photos show what.
        crops: of these photos.
        recipe: how; its section is `classify`.
        fold: that validates.
        checkpoint: where a killed run goes on from; None for a head on frozen features.
    """
    train = recipe.train
    assert isinstance(train, Classify)
    print(f"{len(labels.learns(fold))} photos of {len(labels.classes)} classes", flush=True)
    for line in remarks(labels, fold):
        print(line, flush=True)
    if is_frozen(train) or checkpoint is None:
        return train_head(labels, crops, recipe, fold)
    task = Classes.of(labels, crops, train, fold)
    if not train.start_share:
        return train_round(task, crops, recipe, checkpoint)
    task = replace(task, begins=task.new_network(recipe))
    return drawn_back(task, train_round(task, crops, recipe, checkpoint), Photos(crops.pixels, recipe.train.batch))


def drawn_back(task: Classes, trained: Trained, inputs: Inputs) -> Trained:
    """The same with weights between those that it began with and those that it has learned, judged anew.

    Wortsman et al., Robust fine-tuning of zero-shot models (WiSE-FT, CVPR 2022): so a network gains what the frozen
    one and the trained one gain by averaging their answers, and costs no more than one.

    Args:
        task: what it was trained for, with the network that it began with; `start_share` of its section is the weight
            of the beginning.
        trained: the end of the training.
        inputs: of the photos that validate.
    """
    assert task.begins is not None
    begins = task.begins.state_dict()
    for name, tensor in trained.network.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(begins[name].to(tensor.device), task.train.start_share)
    return replace(trained, more=task.validate(trained.network, inputs))


def train_head(labels: Labelled, crops: Crops, recipe: Recipe, fold: int) -> Trained:
    """A probe alone: its backbone stays as it came.

    Args:
        labels, crops, recipe, fold: as for `train_model`.
    """
    train = recipe.train
    assert isinstance(train, Classify)
    probe, judged = fitted_probe(labels, crops, recipe, fold), labels.left_out(fold)
    rows = crops.rows(judged["image"])
    classifier = Classifier(probe.embedder, probe.head, labels.classes)
    chances = classifier.from_features(probe.features, rows, probe.extras[rows])
    row = {"epoch": 1, **scores(chances, labels.codes(judged["label"]))}
    shares, chosen = probe.fitted.shares, {"penalty": probe.fitted.penalty, "stages": probe.fitted.stages}
    told = ", ".join(f"{model} x {share:.2f}" for model, share in shares.items())
    print(
        f"penalty {chosen['penalty']:g}, stages {chosen['stages']}, {told}, "
        f"log loss {row['log_loss']:.3f}, top-1 {row['top1']:.3f}",
        flush=True,
    )
    return Trained(
        Network(probe.embedder, ClassHeads(probe.head, train.smoothing)), labels.classes, [row], chosen | shares
    )
