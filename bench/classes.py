"""Classes by this pipeline beside scikit-learn on the same frozen features and a plain fine-tuning, on one fold.

Run in the activated environment: python bench/classes.py FOLDER, a folder with a sub-folder for each class, or a
checkout of this project with a finished run, whose crops are taken: there `--of species` asks for species. All four
see the same crops, learn from the same photos and are judged on the same fold, by log loss and top-1; the two that
fine-tune have the same backbone, pretrained weights, views in px, epochs and batches.

`--against KEY=VALUE` measures this pipeline once more with another setting of classify or guess, such as
classify.fusion=gem, or with several: 'classify.lr=0.0003 classify.head=random'; `--set` changes every run. `--repeats`
leaves out so many folds in turn, each with a seed of its own. Behind each way stands how far it is from the first one,
on average and in each fold. `voted` is the log loss with temperature and clip as the stage vote fits them. `--together`
also joins the answers of this pipeline's ways, two and more at a time, as members of a fold.
"""

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from overrides import parsed
from sklearn.linear_model import LogisticRegression
from torchvision.transforms import v2
from trainings import Cropped, picked

from finprint.base.checkpoint import Checkpoint
from finprint.base.cli import guard
from finprint.base.device import best_device
from finprint.base.files import sha256_json
from finprint.base.params import changed
from finprint.classes.classifier import Classifier
from finprint.classes.extras import extras_of
from finprint.classes.guesses import by_features
from finprint.classes.heads import log_loss
from finprint.classes.labels import Labelled, labelled
from finprint.classes.params import PLAIN, Classes, Classify, Guess, Vote
from finprint.classes.task import scores
from finprint.classes.training import train_head, train_model
from finprint.classes.voting import joined, vote
from finprint.learning.frozen import Features
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.loading import in_order
from finprint.model.views import plain_view
from finprint.params import Params, load_params
from finprint.pictures.shards import Crops
from finprint.store.guesses import GUESSED, Guesses
from finprint.store.tables import PHOTOS, VALIDATION, read_table
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source

Way = Callable[[Labelled, Crops, Recipe, int, Guess], np.ndarray]
TRAINED: dict[str, Network] = {}  # by settings, fold and photos


def ours(labels: Labelled, crops: Crops, recipe: Recipe, fold: int, views: Guess) -> np.ndarray:
    """(N, C) probabilities of the fold: by a head on frozen features, or a network trained by the loop."""
    train = recipe.train
    assert isinstance(train, Classify)
    rows = crops.rows(labels.left_out(fold)["image"])
    extras = extras_of(crops, train.extras)[rows]
    if by_features(train, views):
        network = train_head(labels, crops, recipe, fold).network
        classifier = Classifier(network.embedder, network.head, labels.classes)
        return classifier.from_features(Features(network.embedder, crops), rows, extras)
    return trained(labels, crops, recipe, fold).probabilities(crops.pixels, rows, extras, views)


def trained(labels: Labelled, crops: Crops, recipe: Recipe, fold: int) -> Classifier:
    """The model that leaves a fold out, trained once: other views of one network need no other training."""
    settings = recipe.settings() | {"fold": fold, "photos": labels.fingerprint(crops)}
    key = sha256_json(settings)
    if key not in TRAINED:
        checkpoint = Checkpoint("bench", settings, [], [])
        TRAINED[key] = train_model(labels, crops, recipe, fold, checkpoint).network
        checkpoint.clear()
    network = TRAINED[key]
    return Classifier(network.embedder, network.head, labels.classes)


def scikit_learn(labels: Labelled, crops: Crops, recipe: Recipe, fold: int, views: Guess) -> np.ndarray:
    """(N, C): its logistic regression as it comes, on standardised features of plain views."""
    features = Features(new_embedder(recipe), crops)
    learned, judged = labels.learns(fold), labels.left_out(fold)
    values, asked = (features.both(crops.rows(table["image"]))[:, 0] for table in (learned, judged))
    mean, std = values.mean(axis=0), values.std(axis=0) + 1e-6
    model = LogisticRegression(max_iter=1000).fit((values - mean) / std, labels.codes(learned["label"]))
    chances = np.full((len(asked), len(labels.classes)), 1e-12)
    chances[:, model.classes_] = model.predict_proba((asked - mean) / std)
    return chances


