"""A trained system read from its folder: it crops photos, computes their vectors and answers them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finprint.answers.grouping import proposals
from finprint.answers.rules import RULES, Rules
from finprint.answers.scoring import blended
from finprint.answers.search import answer
from finprint.answers.species import COLUMN
from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.errors import UserError
from finprint.base.files import read_json, sha256_path
from finprint.bundle.features import FEATURES
from finprint.bundle.gallery import Gallery
from finprint.bundle.manifest import AGAIN, MANIFEST, Manifest
from finprint.bundle.settings import Settings
from finprint.bundle.tables import TOLD
from finprint.bundle.writing import DETECTOR, MODELS, SPECIES, SPECIES_RULES
from finprint.engine.params import LOCAL, Engine
from finprint.keypoints.tables import WORTH
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.store.arrays import Selection
from finprint.store.tables import NEW, TEST, TRAIN

if TYPE_CHECKING:
    from finprint.classes.trained import Ensemble
    from finprint.detector.yolo import TrainedDetector
    from finprint.keypoints.worth import Worth
    from finprint.model.embedder import Embedder

ASKED = "\0"  # before the id of a photo to identify, because a photo of the gallery may have the same id


@dataclass(frozen=True)
class Answered:
    """Q queries with their answers.

    Attributes:
        answers: table `ANSWERS`.
        new: (Q,) the chance that the animal is new, by query; missing without a calibration.
        proposed: table `PROPOSED`, the queries that are called new, grouped into proposed new individuals.
    """

    answers: pd.DataFrame
    new: pd.Series
    proposed: pd.DataFrame


@dataclass(frozen=True)
class Bundle:
    """A bundle.

    Attributes:
        folder: where it lies.
        manifest: what it says of itself.
        settings: how photos are cropped, embedded and looked at a second time.
        rules: by which scores become answers; their shares are those of the members.
        gallery: what photos are compared with.
        engine: where photos are cropped and embedded, and a large gallery is searched.
    """

    folder: Path
    manifest: Manifest
    settings: Settings
    rules: Rules
    gallery: Gallery
    engine: Engine = LOCAL

    @staticmethod
    def load(folder: Path) -> "Bundle":
        """Read a bundle and check each of its files against its hash.

        Raises:
            UserError: it is no bundle, of another version, or was altered.
        """
        manifest = Manifest.read(folder)
        try:
            manifest.check(folder)
            rules = replace(Rules.load(folder), shares=tuple(manifest.shares.values()))
            gallery = Gallery.read(folder / manifest.gallery, manifest.members)
            return Bundle(folder, manifest, Settings.read(folder), rules, gallery)
        except UserError:
            if Manifest.read(folder) == manifest:
                raise
            return Bundle.load(folder)  # another process has enrolled decisions meanwhile

    @property
    def hash(self) -> str:
        """Of the whole bundle, its gallery included."""
        return sha256_path(self.folder / MANIFEST)

    def fitted(self) -> dict[str, Any]:
        """The rules of the answers, and a hash of each model, for people who want to know why answers changed."""
        models = [sha256 for name, sha256 in self.manifest.files.items() if name.startswith((f"{MODELS}/", WORTH))]
        return {"rules": read_json(self.folder / RULES), "models": models}

    @property
    def detector_folder(self) -> Path:
        """The detector's model folder."""
        return self.folder / DETECTOR

    @property
    def features(self) -> Path:
        """The folder of the gallery's local features."""
        return self.folder / self.manifest.gallery / FEATURES

    @cached_property
    def detector(self) -> "TrainedDetector | None":
        """The detector, if there is one."""
        from finprint.detector.yolo import TrainedDetector  # torch takes seconds to import

        return TrainedDetector(self.detector_folder) if TrainedDetector.enabled(self.detector_folder) else None

    @cached_property
    def models(self) -> "dict[str, Embedder]":
        """The members' embedders, by name."""
        from finprint.model.embedder import load_model

        return {name: load_model(self.folder / MODELS / name)[0] for name in self.manifest.members}

    @cached_property
    def worth(self) -> "Worth | None":
        """What was learned about matched features; None: nothing.

        Raises:
            UserError: the file is damaged, or of another version.
        """
        path = self.folder / WORTH
        if not path.exists():
            return None
        from finprint.keypoints.worth import Worth

        try:
            return Worth.load(path)
        except ValueError as error:
            raise UserError(f"{error}: {AGAIN}") from None

    @cached_property
    def species(self) -> "Ensemble | None":
        """The models that tell the species of a photo, if the rules ask for it and there are some."""
        folder = self.folder / SPECIES
        if not folder.exists():
            return None
        from finprint.classes.trained import load_ensemble

        return load_ensemble(folder / MODELS, folder / SPECIES_RULES)

    def answer(
        self, photos: pd.DataFrame, vectors: Sequence[np.ndarray], local_scores: pd.DataFrame | None = None
    ) -> Answered:
        """Answer photos by the rules, in the gallery. A photo is not compared with itself.

        Args:
            photos: columns image, sha256 and `TOLD` of Q photos, perhaps with the chances of each species.
            vectors: (Q, D) of each member.
            local_scores: of the second look, as for `Catalogue`; the ids of the queries begin with `ASKED`.
        """
        catalogue = replace(self.catalogue(photos, vectors), local_scores=local_scores)
        start = len(catalogue.photos) - len(photos)
        queries, labelled = np.arange(start, len(catalogue.photos)), catalogue.labelled
        contents = catalogue.photos["sha256"].to_numpy(str)
        twins = np.isin(contents[queries], contents[labelled])
        answered = [self._answer(catalogue, queries[~twins], labelled)]
        for query in queries[twins]:
            others = labelled[contents[labelled] != contents[query]]
            answered.append(self._answer(catalogue, np.array([query]), others))
        answers = pd.concat([one for one, _ in answered if len(one)] or [answered[0][0]])
        place = pd.Series(np.arange(len(photos)), photos["image"])
        answers = answers.sort_values("query", key=lambda names: names.map(place), kind="stable", ignore_index=True)
        called = answers.loc[(answers["rank"] == 1) & (answers["identity"] == NEW), "query"].to_numpy(object)
        alike = catalogue.blend(self.rules.shares)[start + place[called].to_numpy()]
        return Answered(
            ANSWERS.validate(answers),
            pd.concat([new for _, new in answered]).reindex(photos["image"]),
            PROPOSED.validate(proposals(called, alike, self.rules.grouping.similarity)),
        )

    def _answer(self, catalogue: Catalogue, queries: np.ndarray, gallery: np.ndarray) -> tuple[pd.DataFrame, pd.Series]:
        """The answers to some queries, and their chances of being new."""
        rules = self.rules
        listed = rules.look_up(catalogue, queries, gallery)
        table = answer(catalogue, listed, rules)
        new = np.full(len(queries), np.nan)
        if rules.calibration is not None:
            ranking = blended(listed.ranking, listed.components, rules.blend)
            new = rules.calibration.probabilities(ranking, rules.thresholds(listed.species))[1]
        images = catalogue.photos["image"].iloc[queries].str.removeprefix(ASKED)
        return table.assign(query=table["query"].str.removeprefix(ASKED)), pd.Series(new, images, float)

    def catalogue(self, photos: pd.DataFrame, vectors: Sequence[np.ndarray]) -> Catalogue:
        """The gallery and photos to identify behind it; the ids of the latter begin with `ASKED`."""
        gallery = self.gallery.photos
        chances = [name for name in photos.columns.astype(str) if name.startswith(COLUMN)]
        columns = ["image", "identity", "sha256", *TOLD, *chances]
        stored = gallery.reindex(columns=columns).assign(split=TRAIN)
        queries = photos.reindex(columns=columns).assign(image=ASKED + photos["image"], identity=None, split=TEST)
        table = pd.concat([stored, queries], ignore_index=True).astype(stored.dtypes.to_dict())
        if "same_side" not in self.rules.blend.weights:
            table = table.drop(columns="viewpoint")
        members = [
            replace(own, images=table["image"], array=Selection([own.array, array]))
            for own, array in zip(self.gallery.members.values(), vectors, strict=True)
        ]
        return build_catalogue(table, *members, engine=self.engine)
