"""What features tell animals apart, learned from the named photos of a catalogue.

A lesson is a photo, other photos of its animal, and the nearest photos of other animals. A network learns to make the
animal's best photos agree more than the others: a softmax over all of them, in which one of several positives is enough
(as in Miech et al., CVPR 2020). Each network is the judge of its share of the animals, which it never sees while it
learns. The networks of the epoch in which the judges tell animals apart best are taken, and none if they tell them no
better than matches that all count alike. What the networks say together is their mean, because single ones differ by
chance (bagging; Breiman, Machine Learning 1996).
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
from finprint.keypoints.worth import NETWORKS, Described, Matches, Worth, mutual

SAME, OTHERS = 4, 12  # photos in a lesson: of the animal, and of other animals
BATCH = 32  # lessons in one step
PART = 8  # of them computed at a time, so that their numbers stay in a CPU's cache; no GPU was measured
RATE, DECAY = 3e-3, 0.01  # AdamW
SHARPNESS = np.linspace(-2, 4, 25)  # logarithms of the factor on agreements before the softmax


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        worth: the networks; None: they tell animals that they have not seen no better than matches that count alike, or
            there are too few animals to learn from.
        lessons: how many there were. Each network learns from all but those of the animals that it judges.
        before: share of the lessons in which one of the animal's photos agrees best, all matches alike.
        after: the same by the judges of the animals; None: nothing was learned. The same lessons have chosen the epoch,
            so that this is a little too high.
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
        share = f"in {self.before:.0%} of {self.lessons} lessons a photo agrees best with its animal"
        if self.after is None:
            return f"{share}; nothing better was learned"
        return f"{share}, in {self.after:.0%} by networks that have not seen this animal"


@dataclass(frozen=True)
class Lessons:
    """L lessons.

    Attributes:
        photos: (L, 1 + SAME + OTHERS) numbers of described photos: the query, its animal's, others.
        judges: (L, 1 + SAME + OTHERS) numbers of the networks that judge their animals.
        cosines: (L, SAME + OTHERS, V) of matched features, as for `Matches`.
        ours: (L, SAME + OTHERS, V) numbers of the query's features, and `theirs`, those of the other photo.
    """

    photos: torch.Tensor
    judges: torch.Tensor
    cosines: torch.Tensor
    ours: torch.Tensor
    theirs: torch.Tensor

    def __len__(self) -> int:
        return len(self.photos)

    def agreements(self, some: torch.Tensor, described: Described, worth: Worth | None) -> torch.Tensor:
        """(NETWORKS, B, SAME + OTHERS) of some lessons; without networks the same for each."""
        matches = self.matches(some, described)
        weights = matches.plain().expand(NETWORKS, -1, -1) if worth is None else worth.each(matches)
        return matches.agreement(weights).view(NETWORKS, len(some), SAME + OTHERS)

    def matches(self, some: torch.Tensor, described: Described) -> Matches:
        """Those of the B x (SAME + OTHERS) pairs of photos of some lessons."""
        device = best_device()
        queries = self.photos[some, :1].expand(-1, SAME + OTHERS).flatten()
        cosines, ours, theirs = (one[some].flatten(0, 1) for one in (self.cosines, self.ours, self.theirs))
        ones = described.of(queries, ours.long()).on(device)
        others = described.of(self.photos[some, 1:].flatten(), theirs.long()).on(device)
        return Matches(cosines.to(device), ones, others)


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
    lessons = match_lessons(photos, vectors, described, numbers)
    if lessons is None:
        return Learned(None)
    with one_thread():
        return _fit(lessons, described, epochs)


def match_lessons(
    photos: pd.DataFrame, vectors: np.ndarray, described: Described, numbers: np.ndarray
) -> Lessons | None:
    """The lessons of named photos; None if there are too few animals. The arguments are those of `learn_worth`."""
    listed = draw_lessons(photos, vectors)
    if listed is None:
        return None

    def matched(lesson: np.ndarray) -> tuple[torch.Tensor, ...]:
        one, *others = lesson.tolist()
        cosines, ours, theirs = mutual(described[one].on(best_device()), described[others].on(best_device()))
        return cosines.cpu(), ours.short().cpu(), theirs.short().cpu()

    shown = numbers[listed]
    each = bar("lessons of local features", len(shown), "lesson", side_by_side(matched, shown))
    found = [torch.stack(one) for one in zip(*each, strict=True)]
    judges = torch.from_numpy(deal_judges(photos["code"].to_numpy(), listed))
    return Lessons(torch.from_numpy(shown), judges, *found)


def draw_lessons(photos: pd.DataFrame, vectors: np.ndarray) -> np.ndarray | None:
    """(L, 1 + SAME + OTHERS) rows: a photo, some of its animal, of other groups than its own, and the nearest ones of
    other animals, all of the same side. Where there are fewer, they repeat. None if fewer than `FEWEST` animals have
    such photos.

    A group holds the photos of one encounter, and those that look the same: they share waves and grass.

    Args:
        photos, vectors: as for `learn_worth`.
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
            others = np.flatnonzero(~same & seen)
            if len(own) and len(others):
                nearest = others[np.argsort(-(vectors @ vectors[query])[others], kind="stable")[:OTHERS]]
                listed.append([query, *np.resize(drawn.permutation(own), SAME), *np.resize(nearest, OTHERS)])
        able = np.unique([lesson[0] for lesson in listed]).astype(int)
    told = np.array(listed, int).reshape(-1, 1 + SAME + OTHERS)
    return told if len(np.unique(codes[told[:, 0]])) >= FEWEST else None


