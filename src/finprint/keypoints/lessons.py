"""What features tell animals apart, learned from the named photos of a catalogue.

A lesson is a photo, other photos of its animal, and the nearest photos of other animals. The photos of its animal that
agree best shall agree better than the others: a softmax over all of them, in which one of several positives is enough
(as in Miech et al., CVPR 2020). A fifth of the individuals is held out. The epoch that tells these apart best is taken,
and none if all matches counted alike tell them as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.keypoints.near import Near
from finprint.keypoints.params import AGAIN, LESSONS
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.worth import Described, Matches, Worth, mutual

SAME, OTHERS = 4, 12  # photos in a lesson: of the animal, and of other animals
BATCH = 32  # lessons in one step
RATE, DECAY = 3e-3, 0.01  # AdamW
HELD = 5  # one in so many individuals is held out
FEWEST = 10  # individuals with several photos
SHARPNESS = np.linspace(-2, 4, 25)  # logarithms of the factor on agreements before the softmax


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        worth: the network; None: it tells held-out animals no better than matches that count alike, or there are too
            few animals to learn from.
        lessons: how many it learned from.
        before: share of the held-out lessons in which a photo of the animal agrees best, all matches alike.
        after: the same with the network; None: nothing was learned.
    """

    worth: Worth | None
    lessons: int = 0
    before: float | None = None
    after: float | None = None

    def metrics(self) -> dict[str, float]:
        """Their numbers in metrics/match.json."""
        numbers = {"lessons": self.lessons, "told_before": self.before, "told_after": self.after}
        return {name: value for name, value in numbers.items() if value is not None}

    def __str__(self) -> str:
        if self.before is None:
            return f"fewer than {FEWEST} animals have two photos to learn from: all matched features count alike"
        share = (
            f"{self.before:.0%} of the held-out photos agree best with one of their animal if all features count alike"
        )
        if self.after is None:
            return f"{share}; nothing better was learned from {self.lessons} photos"
        return f"{share}, {self.after:.0%} after learning from {self.lessons} photos"


@dataclass(frozen=True)
class Lessons:
    """L lessons.

    Attributes:
        photos: (L, 1 + SAME + OTHERS) rows of described photos: the query, its animal's, others.
        animals: (L,) numbers of their individuals.
        cosines: (L, SAME + OTHERS, V) of matched features, as for `Matches`.
        ours: (L, SAME + OTHERS, V) numbers of the query's features, and `theirs`, those of the other photo.
    """

    photos: torch.Tensor
    animals: np.ndarray
    cosines: torch.Tensor
    ours: torch.Tensor
    theirs: torch.Tensor

    def agreements(self, some: torch.Tensor, described: Described, worth: Worth | None) -> torch.Tensor:
        """(B, SAME + OTHERS) of some lessons."""
        device = best_device()
        queries = self.photos[some, :1].expand(-1, SAME + OTHERS).flatten()
        cosines, ours, theirs = (one[some].flatten(0, 1) for one in (self.cosines, self.ours, self.theirs))
        ones = described.of(queries, ours.long()).on(device)
        others = described.of(self.photos[some, 1:].flatten(), theirs.long()).on(device)
        return Matches(cosines.to(device), ones, others).agreement(worth).view(len(some), SAME + OTHERS)


def learn_worth(photos: pd.DataFrame, vectors: np.ndarray, described: Described, epochs: int) -> Learned:
    """Learn from named photos which matched features tell animals apart.

    Args:
        photos: columns `code`, `encounter` and `viewpoint` of N photos.
        vectors: (N, D) their unit vectors.
        described: the local features of these N photos.
        epochs: how often each lesson is learned.
    """
    listed = draw_lessons(photos, vectors)
    if listed is None:
        return Learned(None)

    def matched(lesson: np.ndarray) -> tuple[torch.Tensor, ...]:
        one, *others = lesson.tolist()
        with torch.inference_mode():
            cosines, ours, theirs = mutual(described[one].on(best_device()), described[others].on(best_device()))
        return cosines.cpu().clone(), ours.short().cpu().clone(), theirs.short().cpu().clone()

    each = bar("lessons of local features", len(listed), "photo", side_by_side(matched, listed))
    found = [torch.stack(one) for one in zip(*each, strict=True)]
    lessons = Lessons(torch.from_numpy(listed), photos["code"].to_numpy()[listed[:, 0]], *found)
    [learned] = side_by_side(lambda epochs: _fit(lessons, described, epochs), [epochs])
    return learned


