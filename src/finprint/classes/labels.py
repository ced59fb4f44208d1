"""Which photos carry a label, in which fold each stands, and which of them a model learns from or answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import sha256_json
from finprint.classes.params import Classes
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST

MADE = -2  # the fold of made images, which no model leaves out
ALWAYS = -3  # the fold of the only group of a class, which no model leaves out either
ALONE = -1  # the group of made images: no photo is in it
HALF = 0.5  # share of the photos


@dataclass(frozen=True)
class Labelled:
    """The photos with a crop, and what is known of their class.

    Attributes:
        table: (image, label, group, fold), a row for each photo with a crop; label is missing, and fold -1, where the
            class is not known or the photo is to be identified; MADE for a made image; ALWAYS if every model learns it.
        classes: names of the C classes, sorted: those of photos outside the test share.
        test: the folds of the test share.
    """

    table: pd.DataFrame
    classes: list[str]
    test: tuple[int, ...]

    def learns(self, fold: int) -> pd.DataFrame:
        """The photos that the model without `fold` learns from."""
        return self.table[self.table["label"].notna() & ~self.table["fold"].isin([fold, *self.test])]

    def left_out(self, fold: int) -> pd.DataFrame:
        """The labelled photos that this model is judged on."""
        return self.table[self.table["label"].notna() & (self.table["fold"] == fold)]

    def answers(self, fold: int) -> pd.DataFrame:
        """The photos that this model answers: all that it does not learn from, but for those of other folds."""
        return self.table[self.table["label"].isna() | self.table["fold"].isin([fold, *self.test])]

    def with_made(self, made: pd.DataFrame) -> "Labelled":
        """The same with images beside the photos that were made of each class; every model learns from them.

        Args:
            made: (image, label).
        """
        rows = made[["image", "label"]].assign(group=ALONE, fold=MADE)
        return replace(self, table=pd.concat([self.table, rows], ignore_index=True))

    def codes(self, labels: pd.Series) -> np.ndarray:
        """(N,) numbers of the classes of labels; -1 for one that is no class."""
        return pd.Index(self.classes).get_indexer(pd.Index(labels))

    def fingerprint(self, crops: Crops) -> str:
        """A hash of what models learn from and are validated on."""
        table = self.table[self.table["label"].notna()]
        contents = [crops.digest(row) for row in crops.rows(table["image"])]
        groups = pd.factorize(table["group"])[0].tolist()  # by which penalty and shares of a fitted head are chosen
        return sha256_json([table[["image", "label", "fold"]].to_numpy().tolist(), groups, contents, list(self.test)])


def labelled(photos: pd.DataFrame, crops: Crops, of: str, params: Classes, folds: int = 0) -> Labelled:
    """The photos and their labels.

    The splits `train` and `validation` do not count here, because they hold out whole individuals. The folds do: groups
    are never divided between them. A photo without an identity has no fold of its own; it takes that of a labelled
    photo of its group, else one by the group's number. Some groups go to another fold, as `_spread` tells.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos.
        of: the column that names the class, `identity` or `species`.
        params: the section. Its other folds and models change nothing for one model, so its stages depend on `test`
            alone.
        folds: into how many the photos are divided; 0: as far as any photo stands in one.

    Raises:
        UserError: there are fewer than two classes to learn, or a fold has no labelled photo.
    """
    table = photos[photos["image"].isin(crops.index["image"])]
    table = table[["image", "group", "fold", "split", "encounter"]].assign(label=table[of]).reset_index(drop=True)
    table.loc[table["split"] == TEST, "label"] = pd.NA
    folds = max(1, folds, int(table["fold"].max()) + 1)
    by_group = table.groupby("group")["fold"].transform("max")
    table["fold"] = by_group.where(by_group >= 0, table["group"] % folds)
    table.loc[table["label"].isna(), "fold"] = -1
    named = _spread(_apart(table[table["label"].notna()], folds), folds, params.test)
    dealt = named[["group", "fold"]].reindex(table.index)
    table[["group", "fold"]] = dealt.fillna(table[["group", "fold"]]).astype(int)
    classes = sorted(named.loc[~named["fold"].isin(params.test), "label"].unique())
    if len(classes) < 2:
        only = f": {classes[0]}" if classes else ""
        raise UserError(f"{len(named)} photos have a {of}, of {len(classes)} classes{only}; at least two are needed")
    if "image" in classes:
        raise UserError(f"a {of} is called 'image', as the submission's column of photos is: give it another name")
    judging = sorted(named.loc[named["fold"] >= 0, "fold"].unique())
    if not judging:
        raise UserError(
            f"no photo can judge the others: the photos of each {of} all belong together (a boat, an encounter), and a "
            "model that has never seen one would deny it. Add photos that belong elsewhere, or leave the groups out"
        )
    for name, listed in (("folds", params.folds), ("test", params.test)):
        for fold in listed:
            if not (named["fold"] == fold).any():
                raise UserError(
                    f"classes.{name} has {fold}, but no photo with a {of} stands in fold {fold}: groups of photos "
                    "(boats, encounters, near-duplicates) stay together, and the folds of these are "
                    + ", ".join(map(str, judging))
                )
    return Labelled(table[["image", "label", "group", "fold"]], classes, tuple(params.test))


def _apart(named: pd.DataFrame, folds: int) -> pd.DataFrame:
    """The labelled photos with a group for each class that a group shows, the further ones in the folds behind its own.

    Near-duplicates of another class make no model look better than it is. Where images of all classes look alike, such
    as bottles on white, they would join all of them to one group. A group that the owner or the date tells, such as a
    boat or an encounter, stays together. Where most images stand in the only group of their class, each stands alone.

    Args:
        named: columns label, group, fold and encounter.
        folds: their number.
    """
    if not len(named):
        return named
    joined = named["encounter"].isna().groupby(named["group"]).transform("all")
    label = pd.factorize(named["label"], sort=True)[0]
    place = pd.Series(label, named.index).groupby(named["group"]).rank("dense").astype(int) - 1
    fold = named["fold"].where(~joined, (named["fold"] + place) % folds)
    group = named["group"] + place.where(joined, 0) * (named["group"].max() + 1)
    parted = named.assign(group=group, fold=fold)
    if (_groups(parted) == 1).mean() <= HALF or not joined.all():
        return parted
    alone = np.arange(len(named))
    return named.assign(group=alone, fold=named.groupby("label").cumcount() % folds)


def _groups(named: pd.DataFrame) -> pd.Series:
    """How many groups the class of each photo has."""
    return named.groupby("label")["group"].transform("nunique")


def _spread(named: pd.DataFrame, folds: int, test: Sequence[int]) -> pd.DataFrame:
    """The labelled photos with folds in which no class stands in one alone, and none of which is empty.

    Folds follow from a hash, so that a class of few groups may lie in one fold by chance. Its last group then goes to
    the next fold, because a model that has never seen a class would deny it. If it has one group, no model leaves that
    out, and it is not judged. An empty fold takes a group of the fold that has most.

    Args:
        named: columns label, group and fold.
        folds: their number.
        test: those of the test share; what lies there stays there.
    """
    if not len(named):
        return named
    fold = named.groupby("group")["fold"].first()
    for _, groups in named.groupby("label")["group"]:
        own = np.unique(groups)
        if len(own) > 1 and fold[own].nunique() == 1:
            fold[own[-1]] = (fold[own[-1]] + 1) % folds
    only = fold.index.isin(named.loc[_groups(named) == 1, "group"]) & ~fold.isin(test)
    fold[only] = ALWAYS
    for empty in sorted(set(range(folds)) - set(fold)):
        most = fold[fold == fold[fold >= 0].mode().min()]
        if len(most) > 1:
            fold[most.index[-1]] = empty
    return named.assign(fold=named["group"].map(fold))


def remarks(labels: Labelled, fold: int) -> list[str]:
    """What is worth a line on the terminal: classes that this model cannot learn, or that nothing judges."""
    taught = set(labels.learns(fold)["label"])
    missing = [name for name in labels.classes if name not in taught]
    only = sorted(labels.table.loc[labels.table["fold"] == ALWAYS, "label"].unique())
    count = len(labels.classes)
    lines = (
        (missing, f"of {count} classes have no photo outside fold {fold}", "this model never answers them"),
        (only, f"of {count} classes have one group of photos that belong together", "nothing judges them"),
    )
    return [f"{len(names)} {what}, {names[0]} for one: {so}" for names, what, so in lines if names]
