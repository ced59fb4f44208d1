"""The rules for classes: from what a folder of images holds and the minutes there are to the values of params.yaml.

docs/experiments.md has where each rule was measured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from finprint.base.params import changed
from finprint.base.words import counted
from finprint.classes.guesses import by_features
from finprint.classes.params import PLAIN, Classify
from finprint.classes.poses import looks
from finprint.learning.finetuning import is_frozen
from finprint.learning.recipe import Recipe
from finprint.params import Params
from finprint.start.cost import BEGIN, Speed, Work, minutes
from finprint.start.facts import Facts
from finprint.start.recipe import (
    WHOLE,
    Choice,
    Plan,
    crop_choices,
    source_choices,
    without_detector,
)

SURE = 3.0  # standard errors by which features of all quarter turns must be better, to say that nothing is upright
SOME = 36  # labelled images from which on each of six folds has some
MANY = 60  # labelled images from which on a network learns
MODEST = 2400  # labelled images for which `Team.splits` were measured, about
SIXTHS, TENTHS = 6, 10
BATCH, LONGEST = 32, 80  # images in a step, about; epochs of a training, at most
MODEL, LAST = 8.0, 15.0  # seconds that each model's two stages take whatever the images are; vote and judge
MEASURED = 0.004  # seconds of the extras of one crop


@dataclass(frozen=True)
class Pace:
    """What this machine needs, and what the images are.

    Attributes:
        speed: of reading, cropping and learning.
        views: seconds that the backbone of each frozen member takes for one view, by the member's name.
        fit: seconds of a head on frozen features, for each image that it learns from.
        turns: standard errors by which features of all quarter turns are better than those of upright images.
    """

    speed: Speed
    views: Mapping[str, float]
    fit: float
    turns: float


@dataclass(frozen=True)
class Team:
    """Members of `classify.members` for one kind of images.

    Attributes:
        learner: the one whose backbone learns.
        beside: members whose backbones stay as they are, beside the learner, the best first.
        alone: such members without a learner, the best first.
        full: epochs that the learner has at most, where there are many images.
        steps: of the training, up to which fewer images are learned longer; 0: they are not.
        parts: into how many folds the images are divided if it learns.
        splits: the number of folds for which models are then trained, and the learner's fewest epochs, the best first.
        thrifty: as `beside`, for one fold of so many images that fewer epochs are long enough.
    """

    learner: str
    beside: tuple[tuple[str, ...], ...]
    alone: tuple[tuple[str, ...], ...]
    full: int
    steps: int
    parts: int
    splits: tuple[tuple[int, int], ...]
    thrifty: tuple[tuple[str, ...], ...]

    def most(self, images: int) -> int:
        """Epochs that the learner has at most, by the number of labelled images."""
        return max(self.full, min(self.steps // self._steps(images), LONGEST))

    def hurried(self, images: int) -> range:
        """Epochs below the fewest of `splits`, from the most on, in which it still learns as many steps as they take
        for `MODEST` images."""
        few = min(least for _, least in self.splits)
        steps = few * self._steps(MODEST)
        return range(few - 1, max(2, -(-steps // self._steps(images))) - 1, -1)

    def _steps(self, images: int) -> int:
        """Steps of an epoch, about."""
        return max(1, round(images * (1 - 1 / self.parts)) // BATCH)


LARGE = ("large0", "large1", "large2")
SMALL = ("lite1", "lite2")
UPRIGHT = Team(
    "outlines", (LARGE,), (LARGE, SMALL), 20, 600, SIXTHS, ((SIXTHS, 11), (2, 11)), (LARGE, SMALL, SMALL[:1], ())
)
FROZEN = (("any_turn_frozen1", "any_turn_frozen0"), ("any_turn_frozen1",))
TURNED = Team("any_turn", FROZEN, FROZEN, 30, 0, TENTHS, ((4, 30), (3, 30), (2, 12), (1, 12)), (*FROZEN[1:], ()))


@dataclass(frozen=True)
class Models:
    """Which models are trained: `members` for each of `folds`, which are some of `parts` folds.

    Attributes:
        team: for what kind of images.
        epochs: that the team's learner, the first of the members, learns; 0: it is none of them.
        whole: are these as many as help?
    """

    team: Team
    members: Sequence[str]
    folds: Sequence[int]
    parts: int
    epochs: int = 0
    whole: bool = False


def ladder(turns: float, images: int) -> Iterator[Models]:
    """All that could be trained, from the best to the cheapest; the last one is a head on frozen features.

    Args:
        turns: as for `Pace`.
        images: how many have a label.
    """
    team = TURNED if turns >= SURE else UPRIGHT
    for count, few in team.splits if images >= MANY else ():
        for epochs in range(most := team.most(images), few - 1, -3):
            for frozen in team.beside:
                yield Models(team, (team.learner, *frozen), range(count), team.parts, epochs, epochs == most)
    for epochs in team.hurried(images):
        for frozen in team.thrifty:
            yield Models(team, (team.learner, *frozen), range(1), team.parts, epochs)
    folds = range(SIXTHS if images >= SOME else 1)
    for frozen in team.alone:
        yield Models(team, frozen, folds, SIXTHS)
    yield Models(team, (PLAIN,), folds, SIXTHS)
    yield Models(team, (PLAIN,), range(1), SIXTHS)


def frozen_sections(base: Params, turns: float) -> dict[str, Classify]:
    """How the members whose backbones stay as they are look at images, by their names.

    Args:
        base: params.yaml as it is.
        turns: as for `Pace`.
    """
    found: dict[str, Classify] = {}
    for models in ladder(turns, MANY):
        choices = [*class_choices(models, turns), *_given_up(base)]
        params = changed(base, {choice.key: choice.value for choice in choices})
        found |= {member: params.classify.of_model(member) for member in models.members}
    return {member: section for member, section in found.items() if is_frozen(section)}


def plan_classes(facts: Facts, pace: Pace, base: Params, budget: float) -> Plan:
    """The best models that fit into the minutes.

    Args:
        facts: of the folder.
        pace: of this machine with its images.
        base: params.yaml as it is; what the rules do not decide stays.
        budget: minutes.
    """
    for models in ladder(pace.turns, facts.named):
        choices = [*source_choices(facts, base, "classes"), *crop_choices(facts), *class_choices(models, pace.turns)]
        choices += [_fine_crops(facts, models, base), *without_detector(base, choices), *_given_up(base)]
        choices += _sizes(facts, models, choices)
        params = changed(base, {choice.key: choice.value for choice in choices})
        seconds = class_seconds(facts, pace, params)
        if minutes(seconds) <= budget:
            break
    return Plan(choices, params, seconds)


def class_choices(models: Models, turns: float) -> Iterator[Choice]:
    """Which models learn, from which folds, and how they answer together.

    Args:
        models: that are trained.
        turns: as for `Pace`.
    """
    yield Choice("crop.whole", list(WHOLE), "classes may differ anywhere in an image")
    yield Choice("classes.of", ["identity"], "the folders, or the column of names, tell the classes")
    yield Choice("classes.members", list(models.members), _why_members(models, turns))
    yield Choice("prepare.folds", models.parts, "parts of the images; near-duplicates stand in one")
    yield Choice("classes.folds", list(models.folds), _why_folds(models))
    yield Choice("classes.test", [], "all images teach")
    learner, key = models.team.learner, f"classify.members.{models.team.learner}"
    if models.epochs:
        why = "the whole recipe" if models.whole else "as many as the minutes allow"
        yield Choice(f"{key}.epochs", models.epochs, why)
        yield Choice(f"{key}.finetune.trainable", 1.0, "the whole network learns")
    but = f" but that of {learner}" if models.epochs else ""
    yield Choice("classify.finetune.trainable", 0.0, f"no backbone learns{but}")
    turned = turns >= SURE and PLAIN in models.members
    yield Choice(
        "classify.cyclic", turned, "all quarter turns are seen" if turned else "the members say it for themselves"
    )
    extras = ("all", "shape and texture tell classes, too") if turned else ("none", "the members say it for themselves")
    yield Choice("classify.extras", *extras)
    yield Choice("vote.by", "geometric", "models that differ make different mistakes")
    yield Choice("vote.shares", "fit", "each model counts as far as it has shown to help")


def class_seconds(facts: Facts, pace: Pace, params: Params) -> dict[str, float]:
    """Seconds of each stage that `dvc repro judge` runs, by its name."""
    classes, folds = params.classes, len(params.classes.folds)
    learned = facts.named * (1 - 1 / params.prepare.folds)
    answered = facts.queries + facts.named / params.prepare.folds
    training = guessing = 0.0
    for member in classes.members:
        section, look = params.classify.of_model(member), params.guess.of_model(member)
        training += MEASURED * facts.crops if section.extras == "all" else 0.0
        if is_frozen(section):
            training += 2 * facts.crops * pace.views[member] + folds * learned * pace.fit
        else:
            training += folds * learned * pace.speed.training(Recipe(section, section.epochs, section.lr, 0))
        if not by_features(section, look):
            guessing += folds * answered * len(looks(look)) * pace.speed.embedding(section.image_size)
    work = Work(facts, pace.speed)
    begun = {name: BEGIN[name] + seconds for name, seconds in work.up_to_crops(params).items()}
    each = folds * len(classes.members) * MODEL
    return {"check": BEGIN["check"]} | begun | {"classify": training + each, "guess": guessing + each, "judge": LAST}


def _fine_crops(facts: Facts, models: Models, base: Params) -> Choice:
    """Crops as fine as the largest views, if the images are."""
    section = base.classify.model_copy(update={"sizes": []})
    largest = max(section.of_model(member).image_size for member in models.members)
    finest = int(facts.sizes.min(axis=1).max()) if len(facts.sizes) else largest
    side = max(base.crop.image_size, min(largest, finest))
    why = "your images are no finer" if finest < largest else f"views have up to {largest} px"
    return Choice("crop.image_size", side, why)


def _sizes(facts: Facts, models: Models, choices: Sequence[Choice]) -> Iterator[Choice]:
    """Whether the size of a crop counts for the network that learns from upright images: if it is an animal's."""
    if models.epochs and models.team is UPRIGHT:
        key = f"classify.members.{UPRIGHT.learner}.extras"
        found = any(choice.key == "detector.enabled" and choice.value for choice in choices)
        if found or facts.boxed >= facts.photos:
            yield Choice(key, "size", "boxes tell how large an animal is in its photo")
        else:
            yield Choice(key, "none", "the size of a whole image tells of the camera, not of the class")


