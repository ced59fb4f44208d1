"""One round of training: the photos and names it learns from, the network it starts with, what it reaches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes, sha256_json
from finprint.individuals.mining import mine
from finprint.individuals.params import Mine, Retrain
from finprint.learning.finetuning import check_stages
from finprint.learning.frozen import Features, FrozenEmbedder, is_frozen
from finprint.learning.live import curves
from finprint.learning.loop import Recipe, fit
from finprint.learning.network import Network, SpeciesLoss, Targets
from finprint.learning.params import Train
from finprint.matching.catalogue import build_catalogue
from finprint.matching.metrics import Outcomes, measure
from finprint.matching.openset import Checked, best_answers
from finprint.matching.ranking import Gallery, rank
from finprint.model.embedder import CONFIG, Embedder, ModelConfig, load_model, save_model
from finprint.model.embedding import embed, embed_crops
from finprint.model.heads import SubCentreArcFace, dynamic_margins
from finprint.model.loading import View, remembered
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import TRAIN, VALIDATION
from finprint.store.vectors import Vectors

# The rooms that a round depends on, besides its params and inputs
CODE = ("base", "individuals", "learning", "matching", "model", "pictures", "store")
VectorsOf = Callable[[Any, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Lessons:
    """What a round learns from: (N,) rows of crops, whom they show, the names of the C classes, and (C,) numbers of
    the species that each class is of, -1 where that is unknown."""

    rows: np.ndarray
    targets: Targets
    classes: list[str]
    species: np.ndarray


def lessons(photos: pd.DataFrame, crops: Crops, pseudo_labels: pd.DataFrame | None) -> Lessons:
    """The training photos that have an identity and a crop, and after them the pseudo-labelled ones.

    Raises:
        UserError: there are fewer than two individuals or photos to learn from.
    """
    labelled = photos[(photos["split"] == TRAIN) & photos["identity"].notna()][["image", "identity"]].assign(weight=1.0)
    if pseudo_labels is not None:
        labelled = pd.concat([labelled, pseudo_labels[["image", "identity", "weight"]]])
    labelled = labelled[labelled["image"].isin(crops.index["image"])]
    classes, codes = np.unique(labelled["identity"].to_numpy(str), return_inverse=True)
    images = labelled["image"].drop_duplicates()
    if len(classes) < 2:
        raise UserError(
            f"{len(images)} training photos of {len(classes)} individuals are nothing to learn from: "
            "the catalogue must name at least two individuals, each with a photo that does not validate"
        )
    told = photos.dropna(subset="species").drop_duplicates("identity").set_index("identity")["species"]
    species, _ = pd.factorize(told.reindex(classes), sort=True)
    photo = pd.Index(images).get_indexer(labelled["image"])
    name = labelled.groupby("image").cumcount().to_numpy()  # a photo's first name, its second, ...
    labels = np.zeros((len(images), name.max() + 1), np.int64)
    weights = np.zeros(labels.shape, np.float32)
    labels[photo, name], weights[photo, name] = codes, labelled["weight"]
    targets = Targets(torch.from_numpy(labels), torch.from_numpy(weights))
    return Lessons(crops.rows(images), targets, classes.tolist(), species.astype(np.int64))


def fingerprint(photos: pd.DataFrame, crops: Crops) -> str:
    """A hash of all that round 1 learns from and is scored on, and of nothing else.

    New photos to identify, which change the inputs' files, do not change it: the same is not learned twice.
    """
    labelled = _labelled(photos, crops)
    contents = [sha256_bytes(crops.jpeg(row)) for row in crops.rows(labelled["image"])]
    return sha256_json(
        [labelled[["image", "species", "identity", "split", "fold"]].fillna("").to_numpy().tolist(), contents]
    )


def new_network(learn: Lessons, recipe: Recipe, start: Path | None) -> Network:
    """A network for these classes: from pretrained weights, or from the model folder of an earlier round.

    Raises:
        UserError: the earlier round knew other individuals.
    """
    train = recipe.train
    torch.manual_seed(recipe.seed)
    twice = 2 if train.augment.mirror == "other" else 1  # the second half of the classes are the mirror images
    counts = photo_counts(learn.targets)
    margins = dynamic_margins(counts, train.margin.one_photo, train.margin.power, train.margin.floor).repeat(twice)
    config = ModelConfig(
        train.backbone, train.fusion, train.embedding, train.image_size, train.augment.mirror, train.cyclic
    )
    before = start or (Path(train.continue_from) if train.continue_from else None)
    embedder = Embedder(config, train.weights if before is None else "none")
    head = SubCentreArcFace(train.embedding, margins, train.margin.centres, train.margin.logit_scale)
    network = Network(embedder, head, species_loss(learn, recipe, twice), train.augment.mixed)
    check_stages(embedder.backbone, train.finetune, train.backbone)
    check_sizes(embedder, train)
    if start is None and before is not None:
        _go_on_from(before, network.embedder)
    if start is not None:
        earlier, weights, classes = load_model(start)
        if classes != learn.classes:
            raise UserError(f"{start} was trained on other individuals: set retrain.start to pretrained")
        network.embedder.load_state_dict(earlier.state_dict())
        network.head.load_state_dict(weights | {"margins": margins})  # the counts have changed
    return network


def check_sizes(embedder: Embedder, train: Train) -> None:
    """Raise a UserError where views are to grow and the backbone knows one size alone, as transformers do."""
    if train.first_size != train.image_size and not is_frozen(train):
        try:
            with torch.inference_mode():
                embedder.eval()(torch.zeros(1, 3, train.first_size, train.first_size))
        except (AssertionError, RuntimeError):
            raise UserError(
                f"train.first_size: {train.backbone} takes views of one size alone: set it to {train.image_size}, "
                "which is train.image_size"
            ) from None
        embedder.train()


def photo_counts(targets: Targets) -> torch.Tensor:
    """(C,) float64, the photos of each class, each by its weight."""
    return torch.bincount(targets.labels.ravel(), targets.weights.ravel().double())


def _labelled(photos: pd.DataFrame, crops: Crops) -> pd.DataFrame:
    """The photos of the catalogue that have an identity and a crop, those that validate among them."""
    named = photos["split"].isin([TRAIN, VALIDATION]) & photos["identity"].notna()
    return photos[named & photos["image"].isin(crops.index["image"])].reset_index(drop=True)


def _go_on_from(folder: Path, embedder: Embedder) -> None:
    """Take over the weights of `train.continue_from`."""
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"train.continue_from: {folder} is no model folder; "
            "a copy of models/round1 is one (models/round1 itself is gone when train runs)"
        )
    earlier, _, _ = load_model(folder)
    try:
        embedder.load_state_dict(earlier.state_dict())
    except RuntimeError:
        raise UserError(
            f"train.continue_from: {folder} does not fit: "
            "it is of another backbone, fusion, embedding or (ViT) image_size"
        ) from None


def species_loss(learn: Lessons, recipe: Recipe, twice: int) -> SpeciesLoss | None:
    """The head that tells species, if it is wanted and there is more than one."""
    params, known = recipe.train.species, learn.species.max() + 1
    if not params.share or known < 2:
        return None
    of = torch.from_numpy(learn.species)
    counts = (
        torch.zeros(known, dtype=torch.float64)
        .index_add(0, of[of >= 0], photo_counts(learn.targets)[of >= 0])
        .clamp(min=1)
    )
    margins = dynamic_margins(counts, params.one_photo, params.power, recipe.train.margin.floor)
    head = SubCentreArcFace(recipe.train.embedding, margins, 1, params.logit_scale)
    return SpeciesLoss(head, torch.from_numpy(learn.species).repeat(twice), params.share)


def _plain_vectors(pixels: View, batch: int, embedder: Embedder, rows: np.ndarray) -> np.ndarray:
    return embed(embedder, pixels, rows, batch=batch, mirror=False, amp=True, quiet=True)


def validator(photos: pd.DataFrame, crops: Crops, vectors: VectorsOf) -> Callable[[Any], dict[str, float]]:
    """A function that scores an embedder on validation: nearest photo, best threshold, no mirror images.

    Args:
        vectors: gives the (N, D) unit vectors of an embedder for (N,) rows of crops.
    """
    seen = _labelled(photos, crops)
    rows = crops.rows(seen["image"])

    def validate(embedder: Any) -> dict[str, float]:
        array = vectors(embedder, rows)
        known = build_catalogue(seen, Vectors(seen["image"], array))
        train, queries = known.train, known.validation
        if not len(queries):
            return {}
        codes = known.photos["code"].to_numpy()
        truth, new = known.truth(queries, train)
        ranking = rank(array[queries], Gallery(array[train], codes[train]))
        place, says_new = best_answers(Checked(ranking, truth, new, np.ones(len(new))))
        found = measure(Outcomes(place, new, says_new, ranking.best, np.full(len(new), np.nan), codes[queries]))
        return {name: found[name] for name in ("map5", "top1", "top5", "auroc_new") if name in found}

    return validate


def train_round(
    photos: pd.DataFrame,
    crops: Crops,
    recipe: Recipe,
    checkpoint: Checkpoint,
    pseudo_labels: pd.DataFrame | None = None,
    start: Path | None = None,
    left_out: int | None = None,
) -> tuple[Network, list[str], list[dict[str, float]]]:
    """Train one round.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        recipe: how to train.
        checkpoint: where a killed run goes on from.
        pseudo_labels: table `LABELS` of test photos to learn from as well.
        start: model folder whose weights to start from; None: the recipe's pretrained ones.
        left_out: the fold whose photos it does not learn from.

    Returns:
        The trained network, the names of its classes, and a row for each epoch.
    """
    if start is not None:  # all of it has learned before
        thawed = recipe.train.finetune.model_copy(update={"unfreeze": []})
        recipe = replace(recipe, train=recipe.train.model_copy(update={"finetune": thawed}))
    learn = lessons(photos if left_out is None else photos[photos["fold"] != left_out], crops, pseudo_labels)
    print(f"{len(learn.rows)} photos of {len(learn.classes)} individuals", flush=True)
    network = new_network(learn, recipe, start)
    look: View = remembered(crops.pixels)
    vectors: VectorsOf = partial(_plain_vectors, look, 2 * recipe.train.batch)
    if is_frozen(recipe.train):
        features = Features(network.embedder, crops)
        network.embedder, look, vectors = FrozenEmbedder(network.embedder), features, features.vectors
        print("the backbone is frozen: a head learns from features of plain views and mirror images", flush=True)
    with curves(checkpoint) as watch:
        network, history = fit(
            network,
            lambda item: look(learn.rows[item]),
            learn.targets,
            recipe,
            validator(photos, crops, vectors),
            checkpoint,
            watch,
        )
    if isinstance(network.embedder, FrozenEmbedder):
        network.embedder = network.embedder.embedder
    return network, learn.classes, history


def later_rounds(
    photos: pd.DataFrame,
    crops: Crops,
    recipe: Recipe,
    checkpoints: list[Checkpoint],
    pseudo_labels: pd.DataFrame,
    start: Path,
    again: Retrain,
    mining: Mine,
    embedding: Embed,
) -> tuple[Network, list[str], list[dict[str, float]], dict[str, dict[str, float]]]:
    """Train round 2, and more rounds where `again` asks for them, each with the names that the one before gives.

    Args:
        checkpoints: one a round, where a killed run goes on from.
        pseudo_labels: table `LABELS`, by round 1.
        start: model folder of round 1.
        again: from which weights each round starts: the round's before it, or pretrained ones.
        mining: how photos are named anew, by vectors made as `embedding` says.

    Returns:
        As `train_round`, of the last round; the epochs count on. And what is known of the names that rounds 3 and on
        learned from, by the round's number.
    """
    history: list[dict[str, float]] = []
    numbers: dict[str, dict[str, float]] = {}
    for number, place in enumerate(checkpoints, start=2):
        network, classes, rows = train_round(
            photos, crops, recipe, place, pseudo_labels, start if again.start == "round1" else None
        )
        history += [row | {"epoch": row["epoch"] + len(history)} for row in rows]
        if place is not checkpoints[-1]:
            start = place.folder / "model"
            save_model(start, network.embedder, network.head, classes)
            mined = mine(build_catalogue(photos, embed_crops(start, crops, embedding, quiet=True)), mining)
            pseudo_labels, told = mined.labels, mined.metrics()
            numbers[str(number + 1)] = told
            print(
                f"round {number + 1}: {told['pseudo_labels']} photos named anew, "
                f"{told['precision_validation']:.3f} of such names right on validation",
                flush=True,
            )
            place.finish()
    return network, classes, history, numbers