def plain_fine_tuning(labels: Labelled, crops: Crops, recipe: Recipe, fold: int, views: Guess) -> np.ndarray:
    """(N, C): torchvision's random resized crops and mirror images, cross entropy, AdamW with a cosine."""
    train, device = recipe.train, best_device()
    embedder = new_embedder(recipe)
    network = torch.nn.Sequential(embedder, torch.nn.Linear(embedder.features, len(labels.classes))).to(device)
    learned, judged = labels.learns(fold), labels.left_out(fold)
    rows, codes = crops.rows(learned["image"]), torch.from_numpy(labels.codes(learned["label"]))
    side, batch = train.image_size, train.batch
    vary = v2.Compose([v2.RandomResizedCrop(side, antialias=True), v2.RandomHorizontalFlip()])
    optimiser = torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=train.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs * (len(rows) // batch))
    for _ in range(recipe.epochs):
        network.train()
        for items in torch.randperm(len(rows))[: len(rows) // batch * batch].view(-1, batch):
            photos = [vary(torch.from_numpy(crops.pixels(int(rows[item]))).permute(2, 0, 1)) for item in items]
            loss = F.cross_entropy(network(torch.stack(photos).to(device).float() / 255), codes[items].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    asked = crops.rows(judged["image"])
    chances = []
    with torch.inference_mode():
        for items in in_order(len(asked), 64):
            views = np.stack([plain_view(crops.pixels(int(asked[item])), side) for item in items])
            photos = torch.from_numpy(views).permute(0, 3, 1, 2).to(device).float() / 255
            chances.append(F.softmax(network(photos), dim=1).cpu().numpy())
    return np.concatenate(chances)


def judged_on(labels: Labelled, fold: int, answers: Sequence[np.ndarray], params: Vote) -> dict[str, float]:
    """Log loss and top-1 of the members' probabilities (N, C) of a fold, joined, and the log loss after their vote."""
    photos = labels.left_out(fold).assign(role=VALIDATION)[list(GUESSED.columns)].reset_index(drop=True)
    members = [Guesses(photos, array, labels.classes) for array in answers]
    voted = vote(members, params)
    before = joined(answers, params.by, voted.joint.shares)
    codes = members[0].codes()
    return {**scores(before, codes), "voted": log_loss(voted.guesses.array, codes)}


def asking(description: str | None) -> argparse.ArgumentParser:
    """A parser of what `given_crops` and every bench of classes is asked for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--of", default="identity", choices=["identity", "species"], help="what is told")
    parser.add_argument("--share", type=float, default=1.0, help="share of each class's photos that is used")
    parser.add_argument("--classes", type=int, default=0, help="about so many of the classes; 0: all")
    parser.add_argument("--set", action="append", default=[], dest="set_", help="KEY=VALUE of params.yaml, everywhere")
    return parser


def given_photos(given: argparse.Namespace, params: Params) -> pd.DataFrame:
    """The labelled photos of the folder: all, a share of each class, or of some classes."""
    section = params.prepare.model_copy(update={"source": "folder", "folder": str(given.folder)})
    photos = survey(read_source(section, given.folder)[0], section, params.seed).photos
    photos = photos[photos["identity"].notna()]
    names = sorted(photos["identity"].unique())
    photos = photos[photos["identity"].isin(names[:: max(1, len(names) // (given.classes or len(names)))])]
    by_class = photos.groupby("identity", group_keys=False)[list(photos)]
    return by_class.sample(frac=given.share, random_state=params.seed).reset_index(drop=True)


def given_crops(given: argparse.Namespace, params: Params, scratch: Path) -> tuple[pd.DataFrame, Crops]:
    """Table `PHOTOS` and the crops: of a finished run, else of images that are cropped as a whole."""
    table = given.folder / "data/photos.parquet"
    if table.exists():
        os.environ["DVC_ROOT"] = str(scratch)  # or the project's own cache would be tidied
        return read_table(table, PHOTOS), Crops(given.folder / "data/crops")
    photos = given_photos(given, params)
    folder, _ = Cropped(photos, scratch).of(params.crop)
    return photos, Crops(folder)


def chosen_ways(given: argparse.Namespace, params: Params) -> dict[str, tuple[Way, Classify, Guess]]:
    """What is measured, by name."""
    sizes = {"image_size": given.side, "first_size": given.side, "epochs": given.epochs, "weights": given.weights}
    frozen = params.classify.model_copy(update=sizes)
    tuned = frozen.model_copy(update={"finetune": frozen.finetune.model_copy(update={"trainable": 1.0})})
    squeezed = {"padded": False}
    ways: dict[str, tuple[Way, Classify, Guess]] = {
        "scikit-learn, frozen features": (scikit_learn, frozen.model_copy(update=squeezed), params.guess),
        "finprint, frozen features": (ours, frozen, params.guess),
        "plain fine-tuning": (plain_fine_tuning, tuned.model_copy(update=squeezed), params.guess),
        "finprint, fine-tuning": (ours, tuned, params.guess),
    }
    ways = {name: ways[name] for name in picked(given.only, ways)}
    mine = {name: train for name, (way, train, _) in ways.items() if way is ours}
    for option, (name, train) in itertools.product(given.against, mine.items()):
        other = changed(params.model_copy(update={"classify": train}), parsed(option.split()))
        ways[f"{name}, {option}"] = ours, other.classify, other.guess
    return ways


def main() -> None:
    parser = asking(__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--side", type=int, default=96, help="px of the views")
    parser.add_argument("--lr", type=float, default=1e-3, help="of the plain fine-tuning")
    parser.add_argument("--weights", default="package")
    parser.add_argument("--repeats", type=int, default=1, help="folds left out in turn, each with its own seed")
    parser.add_argument("--only", action="append", default=[], help="a way to measure; by default all four")
    parser.add_argument("--against", action="append", default=[], help="KEY=VALUE of classify or guess, besides")
    parser.add_argument("--together", action="store_true", help="join this pipeline's ways, too")
    given = parser.parse_args()
    params = changed(load_params(), parsed(given.set_))
    ways, folds = chosen_ways(given, params), list(range(given.repeats))
    with tempfile.TemporaryDirectory() as scratch:
        photos, crops = given_crops(given, params, Path(scratch))
        labels = labelled(photos, crops, given.of, Classes(of=[given.of], folds=folds, members=[PLAIN], test=[]))
        first: list[dict[str, float]] = []
        judged, answers = labels.left_out(0), {}
        print(f"{len(labels.learns(0))} photos of {len(labels.classes)} classes to learn from, {len(judged)} to judge")
        for name, (way, train, views) in ways.items():
            started, each = time.monotonic(), []
            for fold in folds:
                lr = given.lr if way is plain_fine_tuning else train.lr
                recipe = Recipe(train, train.epochs, lr, fold, params.engine.processes)
                each.append(way(labels, crops, recipe, fold, views))
            measured = [
                judged_on(labels, fold, [chances], params.vote) for fold, chances in zip(folds, each, strict=True)
            ]
            first = first or measured
            print(f"{name}: {told(measured)}{apart(measured, first)}, {time.monotonic() - started:.0f} s", flush=True)
            if way is ours:
                answers[name] = each
        if given.together:
            for line in together(answers, labels, params.vote):
                print(line, flush=True)


def together(answers: dict[str, list[np.ndarray]], labels: Labelled, params: Vote) -> Iterator[str]:
    """A line for all sets of two ways and more and each kind of vote, with equal shares and fitted ones."""
    votes = [*itertools.product(("mean", "geometric"), ("equal", "fit")), ("majority", "equal")]
    for count in range(2, len(answers) + 1):
        for names in itertools.combinations(answers, count):
            for by, shares in votes:
                asked = params.model_copy(update={"by": by, "shares": shares})
                folds = enumerate(zip(*(answers[name] for name in names), strict=True))
                measured = [judged_on(labels, fold, chances, asked) for fold, chances in folds]
                way = by if shares == "equal" else f"{by} with fitted shares"
                yield f"{' + '.join(names)}, {way}: {told(measured)}"


def told(measured: list[dict[str, float]]) -> str:
    """Mean and standard deviation of each metric over the folds."""
    table = pd.DataFrame(measured)
    ends = [f" ± {spread:.3f}" if len(table) > 1 else "" for spread in table.std()]
    return ", ".join(f"{metric} {table[metric].mean():.3f}{end}" for metric, end in zip(table, ends, strict=True))


def apart(measured: list[dict[str, float]], first: list[dict[str, float]]) -> str:
    """How far log loss and top-1 are from the first way's, on average and in each fold; nothing for this way itself."""
    if measured is first:
        return ""
    gaps = pd.DataFrame(measured) - pd.DataFrame(first)
    each = {metric: " ".join(f"{gap:+.3f}" for gap in gaps[metric]) for metric in ("log_loss", "top1")}
    return "".join(f"; {metric} {gaps[metric].mean():+.3f} ({folds})" for metric, folds in each.items())


if __name__ == "__main__":
    guard(main)
