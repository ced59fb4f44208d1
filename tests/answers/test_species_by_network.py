"""Species that a network gives: joined to the photos, and read as the chance of an individual's species."""

from pathlib import Path

import numpy as np
import pandas as pd

from finprint.answers.species import chances, with_species
from finprint.store.guesses import QUERY, Guesses, write_guesses


def test_without_a_network_the_photos_stay_as_they_are(tmp_path: Path) -> None:
    photos = pd.DataFrame({"image": ["a"]})
    assert with_species(photos, tmp_path) is photos
    assert np.isnan(chances(photos, np.array([["orca", ""]]))).all()


def test_a_network_s_probabilities_are_those_of_the_individuals_species(tmp_path: Path) -> None:
    rows = pd.DataFrame({"image": ["b", "a"], "role": QUERY, "group": 0, "label": pd.NA})
    write_guesses(tmp_path / "probabilities", Guesses(rows, np.array([[0.9, 0.1], [0.2, 0.8]]), ["beluga", "orca"]))
    photos = with_species(pd.DataFrame({"image": ["a", "b", "c"]}), tmp_path)
    kinds = np.array([["orca", "beluga", "", "fin_whale"]] * 3)
    nan = np.nan
    expected = [[0.8, 0.2, 1, nan], [0.1, 0.9, 1, nan], [nan, nan, nan, nan]]
    np.testing.assert_allclose(chances(photos, kinds), expected, rtol=1e-6)
