"""The commands of a bundle, and what they say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from finprint.answers.rules import TOO_FEW
from finprint.answers.tables import GALLERY
from finprint.base.errors import UserError
from finprint.base.files import caching_in
from finprint.base.words import counted
from finprint.bundle.bundle import Bundle
from finprint.bundle.enrol import enrol, for_the_pipeline
from finprint.bundle.identified import Identified, answered_of
from finprint.engine.params import LOCAL, on_cluster
from finprint.evaluation.changed import Answered
from finprint.store.decisions import LOG, Log
from finprint.store.tables import PHOTOS, read_table

CHANGED = "changed.html"
SHOWN = 10  # photos whose first answer is printed


def identify_photos(given: Sequence[Path], folder: Path, out: Path, ray: str = "") -> None:
    """Identify photos, and print the first answers and where all of them are.

    Args:
        given: the photos.
        folder: of the bundle.
        out: the folder to write.
        ray: the address of a Ray cluster that crops and embeds them; '': this machine does.

    Raises:
        UserError: the bundle cannot be used, or there is no photo.
    """
    from finprint.bundle.identify import identify  # torch takes seconds to import

    earlier = _earlier(out)
    bundle = replace(Bundle.load(folder), engine=on_cluster(ray) if ray else LOCAL)
    identified = identify(given, bundle, out)
    for line in first_answers(identified)[:SHOWN]:
        print(line)
    if bundle.rules.too_few:
        print(f"{TOO_FEW}: no answer has a probability")
    bad = identified.photos["problem"].notna().sum()
    problems = f", {bad} of them with a problem" if bad else ""
    print(f"{counted(len(identified.photos), 'photo')}{problems}: {out}/answers.xlsx, {out}/answers.csv")
    if earlier:
        _tell_changed(out, earlier, answered_of(identified))


def _earlier(out: Path) -> Answered | None:
    """What was answered in the folder before; None: nothing, or nothing that can be read."""
    try:
        return answered_of(Identified.load(out))
    except UserError:
        return None


def _tell_changed(out: Path, earlier: Answered, now: Answered) -> None:
    """Say which answers changed, and write a page and a CSV of them."""
    from finprint.report.changed import tell_changed  # takes a second to import

    for line in tell_changed(out / CHANGED, "the last time", earlier, now):
        print(line)


def enrol_decisions(out: Path, folder: Path) -> None:
    """Enrol the decisions on identified photos, and say what that changed.

    Raises:
        UserError: the decisions cannot be enrolled.
    """
    counts = enrol(out, folder)
    what = {"came": "came into the catalogue", "left": "left it", "renamed": "show another individual now"}
    said = [f"{counted(counts[name], 'photo')} {text}" for name, text in what.items() if counts[name]]
    new = f", {counted(counts['new_individuals'], 'new individual')}" if counts["new_individuals"] else ""
    knows = f"{folder} knows {counts['individuals']} individuals by {counts['photos']} photos"
    print(f"{', '.join(said) or 'nothing is new'}{new}: {knows}")
    bundle = Bundle.load(folder)
    if said:
        _answer_anew(out, bundle)
    _tell_the_pipeline(out, bundle)
    if any((above / "dvc.yaml").exists() for above in folder.resolve().parents):
        print(f"`dvc repro` writes {folder} anew: use a copy of it in another place, or enrol again after each run")


def _tell_the_pipeline(out: Path, bundle: Bundle) -> None:
    """Where this is the project whose pipeline made the bundle, write the decisions into its log, too."""
    log, table = Path("data/decisions") / LOG, Path("data/photos.parquet")
    if not (Path("dvc.yaml").exists() and log.parent.is_dir() and table.exists()):
        return
    gallery = bundle.gallery.photos
    if not set(read_table(table, PHOTOS)["sha256"]) & set(gallery.loc[gallery["labelled"].notna(), "sha256"]):
        return  # another project's bundle
    if new := Log(log).take(for_the_pipeline(out, bundle)):
        print(
            f"{counted(new, 'line')} also written into {log}: `dvc repro` knows these photos wherever they lie in your"
        )
        print("collection, also if you copy them there later")


def _answer_anew(out: Path, bundle: Bundle) -> None:
    """Say which of the photos' answers the decisions have changed; the answers in the folder stay as they are."""
    from finprint.bundle.identify import answered_anew  # torch takes seconds to import

    identified = Identified.load(out)
    try:
        with caching_in(out / ".cache"):
            answers = answered_anew(identified, bundle)
    except UserError as error:
        print(f"which answers changed cannot be told: {error}")
        return
    gallery = GALLERY.validate(bundle.gallery.photos.dropna(subset="identity")[list(GALLERY.columns)])
    earlier = answered_of(identified)
    _tell_changed(out, earlier, replace(earlier, answers=answers, gallery=gallery.reset_index(drop=True)))


def first_answers(identified: Identified) -> list[str]:
    """A line for each photo: its likeliest name and how likely that is, or why there is none."""
    first = identified.answers[identified.answers["rank"] == 1].set_index("query")
    lines = []
    for image, problem in identified.photos[["image", "problem"]].itertuples(index=False):
        if image in first.index:
            chance = first.loc[image, "probability"]
            lines.append(f"{image}: {first.loc[image, 'identity']}" + (f" ({chance:.0%})" if chance == chance else ""))
        else:
            lines.append(f"{image}: {problem}")
    return lines
