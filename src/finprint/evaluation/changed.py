"""Which answers differ from the last time, and why."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finprint.answers.rules import RULES
from finprint.answers.tables import ANSWERS, GALLERY
from finprint.base.errors import UserError
from finprint.base.files import atomic, cache, read_json, sha256_path, write_json
from finprint.store.tables import NEW, read_table, write_table

MODELS = ("data/round1/model.json", "data/round2/model.json")
KEPT = "answered"  # in the cache folder: the answers of the last run that was accepted
COLUMNS = ["photo", "before", "before_probability", "now", "now_probability", "why"]


@dataclass(frozen=True)
class Answered:
    """What was answered, and from what.

    Attributes:
        answers: table `ANSWERS`.
        gallery: table `GALLERY`.
        rules: content of rules.json.
        models: a hash for each model.
    """

    answers: pd.DataFrame
    gallery: pd.DataFrame
    rules: dict[str, Any]
    models: tuple[str, ...]

    def same(self, other: "Answered") -> bool:
        """Was the same answered, from the same?"""
        return (
            (self.rules, self.models) == (other.rules, other.models)
            and self.answers.equals(other.answers)
            and self.gallery.equals(other.gallery)
        )

    def save(self, folder: Path) -> None:
        """Write it into a folder, atomically."""
        with atomic(folder) as draft:
            draft.mkdir()
            write_table(draft / "answers.parquet", self.answers, ANSWERS)
            write_table(draft / "gallery.parquet", self.gallery, GALLERY)
            write_json(draft / RULES, {"rules": self.rules, "models": list(self.models)})

    @staticmethod
    def load(folder: Path) -> "Answered":
        """Read what `save` wrote.

        Raises:
            UserError: a table is missing or damaged.
            OSError, ValueError, KeyError: of the rules.
        """
        answers, gallery = (read_table(folder / f"{schema.name}.parquet", schema) for schema in (ANSWERS, GALLERY))
        told = read_json(folder / RULES)
        return Answered(answers, gallery, told["rules"], tuple(told["models"]))


def last_time(data: Path, model: Path) -> tuple[Answered | None, Answered]:
    """What the run before this one answered, if it is known, and what this one has.

    Args:
        data: the run's folder `data`.
        model: folder of round 2's model.

    Raises:
        UserError: a table of this run is missing or damaged.
    """
    search = data / "search"
    answers, gallery = (read_table(search / f"{schema.name}.parquet", schema) for schema in (ANSWERS, GALLERY))
    now = Answered(answers, gallery, read_json(search / RULES), (sha256_path(model),))
    try:
        earlier = Answered.load(cache() / KEPT)
    except (UserError, OSError, ValueError, KeyError):  # none yet, or of an older version
        earlier = None
    return earlier, now


def keep(now: Answered) -> None:
    """Keep a run's answers: the next run is compared with them."""
    now.save(cache() / KEPT)


def read_answered(where: str) -> Answered:
    """What a run answered.

    Args:
        where: as for `compare.read_experiment`.

    Raises:
        UserError: there is no such run, or it has no answers.
    """
    from finprint.evaluation.compare import fetched  # DVC takes a second to import

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        answers = read_table(fetched(where, "data/search/answers.parquet", place), ANSWERS)
        gallery = read_table(fetched(where, "data/search/gallery.parquet", place), GALLERY)
        rules = read_json(fetched(where, f"data/search/{RULES}", place))
        return Answered(answers, gallery, rules, tuple(sha256_path(fetched(where, name, place)) for name in MODELS))


def changed(before: Answered, now: Answered) -> pd.DataFrame:
    """The photos whose first answer differs, and why; a table of `COLUMNS`, by photo.

    Photos that nobody asked for before do not count. A photo that is no longer to identify does: where it is in the
    catalogue now, a person has named it. Of several reasons the first that holds is told: the matching photo,
    the model, the threshold, the other rules, other photos of the catalogue, the photo itself.
    """
    old, new = _first(before), _first(now)
    catalogue = now.gallery.set_index("image")["identity"]
    known = before.gallery.set_index("image")["identity"]
    rows = []
    for photo in sorted(old.index):
        was = old.loc[photo]
        if photo not in new.index:
            named = catalogue.get(photo)
            why = "a person has named it" if named is not None else "it is not to identify any more"
            rows.append((photo, was["identity"], was["probability"], named or "", np.nan, why))
        elif new.loc[photo, "identity"] != was["identity"]:
            is_now = new.loc[photo]
            why = _why(was, is_now, known, catalogue) or _of_the_run(photo, before, now)
            answers = (was["identity"], was["probability"], is_now["identity"], is_now["probability"])
            rows.append((photo, *answers, why))
    return pd.DataFrame(rows, columns=COLUMNS)


def reasons(table: pd.DataFrame) -> list[tuple[str, int]]:
    """How many answers changed for each reason, the most frequent first; of a table of `COLUMNS`."""
    counts = pd.Series([why.partition(":")[0] for why in table["why"]], dtype="string").value_counts()
    return [(str(reason), int(count)) for reason, count in counts.items()]


def _first(one: Answered) -> pd.DataFrame:
    return one.answers[one.answers["rank"] == 1].set_index("query")


def _why(was: pd.Series, is_now: pd.Series, known: pd.Series, catalogue: pd.Series) -> str:
    """What in the catalogue explains it; "" if nothing does."""
    match, earlier = is_now["match"], was["match"]
    if pd.notna(match) and match not in known.index:
        return f"the catalogue has a new photo: {match}"
    if pd.notna(match) and known[match] != catalogue[match]:
        return f"{match} shows {catalogue[match]} now, and {known[match]} before"
    if pd.notna(earlier) and earlier not in catalogue.index:
        return f"{earlier} is not in the catalogue any more"
    if pd.notna(earlier) and known[earlier] != catalogue[earlier]:
        return f"{earlier} shows {catalogue[earlier]} now, and {known[earlier]} before"
    return ""


def _of_the_run(photo: str, before: Answered, now: Answered) -> str:
    if before.models != now.models:
        return "a model was trained anew"
    orders = []
    for one in (before, now):
        names = one.answers[one.answers["query"] == photo].sort_values("rank")["identity"]
        orders.append(names[names != NEW].tolist()[:4])
    old, new = (one.rules.get("threshold") for one in (before, now))  # None: an older version did not tell it
    if orders[0] == orders[1] and None not in (old, new) and old != new:
        return f"the threshold moved: {old:.3f} before, {new:.3f} now"
    if before.rules != now.rules:
        return "the rules were fitted anew"
    if not before.gallery.equals(now.gallery):
        return "other photos of the catalogue count"
    return "its own crop or second look changed"
