"""The commands of a bundle, and what they say."""

from collections.abc import Sequence
from pathlib import Path

from finprint.base.words import counted
from finprint.bundle.bundle import Bundle
from finprint.bundle.enrol import enrol
from finprint.bundle.identified import Identified

SHOWN = 10  # photos whose first answer is printed


def identify_photos(given: Sequence[Path], folder: Path, out: Path) -> None:
    """Identify photos, and print the first answers and where all of them are.

    Raises:
        UserError: the bundle cannot be used, or there is no photo.
    """
    from finprint.bundle.identify import identify  # torch takes seconds to import

    identified = identify(given, Bundle.load(folder), out)
    for line in first_answers(identified)[:SHOWN]:
        print(line)
    bad = identified.photos["problem"].notna().sum()
    problems = f", {bad} of them with a problem" if bad else ""
    print(f"{counted(len(identified.photos), 'photo')}{problems}: {out}/answers.xlsx, {out}/answers.csv")


def enrol_decisions(out: Path, folder: Path) -> None:
    """Enrol the decisions on identified photos, and say what that changed.

    Raises:
        UserError: the decisions cannot be enrolled.
    """
    counts = enrol(out, folder)
    what = {
        "came into the catalogue": counts["came"],
        "left it": counts["left"],
        "show another individual now": counts["renamed"],
    }
    said = [f"{counted(number, 'photo')} {text}" for text, number in what.items() if number] or ["nothing is new"]
    new = f", {counted(counts['new_individuals'], 'new individual')}" if counts["new_individuals"] else ""
    print(f"{', '.join(said)}{new}: {folder} knows {counts['individuals']} individuals by {counts['photos']} photos")
    if any((above / "dvc.yaml").exists() for above in folder.resolve().parents):
        print(f"`dvc repro` writes {folder} anew: use a copy of it in another place, or enrol again after each run")


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
