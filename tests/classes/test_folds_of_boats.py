"""80/10/10 of a folder whose table tells boats: no boat stands on two sides."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import prepare_params, save_photo, scenery
from examples import stored_crops

from finprint.base.errors import UserError
from finprint.classes.labels import labelled
from finprint.classes.params import PLAIN, Classes
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source

FOLDS = 10


@pytest.fixture
def photos(tmp_path: Path) -> pd.DataFrame:
    """Twelve boats with an ant and a bee each, dealt to ten folds."""
    rows = [(f"{name}/{boat}.jpg", boat) for name in ("ant", "bee") for boat in range(12)]
    for number, (image, _) in enumerate(rows):
        save_photo(tmp_path / "raw" / image, scenery(number))
    pd.DataFrame(rows, columns=["image", "boat"]).to_csv(tmp_path / "raw" / "trips.csv", index=False)
    told = {"identity": "auto", "around": "auto", "groups": "trips.csv:boat"}
    params = prepare_params(source="folder", folders=told, folds=FOLDS)
    return survey(read_source(params, tmp_path / "raw")[0], params, 0).photos


def test_no_boat_stands_on_two_sides(tmp_path: Path, photos: pd.DataFrame) -> None:
    crops = stored_crops(tmp_path / "crops", sorted(photos["image"]))
    dealt = sorted(photos["fold"].unique().tolist())
    labels = labelled(
        photos, crops, "identity", Classes(of=["identity"], folds=dealt[:1], members=[PLAIN], test=dealt[-1:])
    )
    sides = [labels.learns(dealt[0]), labels.left_out(dealt[0]), labels.table[labels.table["fold"] == dealt[-1]]]
    boats = [set(side["image"].str.split("/").str[-1]) for side in sides]
    assert sum(map(len, boats)) == len(set.union(*boats)) == 12
    assert sum(map(len, sides)) == 24
    missing = min(set(range(FOLDS)) - set(dealt))
    filled = Classes(of=["identity"], folds=dealt[:1], members=[PLAIN], test=[missing])
    assert (labelled(photos, crops, "identity", filled).table["fold"] == missing).sum() == 2  # a boat has moved there
    two = photos.assign(group=photos["group"] % 2, fold=photos["group"] % 2)
    with pytest.raises(UserError, match=r"classes.test has 4, .* the folds of these are 0, 1"):
        labelled(two, crops, "identity", Classes(of=["identity"], folds=[0], members=[PLAIN], test=[4]))