def deal_judges(codes: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """(L, 1 + SAME + OTHERS) the number of the network that judges each photo's animal. Each judges an equal share of
    the animals that have lessons.

    Args:
        codes: (N,) number of each photo's individual.
        listed: (L, 1 + SAME + OTHERS) rows of photos, of `draw_lessons`.
    """
    drawn = np.random.default_rng(0)
    asked = drawn.permutation(np.unique(codes[listed[:, 0]]))
    alone = drawn.permutation(np.setdiff1d(codes[listed], asked))
    judge = np.zeros(codes.max() + 1, int)
    for animals in (asked, alone):
        judge[animals] = np.arange(len(animals)) % NETWORKS
    return judge[codes[listed]]


def _fit(lessons: Lessons, described: Described, epochs: int) -> Learned:
    """The networks of the epoch in which the judges tell animals apart best."""
    plain = _told(lessons, described, None)
    _, least = sharpest(plain)
    factors = [[[sharpest(plain[lessons.judges[:, 0] != network])[0]]] for network in range(NETWORKS)]
    before, after, kept = told_right(plain), None, None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        worth = Worth().to(best_device())
        sharpness = torch.nn.Parameter(torch.tensor(factors, device=best_device()))
        optimizer = torch.optim.AdamW([*worth.parameters(), sharpness], lr=RATE, weight_decay=DECAY)
        steps = epochs * -(-len(lessons) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
        for _ in bar("which features tell animals apart", epochs, "epoch", range(epochs)):
            worth.train()
            for some in torch.split(torch.randperm(len(lessons)), BATCH):
                optimizer.zero_grad()
                for part in torch.split(some, PART):
                    agreements = lessons.agreements(part, described, worth) * sharpness.exp()
                    loss = _seen_loss(agreements, lessons.judges[part].to(agreements.device)) / len(some)
                    loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            told = _told(lessons, described, worth.eval())
            (_, reached), right = sharpest(told), told_right(told)
            if reached < least and right >= before:
                least, after = reached, right
                kept = {name: value.clone() for name, value in worth.state_dict().items()}
    if kept is None:
        return Learned(None, len(lessons), before)
    worth.load_state_dict(kept)
    return Learned(worth.eval(), len(lessons), before, after)


def _seen_loss(agreements: torch.Tensor, judges: torch.Tensor) -> torch.Tensor:
    """The sum of the losses of all networks, each without the lessons and the photos of the animals that it judges.

    Args:
        agreements: (NETWORKS, B, SAME + OTHERS), and `judges`, (B, 1 + SAME + OTHERS).
    """
    unseen = judges == torch.arange(NETWORKS, device=judges.device)[:, None, None]
    # The lessons of these animals themselves are left out below. Masked, they would have no photo of their animal.
    losses = _losses(agreements.masked_fill(unseen[..., 1:] & ~unseen[..., :1], -torch.inf))
    return losses[~unseen[..., 0]].sum()


@torch.inference_mode()
def _told(lessons: Lessons, described: Described, worth: Worth | None) -> torch.Tensor:
    """(L, SAME + OTHERS) agreements, each by the judge of the animal."""
    told = []
    for some in torch.split(torch.arange(len(lessons)), PART):
        each = lessons.agreements(some, described, worth).cpu()
        told.append(each[lessons.judges[some, 0], torch.arange(len(some))])
    return torch.cat(told)


def _losses(agreements: torch.Tensor) -> torch.Tensor:
    """(...,) how little the photos of the animal, the first `SAME` ones of (..., SAME + OTHERS), stand out."""
    return agreements.logsumexp(dim=-1) - agreements[..., :SAME].logsumexp(dim=-1)


def sharpest(agreements: torch.Tensor) -> tuple[float, float]:
    """The factor's logarithm at which the loss is least, and that loss."""
    losses = [float(_losses(agreements * float(np.exp(one))).mean()) for one in SHARPNESS]
    best = int(np.argmin(losses))
    return float(SHARPNESS[best]), losses[best]


def told_right(agreements: torch.Tensor) -> float:
    """The share of the lessons in which one of the animal's photos agrees best."""
    return float((agreements[:, :SAME].amax(dim=1) > agreements[:, SAME:].amax(dim=1)).float().mean())
