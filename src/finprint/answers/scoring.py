"""The score of an individual: its components, blended with weights that validation chose."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from finprint.answers.components import COMPONENTS, Components, Local
from finprint.matching.names import NOBODY
from finprint.matching.openset import Checked
from finprint.matching.ranking import Ranking

# Weights where nothing can be fitted: between those that right whales and antelopes fit (docs/experiments.md).
USUAL = {"nearest": 1.0, "classifier": 7.0, "keypoints": 12.0, "descriptors": 14.0}


@dataclass(frozen=True)
class Blend:
    """How a score is blended.

    Attributes:
        weights: of each component by its name, not negative, of sum 1.
        fills: what each component's `fill` needs to know, by its name.
    """

    weights: dict[str, float]
    fills: dict[str, list[float]]

    def scores(self, components: Components) -> np.ndarray:
        """(Q, K) blended scores; 0 at NOBODY."""
        return components.filled(self.fills) @ np.array([self.weights[name] for name in components.names])

    def state(self) -> dict[str, Any]:
        """The blend as JSON can hold it; `from_state` makes it again, to the last bit."""
        return {name: {"weight": weight, "fill": self.fills[name]} for name, weight in self.weights.items()}

    @staticmethod
    def from_state(state: dict[str, Any]) -> "Blend":
        """The blend whose `state` this is.

        Raises:
            KeyError: there is no such component.
        """
        weights = {COMPONENTS[name].name: one["weight"] for name, one in state.items()}
        return Blend(weights, {name: one["fill"] for name, one in state.items()})


def nearest_alone(components: Components) -> Blend:
    """The blend that takes the nearest photo's cosine as it is."""
    return Blend({name: float(name == "nearest") for name in components.names}, components.fit_fills())


def usual(components: Components) -> Blend:
    """The blend where nothing can be fitted: after a second look by the weights of `USUAL`, else the nearest photo."""
    if not any(isinstance(COMPONENTS[name], Local) for name in components.names):
        return nearest_alone(components)
    weights = {name: USUAL.get(name, 0.0) for name in components.names}
    total = sum(weights.values())
    return Blend({name: weight / total for name, weight in weights.items()}, components.fit_fills())


def blended(ranking: Ranking, components: Components, blend: Blend) -> Ranking:
    """Rank again by the blended score; individuals of equal scores keep their order."""
    scores = np.where(ranking.identities == NOBODY, -np.inf, blend.scores(components))
    order = np.argsort(-scores, axis=1, kind="stable")
    return Ranking(
        *(np.take_along_axis(values, order, 1) for values in (ranking.identities, scores.astype(np.float32))),
        *(np.take_along_axis(values, order, 1) for values in (ranking.photos, ranking.means)),
    )


def fit_blend(checked: Checked, components: Components) -> tuple[Blend, float]:
    """The weights under which the right answers were likeliest: a conditional logit (McFadden 1974).

    Of each query one of K individuals is right, or none is. The chances are a softmax over the weighted
    components, and a constant for "none". Weights are not negative, so that a score never falls as a
    component rises.

    Args:
        checked: Q queries, with their ranking by the nearest photo.
        components: of their scores.

    Returns:
        The blend, and its log loss (mean over the queries, nats), to compare other choices by.
    """
    from scipy.optimize import minimize  # takes half a second to import, for which `identify` need not wait

    present = checked.ranking.identities != NOBODY
    fills = components.fit_fills()
    filled = components.filled(fills)
    hits = checked.ranking.identities == checked.truth[:, None]  # (Q, K)
    use = checked.new | hits.any(axis=1)  # a query whose individual is not among the K teaches nothing
    filled, hits, present, weights = filled[use], hits[use], present[use], checked.weights[use]
    count = filled.shape[2]
    if not len(filled):
        return nearest_alone(components), 0.0

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.where(present, filled @ theta[:-1], -np.inf)  # (Q, K)
        logits = np.column_stack([logits, np.full(len(logits), theta[-1])])
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        true = np.column_stack([hits, ~hits.any(axis=1)])
        share = weights / weights.sum()
        value = -(share * np.log(np.maximum((chances * true).sum(axis=1), 1e-12))).sum()
        error = (chances - true) * share[:, None]  # (Q, K + 1)
        return float(value), np.append(np.einsum("qk,qkf->f", error[:, :-1], filled), error[:, -1].sum())

    start = np.append(np.full(count, 5.0), 7.0)
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 300)] * count + [(None, None)])
    weighed = fitted.x[:-1]
    if weighed.sum() <= 0:
        return nearest_alone(components), float(fitted.fun)
    shares = (weighed / weighed.sum()).tolist()
    return Blend(dict(zip(components.names, shares, strict=True)), fills), float(fitted.fun)
