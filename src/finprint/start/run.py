"""The command `finprint start`: look, choose, write, and say what was done and why."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finprint.answers.rules import LEAST_INDIVIDUALS, TOO_FEW
from finprint.base.errors import UserError
from finprint.base.params import PARAMS
from finprint.base.words import counted
from finprint.check import check_named
from finprint.params import Params, load_params
from finprint.start.class_probe import probe_classes
from finprint.start.class_recipe import plan_classes
from finprint.start.cost import Work, minutes
from finprint.start.facts import facts_of
from finprint.start.probe import probe
from finprint.start.reading import read, unwrapped
from finprint.start.recipe import Plan, plan, within
from finprint.start.window import window_of
from finprint.start.writing import refuse_unclean, write_params
from finprint.survey.look import Looked, describe

RAW = Path("data/raw")  # which git ignores and DVC watches
SHOWN = 3  # stages of the longest time
INDIVIDUALS = ("dvc repro", "metrics/report.html")  # the command that runs the plan, and the page to open then
CLASSES = ("dvc repro judge", "metrics/classes/identity.html")


@dataclass(frozen=True)
class Asked:
    """What is asked of `finprint start`.

    Attributes:
        folder: with the photos.
        minutes: that the run may take.
        link: make a link to a folder outside of data/raw.
        classes: the names tell classes, and not individuals.
    """

    folder: Path
    minutes: float
    link: bool = False
    classes: bool = False


def start(asked: Asked) -> Iterator[str]:
    """Look at a folder, choose a recipe and write params.yaml; what is understood and done, text by text.

    Raises:
        UserError: the folder, the minutes or params.yaml cannot be used; nothing is written then, but a link that was
            asked for stays.
    """
    if not asked.minutes > 0:
        raise UserError(f"--minutes is {asked.minutes:g}: it must be more than 0")
    base = load_params()
    folder = bring_in(asked.folder, asked.link)
    looked = read(folder if Path(base.prepare.folder) == folder else unwrapped(folder), base, asked.classes)
    count = looked.animals["identity"].nunique()
    few = (
        f"\n{TOO_FEW}: the catalogue has {count}, and {LEAST_INDIVIDUALS} are needed. No answer will have a probability"
    )
    warned = not asked.classes and count < LEAST_INDIVIDUALS
    yield describe(looked, "class" if asked.classes else "individual") + few * warned
    chosen = (_for_classes if asked.classes else _for_individuals)(looked, base, asked)
    values = {choice.key: choice.value for choice in chosen.choices}
    check_named(chosen.params)
    refuse_unclean(PARAMS, values)
    changed = write_params(PARAMS, values)
    yield "\n".join(told(chosen, changed))
    yield "\n".join(forecast(chosen.seconds, asked.minutes, *(CLASSES if asked.classes else INDIVIDUALS)))


def _for_individuals(looked: Looked, base: Params, asked: Asked) -> Plan:
    facts = facts_of(looked)
    paths = [Path(path) for path in looked.source.labelled["path"].unique() if path not in looked.source.barred]
    window = window_of(facts, paths, base)
    return plan(Work(facts, probe(paths, within(base, window))), base, asked.minutes, window)


def _for_classes(looked: Looked, base: Params, asked: Asked) -> Plan:
    facts = facts_of(looked, classes=True)
    return plan_classes(facts, probe_classes(looked, base), base, asked.minutes)


def bring_in(folder: Path, link: bool) -> Path:
    """Where the photos are read from: below data/raw, by a link if that is wanted.

    Raises:
        UserError: the folder is missing or lies elsewhere, or the link's name is taken.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is {'no folder' if folder.exists() else 'missing'}")
    here = Path.cwd()
    inside = Path(os.path.normpath(here / folder))  # a link on the way stays a link
    if inside.is_relative_to(here / RAW) and inside != here / RAW:
        return inside.relative_to(here)
    new = RAW / inside.name
    if not link:
        raise UserError(
            f"{folder} lies outside of {RAW}: move or copy it there, or add --link, which makes {new} a link to it"
        )
    if new.is_symlink() and new.resolve() == folder.resolve():
        return new
    if new.exists() or new.is_symlink():
        raise UserError(f"{new} exists already: rename it or {folder}")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.symlink_to(folder.resolve(), target_is_directory=True)
    return new


def told(chosen: Plan, changed: Sequence[str]) -> Iterator[str]:
    """A line for each choice: its key, its value and its reason."""
    rows = [(choice.key, _short(choice.value), choice.reason) for choice in chosen.choices]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    yield f"params.yaml: {len(changed)} of {len(rows)} values changed"
    for key, value, reason in rows:
        yield f"  {key:<{first}}  {value:<{second}}  {reason}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else "''"


def forecast(seconds: Mapping[str, float], budget: float, command: str, page: str) -> Iterator[str]:
    """What the run will take on this machine, and what to do next.

    Args:
        seconds: of each stage.
        budget: minutes.
        command: that runs it.
        page: with the answers.
    """
    total = minutes(seconds)
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:SHOWN]
    most = ", ".join(f"{stage} {value / 60:.1f}" for stage, value in longest)
    yield f"`{command}` will take about {counted(max(1, round(total)), 'minute')} on this machine (the most: {most})"
    if total > budget:
        asked = f"{budget:g} minute{'' if budget == 1 else 's'}"
        yield f"This is more than {asked}, but there is no way much shorter: nothing but a head is trained"
    yield f"Next: {command}. Then open metrics/data.html and {page}"