def _given_up(base: Params) -> Iterator[Choice]:
    """Values of `base` that cannot stay beside these models."""
    if base.classify.sizes:
        yield Choice("classify.sizes", [], "each member has its own size")
    if base.classify.soft:
        yield Choice("classify.soft", "", "soft labels come from an earlier run on the same images")
    if base.imagine.per_class:
        yield Choice("imagine.per_class", 0, "made images gave nothing")


def _why_members(models: Models, turns: float) -> str:
    by = f"{turns:+.1f} standard errors"
    if turns >= SURE:
        seen = f"no position is upright, because features of all quarter turns tell more ({by})"
        return f"{seen}: a network learns any turn" if models.epochs else seen
    seen = f"images are upright, because features of all quarter turns tell no more ({by})"
    large = "three backbones look at enlarged ones"
    if models.epochs:
        others = len(models.members) - 1
        beside = large if models.members[1:] == LARGE else f"{counted(others, 'backbone')} beside it" if others else ""
        return f"{seen}: a network learns{', and ' * bool(beside)}{beside}"
    return f"{seen}: {large if models.members == LARGE else 'small views are fast'}"


def _why_folds(models: Models) -> str:
    if len(models.folds) == models.parts:
        return "every labelled image is judged by a model that has not learned from it"
    judges = "one part judges" if len(models.folds) == 1 else f"{len(models.folds)} parts judge"
    return f"{judges} the models: as many as the minutes and the images allow"
