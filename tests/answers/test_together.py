"""Photos of one encounter judged together: by hand, and only where validation shows that it helps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from examples import FIT, blurred

from finprint.answers.components import Components
from finprint.answers.encounters import judged_together
from finprint.answers.rules import Rules
from finprint.answers.search import answer_queries, search
from finprint.answers.shortlist import Shortlist
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.names import NOBODY
from finprint.matching.ranking import Ranking
from finprint.store.tables import NEW, TEST
from finprint.store.vectors import Vectors

TOGETHER = FIT.model_copy(update={"encounter": "fit", "shortlist": 12, "blend": "fit", "neighbours": 50})
GONE = -np.inf


def _listed(encounters: list[str | None], images: list[str] | None = None) -> tuple[Shortlist, Catalogue]:
    """Photos of which the first lists individuals 0 and 1, the second 1 and 2, the third 0 alone."""
    images = images or ["a.jpg", "b.jpg", "c.jpg"]
    photos = pd.DataFrame({"image": images, "identity": None, "split": TEST, "encounter": encounters}).astype("string")
    catalogue = build_catalogue(photos, Vectors(photos["image"], np.eye(3, dtype=np.float32)))
    identities = np.array([[0, 1], [1, 2], [0, NOBODY]])
    nearest = np.array([[0.8, 0.4], [0.6, 0.2], [0.9, GONE]])
    keypoints = np.array([[3.0, np.nan], [1.0, np.nan], [np.nan, GONE]])
    ranking = Ranking(identities, nearest.astype(np.float32), identities, nearest.astype(np.float32))
    components = Components(("nearest", "keypoints"), np.stack([nearest, keypoints], axis=2).astype(np.float32))
    return Shortlist((1.0,), np.arange(3), ranking, components, np.array([""] * 3)), catalogue


def test_two_photos_of_an_encounter_by_hand() -> None:
    listed, catalogue = _listed(["e", "e", None])
    found = judged_together(listed, catalogue)
    assert found.together
    # a: 0 counts as b's least in b, (0.8 + 0.2) / 2; 1 is (0.4 + 0.6) / 2. b: 1 is the same; 2 counts as a's least.
    np.testing.assert_allclose(found.components.values[:2, :, 0], [[0.5, 0.5], [0.5, (0.2 + 0.4) / 2]], rtol=1e-6)
    # Matched features: 0 by a, and by b at its least; 1 by b alone; nobody has looked at 2, but at its least in a.
    np.testing.assert_allclose(found.components.values[:2, :, 1], [[2.0, 1.0], [1.0, 3.0]], rtol=1e-6)
    np.testing.assert_array_equal(found.components.values[2], listed.components.values[2])


def test_of_three_photos_the_others_share_half() -> None:
    listed, catalogue = _listed(["e", "e", "e"])
    values = judged_together(listed, catalogue).components.values[..., 0]
    assert values[0, 0] == pytest.approx(0.8 / 2 + (0.2 + 0.9) / 4)
    assert values[2, 0] == pytest.approx(0.9 / 2 + (0.8 + 0.2) / 4)
    assert values[2, 1] == GONE


@pytest.mark.parametrize(
    ("encounters", "images"),
    [
        (["e", "f", "g"], None),
        ([None, None, None], None),
        (["e", "e", "e"], ["a.jpg", "a.jpg#2", "c.jpg"]),  # a photo with two animals: it is no encounter with one
    ],
)
def test_photos_that_show_no_encounter_with_one_animal_stay_apart(
    encounters: list[str | None], images: list[str] | None
) -> None:
    listed, catalogue = _listed(encounters, images)
    found = judged_together(listed, catalogue).components.values
    np.testing.assert_array_equal(found, listed.components.values)


def _with_encounters(one_animal: bool) -> Catalogue:
    """The blurred catalogue. Encounters hold the photos of one animal, or all of a split."""
    catalogue = blurred()
    photos = catalogue.photos
    animal = photos["image"].str.extract(r"^(\D*\d+)_", expand=False).fillna(photos["image"])
    return replace(catalogue, photos=photos.assign(encounter=animal if one_animal else photos["split"]))


@pytest.mark.parametrize("one_animal", [True, False])
def test_validation_decides_whether_photos_are_judged_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_animal: bool
) -> None:
    monkeypatch.setattr("finprint.answers.search.DRAWS", 2)  # of the threshold's interval, which takes the most time
    catalogue = _with_encounters(one_animal)
    apart = search(catalogue, TOGETHER.model_copy(update={"encounter": "ignore"}))
    found = search(catalogue, TOGETHER)
    assert found.rules.together == one_animal
    if not one_animal:
        pd.testing.assert_frame_equal(found.test, apart.test, check_exact=True)
        return
    truth = catalogue.true_names(catalogue.validation, catalogue.train)
    right = [_right(answers.validation, truth) for answers in (apart, found)]
    assert right[1] > right[0] + 0.03
    found.rules.save(tmp_path)
    again = answer_queries(catalogue, catalogue.where(TEST), catalogue.labelled, Rules.load(tmp_path))
    pd.testing.assert_frame_equal(again, found.test, check_exact=True)


def _right(answers: pd.DataFrame, truth: pd.Series) -> float:
    """Share of the known animals that stand before all other individuals."""
    named = answers[answers["identity"] != NEW].sort_values("rank").drop_duplicates("query").set_index("query")
    known = truth[truth != NEW]
    return float((named["identity"].reindex(known.index) == known).mean())
