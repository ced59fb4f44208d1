"""What features tell animals apart, learned from the named photos of a catalogue.

A lesson is a photo, other photos of its animal, and the nearest photos of other animals. The network learns to make the
animal's best photos agree more than the others: a softmax over all of them, in which one of several positives is enough
(as in Miech et al., CVPR 2020). A fifth of the individuals is in no lesson that it learns from. The network of the
epoch that tells these apart best is taken, and none if it tells them no better than matches that all count alike.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.keypoints.near import comparable
from finprint.keypoints.params import FEWEST, LESSONS, TIMES
from finprint.keypoints.threads import one_thread, side_by_side
from finprint.keypoints.worth import Described, Matches, Worth, mutual

SAME, OTHERS = 4, 12  # photos in a lesson: of the animal, and of other animals
BATCH = 32  # lessons in one step
RATE, DECAY = 3e-3, 0.01  # AdamW
HELD = 5  # one in so many individuals is held out
SHARPNESS = np.linspace(-2, 4, 25)  # logarithms of the factor on agreements before the softmax


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        worth: the network; None: it tells held-out animals no better than matches that count alike, or there are too
            few animals to learn from.
        lessons: how many it learned from.
        before: share of the lessons of held-out animals in which one of their photos agrees best, all matches alike.
        after: the same with the network; None: nothing was learned. The same lessons have chosen the epoch, so that
            this is a little too high.
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
            few = f"fewer than {FEWEST} animals have two photos of one side from different encounters"
            return f"{few}: all matched features count alike"
        share = f"{self.before:.0%} of the photos of held-out animals agree best with their animal"
        if self.after is None:
            return f"{share}; nothing better was learned in {self.lessons} lessons"
        return f"{share}, {self.after:.0%} after {self.lessons} lessons"


@dataclass(frozen=True)
class Lessons:
    """L lessons.

    Attributes:
        photos: (L, 1 + SAME + OTHERS) numbers of described photos: the query, its animal's, others.
        held: (L,) bool: is its animal held out?
        cosines: (L, SAME + OTHERS, V) of matched features, as for `Matches`.
        ours: (L, SAME + OTHERS, V) numbers of the query's features, and `theirs`, those of the other photo.
    """

    photos: torch.Tensor
    held: torch.Tensor
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


def learn_worth(
    photos: pd.DataFrame, vectors: np.ndarray, described: Described, numbers: np.ndarray, epochs: int
) -> Learned:
    """Learn from named photos which matched features tell animals apart.

    Args:
        photos: columns `code`, `group` and `viewpoint` of N photos.
        vectors: (N, D) their unit vectors.
        described: local features of these photos and perhaps of others.
        numbers: (N,) of these photos among those described.
        epochs: how often each lesson is learned.
    """
    codes = photos["code"].to_numpy()
    animals = np.random.default_rng(0).permutation(np.unique(codes))
    held = np.isin(codes, animals[: -(-len(animals) // HELD)])
    listed = draw_lessons(photos, vectors, held)
    if listed is None:
        return Learned(None)

    def matched(lesson: np.ndarray) -> tuple[torch.Tensor, ...]:
        one, *others = lesson.tolist()
        cosines, ours, theirs = mutual(described[one].on(best_device()), described[others].on(best_device()))
        return cosines.cpu(), ours.short().cpu(), theirs.short().cpu()

    shown = numbers[listed]
    each = bar("lessons of local features", len(shown), "lesson", side_by_side(matched, shown))
    found = [torch.stack(one) for one in zip(*each, strict=True)]
    lessons = Lessons(torch.from_numpy(shown), torch.from_numpy(held[listed[:, 0]]), *found)
    with one_thread():
        return _fit(lessons, described, epochs)


def draw_lessons(photos: pd.DataFrame, vectors: np.ndarray, held: np.ndarray) -> np.ndarray | None:
    """(L, 1 + SAME + OTHERS) rows: a photo, some of its animal, of other groups than its own, and the nearest ones of
    other animals, all of the same side. Where there are fewer, they repeat. None if fewer than `FEWEST` animals have
    such photos, or none that are held out, or only those.

    A group holds the photos of one encounter, and those that look the same: they share waves and grass.

    Args:
        photos, vectors: as for `learn_worth`.
        held: (N,) bool: is the animal held out? Lessons of other animals do not show its photos.
    """
    codes, groups = photos["code"].to_numpy(), photos["group"].to_numpy()
    sides = photos["viewpoint"].fillna("").to_numpy(str)
    drawn, able = np.random.default_rng(0), np.arange(len(photos))
    listed: list[list[int]] = []
    for _ in range(TIMES):
        for query in drawn.permutation(able).tolist():
            if len(listed) == LESSONS:
                break
            seen, same = comparable(sides[[query]], sides)[0], codes == codes[query]
            own = np.flatnonzero(same & seen & (groups != groups[query]))
            others = np.flatnonzero(~same & seen & (held[query] | ~held))
            if len(own) and len(others):
                nearest = others[np.argsort(-(vectors @ vectors[query])[others], kind="stable")[:OTHERS]]
                listed.append([query, *np.resize(drawn.permutation(own), SAME), *np.resize(nearest, OTHERS)])
        able = np.unique([lesson[0] for lesson in listed]).astype(int)
    told = np.array(listed, int).reshape(-1, 1 + SAME + OTHERS)
    judged = held[told[:, 0]]
    enough = len(np.unique(codes[told[:, 0]])) >= FEWEST and judged.any() and not judged.all()
    return told if enough else None


def _fit(lessons: Lessons, described: Described, epochs: int) -> Learned:
    """The network of the epoch that tells the held-out individuals apart best."""
    pupils, judges = (torch.nonzero(some).flatten() for some in (~lessons.held, lessons.held))
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
            (_, reached), right = _sharpest(told), _right(told)
            if reached < least and right >= before:
                least, after = reached, right
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