def draw_lessons(photos: pd.DataFrame, vectors: np.ndarray) -> np.ndarray | None:
    """(L, 1 + SAME + OTHERS) rows: a photo, some of its animal, of other encounters than its own, and the nearest ones
    of other animals, all of the same side. Where there are fewer, they repeat. None if fewer than `FEWEST` animals have
    several photos.

    Args:
        photos, vectors: as for `learn_worth`.
    """
    near, all_of_them = Near.of(photos, vectors), np.arange(len(photos))
    codes = photos["code"].to_numpy()
    encounters = photos["encounter"].fillna("").to_numpy(str)
    drawn = np.random.default_rng(0)
    listed: list[np.ndarray] = []
    for query in _queries(drawn, len(photos)):
        if len(listed) == LESSONS:
            break
        apart = (encounters != encounters[query]) | (encounters[query] == "")
        cosines = near.cosines(all_of_them[[query]], all_of_them)[0]
        same, seen = codes == codes[query], np.isfinite(cosines)
        own = np.flatnonzero(same & seen & apart & (all_of_them != query))
        others = np.flatnonzero(~same & seen)
        if len(own) and len(others):
            nearest = others[np.argsort(-cosines[others], kind="stable")[:OTHERS]]
            listed.append(np.array([query, *np.resize(drawn.permutation(own), SAME), *np.resize(nearest, OTHERS)]))
    if len({codes[lesson[0]] for lesson in listed}) < FEWEST:
        return None
    return np.stack(listed)


def _queries(drawn: np.random.Generator, photos: int) -> Iterator[int]:
    for _ in range(AGAIN):
        yield from drawn.permutation(photos).tolist()


def _fit(lessons: Lessons, described: Described, epochs: int) -> Learned:
    """The network of the epoch that tells the held-out individuals apart best."""
    animals = np.random.default_rng(0).permutation(np.unique(lessons.animals))
    held = np.isin(lessons.animals, animals[: len(animals) // HELD])
    pupils, judges = (torch.from_numpy(np.flatnonzero(some)) for some in (~held, held))
    plain = _told(lessons, described, judges, None)
    factor, least = _sharpest(plain)
    before, after, kept = _right(plain), None, None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        worth = Worth().to(best_device())
        sharpness = torch.nn.Parameter(torch.tensor(factor, device=best_device()))
        optimizer = torch.optim.AdamW([*worth.parameters(), sharpness], lr=RATE, weight_decay=DECAY)
        steps = epochs * -(-len(pupils) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
        for _ in bar("which features tell animals apart", epochs, "epoch", range(epochs)):
            worth.train()
            for some in torch.split(pupils[torch.randperm(len(pupils))], BATCH):
                loss = _loss(lessons.agreements(some, described, worth) * sharpness.exp())
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            told = _told(lessons, described, judges, worth.eval())
            _, reached = _sharpest(told)
            if reached < least:
                least, after = reached, _right(told)
                kept = {name: value.clone() for name, value in worth.state_dict().items()}
    if kept is None:
        return Learned(None, len(pupils), before)
    worth.load_state_dict(kept)
    return Learned(worth.eval(), len(pupils), before, after)


@torch.inference_mode()
def _told(lessons: Lessons, described: Described, some: torch.Tensor, worth: Worth | None) -> torch.Tensor:
    return torch.cat([lessons.agreements(part, described, worth) for part in torch.split(some, BATCH)])


def _loss(agreements: torch.Tensor) -> torch.Tensor:
    """How little the photos of the animal, the first `SAME` ones, stand out."""
    return (agreements.logsumexp(dim=1) - agreements[:, :SAME].logsumexp(dim=1)).mean()


def _sharpest(agreements: torch.Tensor) -> tuple[float, float]:
    """The factor's logarithm at which the loss is least, and that loss."""
    losses = [float(_loss(agreements * float(np.exp(one)))) for one in SHARPNESS]
    best = int(np.argmin(losses))
    return float(SHARPNESS[best]), losses[best]


def _right(agreements: torch.Tensor) -> float:
    return float((agreements[:, :SAME].amax(dim=1) > agreements[:, SAME:].amax(dim=1)).float().mean())
