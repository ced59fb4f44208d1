"""What matched features tell, learned from named photos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from finprint.keypoints import lessons
from finprint.keypoints.lessons import OTHERS, SAME, Learned, Lessons, deal_judges, draw_lessons, learn_worth
from finprint.keypoints.points import WIDEST
from finprint.keypoints.worth import NETWORKS, UNLIKE, Described, Matches, Worth, mutual

ANIMALS, EACH, FEATURES = 15, 4, 24
CPU = torch.device("cpu")
TOLD = 6  # features of a photo that show the animal


def _photos(codes: list[int], groups: list[int] | None = None, sides: str = "") -> pd.DataFrame:
    told = [{"l": "left", "r": "right"}.get(side) for side in sides] or [None] * len(codes)
    table = pd.DataFrame({"code": codes, "group": groups or range(len(codes)), "viewpoint": told})
    return table.astype({"viewpoint": "string"})


def _at(degrees: list[float]) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def _animals() -> tuple[pd.DataFrame, np.ndarray, Described]:
    """Photos of 15 animals before four coasts, each animal once before each.

    The features of an animal fill the first half of a descriptor, those of a coast the second half. A photo has 6 of
    the one and 18 of the other, all in the same places: counted alike, they tell the coast.
    """
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(ANIMALS), EACH)
    coasts = np.tile(np.arange(EACH), ANIMALS)
    animal = np.zeros((ANIMALS, TOLD, WIDEST))
    animal[:, :, : WIDEST // 2] = rng.normal(size=(ANIMALS, TOLD, WIDEST // 2))
    coast = np.zeros((EACH, FEATURES - TOLD, WIDEST))
    coast[:, :, WIDEST // 2 :] = rng.normal(size=(EACH, FEATURES - TOLD, WIDEST // 2))
    descriptors = np.concatenate([animal[codes], coast[coasts]], axis=1)
    descriptors += 0.3 * rng.normal(size=descriptors.shape) * (descriptors != 0)
    descriptors /= np.linalg.norm(descriptors, axis=2, keepdims=True)
    places = np.broadcast_to(rng.random((FEATURES, 2)), (len(codes), FEATURES, 2))
    vectors = np.eye(EACH, dtype=np.float32)[coasts]  # of the coasts: other animals before the same one are nearest
    described = Described(torch.from_numpy(descriptors).half(), torch.from_numpy(places.astype(np.float32)))
    return _photos(codes.tolist()), vectors, described


def _learned(some: slice = slice(None), epochs: int = 2) -> Learned:
    """What is learned of some of these photos; others are described before them."""
    photos, vectors, described = _animals()
    numbers = np.arange(len(photos))[::-1].copy()
    turned = Described(described.descriptors.flip(0), described.places.flip(0))
    return learn_worth(photos[some], vectors[some], turned, numbers[some], epochs)


def test_it_learns_that_coasts_do_not_tell_animals_apart() -> None:
    learned = _learned(epochs=8)
    assert learned.worth is not None
    assert (learned.before, learned.after) == (0, 1)
    assert learned.metrics() == {"lessons": 3 * ANIMALS * EACH, "told_before": 0, "told_after": 1}
    assert str(learned) == (
        "in 0% of 180 lessons a photo agrees best with its animal, in 100% by networks that have not seen this animal"
    )


def test_it_learns_the_same_twice() -> None:
    ones, others = (_learned().worth for _ in range(2))
    assert ones is not None
    assert others is not None
    state = ones.state_dict()
    assert all(torch.equal(state[name], value) for name, value in others.state_dict().items())


def test_it_learns_nothing_where_nothing_tells_animals_apart() -> None:
    photos, vectors, described = _animals()
    nothing = replace(described, descriptors=torch.zeros_like(described.descriptors))
    learned = learn_worth(photos, vectors, nothing, np.arange(len(photos)), epochs=2)
    assert learned.worth is None
    assert str(learned) == "in 0% of 180 lessons a photo agrees best with its animal; nothing better was learned"


def test_few_animals_teach_nothing() -> None:
    few = _learned(slice(14 * EACH))
    assert few == Learned(None)
    assert few.metrics() == {"lessons": 0}
    assert str(few) == (
        "fewer than 15 animals have two photos of one side from different encounters: all matched features count alike"
    )


def test_a_lesson_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Animal 0 left in two encounters, and right; animal 1 left and right; animal 2 alone, its side not told; animal 3
    left."""
    monkeypatch.setattr(lessons, "FEWEST", 2)
    photos = _photos([0, 0, 0, 0, 1, 1, 2, 3, 3], [1, 1, 2, 2, 4, 5, 6, 7, 8], "lllrlr-ll")
    listed = draw_lessons(photos, _at([0, 1, 2, 3, 20, 30, 11, 5, 6]))
    assert listed is not None
    assert len(listed) == 3 * 5
    lesson = {int(one[0]): one for one in listed}
    assert sorted(lesson) == [0, 1, 2, 7, 8]  # the others have no photo of their animal, side and another encounter
    assert lesson[0][1 : 1 + SAME].tolist() == [2] * SAME
    assert set(lesson[2][1 : 1 + SAME]) == {0, 1}
    assert lesson[0][1 + SAME :].tolist() == [7, 8, 6, 4] * (OTHERS // 4)  # the nearest first
    assert lesson[7][1 + SAME :].tolist() == np.resize([2, 1, 0, 6, 4], OTHERS).tolist()


def test_too_few_animals_by_hand() -> None:
    assert draw_lessons(_photos([]), _at([])) is None
    assert draw_lessons(_photos([0, 0, 1, 2]), _at([0, 1, 2, 3])) is None
    photos, vectors, _ = _animals()
    assert draw_lessons(photos.assign(group=photos["code"]), vectors) is None


def test_each_network_judges_a_fifth_of_the_animals() -> None:
    """Animals 0 to 9 have lessons, 10 to 14 are only shown in those of others."""
    codes = np.arange(15)
    listed = np.column_stack([np.arange(10), np.resize(np.arange(10, 15), 10)])
    judges = deal_judges(codes, listed)
    assert np.bincount(judges[:, 0]).tolist() == [2] * NETWORKS
    assert np.bincount(judges[:5, 1]).tolist() == [1] * NETWORKS
    assert (judges[:5, 1] == judges[5:, 1]).all()


def test_an_animal_is_told_by_its_judge() -> None:
    """A network that gives each match twice the weight of another doubles the agreement."""

    class Times(Worth):
        def each(self, matches: Matches) -> torch.Tensor:
            return matches.plain() * torch.arange(1, NETWORKS + 1)[:, None, None]

    _, _, described = _animals()
    shown = np.arange(10 * (1 + SAME + OTHERS)).reshape(10, -1) % (ANIMALS * EACH)
    found = [mutual(described[one].on(CPU), described[others].on(CPU)) for one, *others in shown.tolist()]
    judges = torch.arange(10)[:, None].expand(shown.shape) % NETWORKS
    some = Lessons(torch.from_numpy(shown), judges, *(torch.stack(one) for one in zip(*found, strict=True)))
    plain = lessons._told(some, described, None)
    assert (plain > 1).any(dim=1).all()
    expected = plain * torch.tensor([1, 2, 3, 4, 5] * 2)[:, None]
    torch.testing.assert_close(lessons._told(some, described, Times()), expected)


def test_no_network_learns_from_the_animals_that_it_judges() -> None:
    """Other descriptors of the animals of network 0 change all networks but this one."""
    photos, vectors, described = _animals()
    numbers = np.arange(len(photos))
    listed = draw_lessons(photos, vectors)
    assert listed is not None
    first = np.unique(listed[deal_judges(photos["code"].to_numpy(), listed) == 0])
    other = described.descriptors.clone()
    other[first] = other[first].flip(-1)
    one, two = (
        learn_worth(photos, vectors, each, numbers, epochs=1).worth
        for each in (described, replace(described, descriptors=other))
    )
    assert one is not None
    assert two is not None
    changed = (one.last != two.last).any(dim=1)
    assert changed.tolist() == [False] + [True] * (NETWORKS - 1)


def test_untrained_it_counts_matches_nearly_alike() -> None:
    _, _, described = _animals()
    full = Described(described.descriptors.float(), described.places)
    cosines, ours, theirs = mutual(full[0], full[1:])
    matches = Matches(cosines, full[0][ours], full[1:].of(torch.arange(len(theirs)), theirs))
    plain, untrained = (matches.agreement(matches.weights(worth)) for worth in (None, Worth().eval()))
    np.testing.assert_allclose(untrained.detach(), plain, rtol=0.05, atol=0.01)


def test_what_the_networks_say_is_their_mean() -> None:
    _, _, described = _animals()
    one, others = described[0].on(CPU), described[1:].on(CPU)
    cosines, ours, theirs = mutual(one, others)
    matches = Matches(cosines, one[ours], others.of(torch.arange(len(theirs)), theirs))
    worth = Worth().eval()
    torch.nn.init.normal_(worth.last, generator=torch.Generator().manual_seed(0))
    each = worth.each(matches)
    assert (each[0] - each[1]).abs().max() > 0.01
    torch.testing.assert_close(worth(matches), sum(each) / NETWORKS)


def test_the_agreement_is_that_of_each_network_alone() -> None:
    """Weights of several networks at once, against one after the other, and by hand: three matches, two shifted alike,
    the third far away."""
    places = torch.tensor([[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]])
    shifted = places - torch.tensor([[[0.1, 0.0], [0.1, 0.0], [0.7, 0.7]]])
    nothing = torch.zeros(1, 3, WIDEST)
    matches = Matches(torch.tensor([[0.9, 0.8, 0.7]]), Described(nothing, places), Described(nothing, shifted))
    weights = torch.stack([matches.plain(), torch.tensor([[1.0, 1.0, 0.0]])])
    assert UNLIKE == 0.6
    expected = [[(0.3 * 0.5 + 0.2 * 0.5 + 0.1 * 0.1) / 0.6], [(1 * 2 + 1 * 2) / 2]]
    np.testing.assert_allclose(matches.agreement(weights), expected, rtol=1e-5)
    for one, together in zip(weights, matches.agreement(weights), strict=True):
        torch.testing.assert_close(matches.agreement(one), together)


def test_what_was_learned_is_stored(tmp_path: Path) -> None:
    worth = Worth()
    torch.nn.init.normal_(worth.last)
    worth.save(tmp_path / "worth.safetensors")
    again = Worth.load(tmp_path / "worth.safetensors")
    assert all(torch.equal(again.state_dict()[name], value) for name, value in worth.state_dict().items())
    assert not again.training
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"bad.safetensors is damaged or of another version"):
        Worth.load(tmp_path / "bad.safetensors")
