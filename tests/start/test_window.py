"""The window in which animals differ."""

import numpy as np
import pandas as pd
import pytest
import torch

from finprint.start.window import Views, best_window, reciprocal_ranks, views_of


def _views(where: tuple[int, int, int, int] | None, noise: float = 1.0) -> Views:
    """Maps of 30 animals with three photos each, on 8 x 8 cells: animals differ in a window, the rest is noise."""
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(30), 3)
    maps = rng.normal(size=(90, 6, 8, 8)) * noise
    if where:
        left, top, right, bottom = where
        own = rng.normal(size=(30, 6, 8, 8))[identities]
        maps[:, :, top:bottom, left:right] += own[:, :, top:bottom, left:right]
    photos = pd.DataFrame(
        {"identity": [f"{number:02}" for number in identities], "group": np.arange(90), "viewpoint": pd.NA}
    )
    return views_of(torch.from_numpy(maps).float(), photos)


@pytest.mark.parametrize(
    ("where", "expected"),
    [((2, 3, 6, 5), [1 / 8, 2 / 8, 7 / 8, 6 / 8]), ((0, 3, 6, 5), [0, 2 / 8, 7 / 8, 6 / 8])],
)
def test_the_window_is_found_with_a_margin(where: tuple[int, int, int, int], expected: list[float]) -> None:
    """A cell more on each side, but nothing beyond the photo."""
    window = best_window(_views(where))
    assert window is not None
    assert window.whole == expected
    assert window.score > 1.15 * window.before


@pytest.mark.parametrize("where", [None, (0, 0, 8, 8)])
def test_the_whole_photo_stays_where_no_window_wins(where: tuple[int, int, int, int] | None) -> None:
    assert best_window(_views(where, noise=2.5)) is None


def test_too_few_cells_for_a_window() -> None:
    views = _views((2, 3, 6, 5))
    assert best_window(Views(views.maps[:, :, :4, :4], views.identities, views.barred)) is None


def test_ranks_by_hand() -> None:
    """Three animals; photos of one group, and of two sides, do not count."""
    maps = torch.zeros(6, 2, 1, 2)
    maps[:, :, 0, 0] = torch.tensor([[1, 0], [1, 0.1], [0, 1], [1, 0.2], [-1, 0], [-1, 0.1]])
    photos = pd.DataFrame(
        {
            "identity": ["a", "a", "b", "b", "c", "c"],
            "group": [1, 2, 3, 4, 5, 5],
            "viewpoint": ["left", "left", "left", None, "left", "left"],
        }
    )
    views = views_of(maps, photos)
    assert views.barred[4, 5]
    assert not views.barred[2, 3]
    ranks = reciprocal_ranks(views, (0, 0, 1, 1))
    assert ranks[[0, 1]].tolist() == [1, 1]
    assert ranks[3] == pytest.approx(1 / 2)  # a is nearer to it than the other photo of b
    assert np.isnan(ranks[[4, 5]]).all()  # their only partner is of their group
    sides = views_of(maps[:2], photos.head(2).assign(viewpoint=["left", "right"]))
    assert np.isnan(reciprocal_ranks(sides, (0, 0, 1, 1))).all()
