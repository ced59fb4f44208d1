"""Heat maps: each place gets what it adds to the cosine, as worked out by hand, by sums and by other backbones."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import scenery
from torch import nn

from finprint.model.embedder import Embedder, ModelConfig
from finprint.report.explain import STRENGTH, contributions, explain, overlay

SIDE = 32


class Colours(nn.Module):
    """A stand-in for an Embedder: the vector is the mean colour of cells of 4 px, and `weight` times that of 8 px."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.config = SimpleNamespace(image_size=SIDE, padded=False)
        self.register_buffer("mean", torch.zeros(1))
        self.weight = weight

    def maps(self, photos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return F.avg_pool2d(photos, 4), F.avg_pool2d(photos, 8)

    def vectors(self, stage3: torch.Tensor, stage4: torch.Tensor) -> torch.Tensor:
        return stage3.mean(dim=(2, 3)) + self.weight * stage4.mean(dim=(2, 3))


def _lit(*places: tuple[int, int, int], level: int = 255) -> np.ndarray:
    """A black crop (32, 32, 3) with cells of 8 px lit: (row, column, channel)."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for row, column, channel in places:
        pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8, channel] = level
    return pixels


def _small(backbone: str = "tf_efficientnet_lite0", fusion: str = "gem", side: int = 64) -> Embedder:
    """A random network, its batch norms with statistics and constants of their own."""
    torch.manual_seed(3)
    embedder = Embedder(ModelConfig(backbone, fusion, 16, side)).eval()
    for module in embedder.neck:
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean, std=0.1)
    return embedder


def _photos(count: int, side: int = 64) -> torch.Tensor:
    return torch.from_numpy(np.stack([scenery(n, side, side) for n in range(count)])).permute(0, 3, 1, 2).float() / 255


def test_only_what_both_photos_have_is_hot() -> None:
    query, match = _lit((0, 0, 0), (3, 3, 1)), _lit((1, 2, 0))  # red and green; red elsewhere
    (found,) = explain(Colours(), [(query, match)])  # type: ignore[arg-type]
    assert found.cosine == pytest.approx(1 / np.sqrt(2))
    assert found.query[:8, :8].min() > 0.2
    assert found.query[16:, 16:].max() == 0  # the match has no green
    assert np.unravel_index(found.match.argmax(), found.match.shape)[0] in range(8, 16)
    assert found.match[:, :8].max() == 0
    for heat in (found.query, found.match):
        assert heat.dtype == np.float32
        assert (heat.min(), heat.max()) == (0, 1)


def test_contributions_hand_worked() -> None:
    # Red twice as bright on the left; both stages equal, so every red place adds to its share of brightness.
    query = np.zeros((SIDE, SIDE, 3), np.float32)
    query[:, :16, 0], query[:, 16:, 0] = 1.0, 0.5
    match = np.zeros_like(query)
    match[..., 0], match[..., 2] = 0.6, 0.8
    photos = [torch.from_numpy(pixels).permute(2, 0, 1)[None] for pixels in (query, match)]
    (hot,), (other,), (cosine,) = contributions(Colours(), *photos)  # type: ignore[arg-type]
    assert cosine == pytest.approx(0.6)
    assert hot.sum() == pytest.approx(0.6, rel=1e-5)
    assert hot[:, :8] == pytest.approx(0.6 * (2 / 3) / 512, rel=1e-5)  # of 512 px each half, far from the step
    assert hot[:, 24:] == pytest.approx(0.6 * (1 / 3) / 512, rel=1e-5)
    assert other == pytest.approx(0.6 / 1024, rel=1e-5)


def test_both_stages_count_each_with_its_own_cells() -> None:
    query = torch.zeros(1, 3, SIDE, SIDE)
    query[:, 0, 12:16, 12:16] = 1
    only3, both = (contributions(Colours(weight), query, query)[0][0] for weight in (0.0, 1.0))  # type: ignore[arg-type]
    assert only3.sum() == pytest.approx(1, rel=1e-5)
    assert both.sum() == pytest.approx(1, rel=1e-5)
    # Stage 3's cell of 4 px reaches 2 px beyond itself, stage 4's of 8 px 4 px.
    assert only3[8, 13] == only3[13, 8] == 0
    assert both[8, 13] > 0
    assert both[3, 13] == 0


def test_what_takes_away_is_cold() -> None:
    class Opposed(Colours):
        def vectors(self, stage3: torch.Tensor, stage4: torch.Tensor) -> torch.Tensor:
            return super().vectors(stage3, stage4) * torch.tensor([1.0, -1.0, 1.0]) + torch.tensor([0.0, 0.5, 0.0])

    query, match = _lit((0, 0, 0), (3, 3, 1)), _lit((0, 0, 0))
    (found,) = explain(Opposed(), [(query, match)])  # type: ignore[arg-type]
    signed = contributions(Opposed(), *(torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (query, match)))[0][0]  # type: ignore[arg-type]
    assert signed[24:, 24:].max() < 0
    assert found.query[24:, 24:].max() == 0
    assert found.query.max() == 1


def test_the_places_sum_up_to_the_cosine_but_for_the_necks_constant() -> None:
    embedder = _small()
    queries, matches = _photos(6)[:3], _photos(6)[3:]
    hot, warm, cosines = contributions(embedder, queries, matches)
    with torch.inference_mode():
        found = embedder(torch.cat([queries, matches]))
        constant = embedder.neck(torch.zeros(1, embedder.fusion.features))
    units = F.normalize(found)
    for maps, own, other in ((hot, found[:3], units[3:]), (warm, found[3:], units[:3])):
        expected = ((own - constant) * other).sum(dim=1) / own.norm(dim=1)
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), expected.numpy(), atol=1e-3)
    np.testing.assert_allclose(cosines, (units[:3] * units[3:]).sum(dim=1).numpy(), atol=1e-5)
    assert abs(constant).max() > 0.1  # else the check would not see it


@pytest.mark.parametrize(
    ("backbone", "fusion"),
    [
        ("tf_efficientnet_lite0", "dolg"),
        ("resnet18", "gem"),
        ("vit_tiny_patch16_224", "gem"),
        pytest.param("swin_tiny_patch4_window7_224", "gem", id="swin: channels last"),
    ],
)
def test_any_backbone_and_fusion(backbone: str, fusion: str) -> None:
    embedder = _small(backbone, fusion)
    (found,) = explain(embedder, [(scenery(1, 90, 60), scenery(2, 48, 70))])
    assert (found.query.shape, found.match.shape) == ((60, 90), (70, 48))
    for heat in (found.query, found.match):
        assert heat.min() >= 0
        assert heat.max() == 1
        assert heat.std() > 0
    assert -1 <= found.cosine <= 1


def test_pairs_do_not_touch_each_other_and_the_same_comes_twice() -> None:
    embedder = _small()
    pairs = [(scenery(n, 40 + n, 50), scenery(n + 9, 50, 40)) for n in range(5)]
    once, again, single = explain(embedder, pairs), explain(embedder, pairs), explain(embedder, pairs, batch=2)
    for one, same, alone in zip(once, again, single, strict=True):
        np.testing.assert_array_equal(one.query, same.query)
        np.testing.assert_array_equal(one.match, same.match)
        np.testing.assert_allclose(alone.query, one.query, atol=1e-3)
        np.testing.assert_allclose(alone.match, one.match, atol=1e-3)
    assert not np.allclose(once[0].match, once[1].match[:, : once[0].match.shape[1]], atol=0.05)
    turned = explain(embedder, [pair[::-1] for pair in pairs])
    np.testing.assert_array_equal(turned[0].query, once[0].match)
    assert explain(embedder, []) == []
    assert all(p.grad is None for p in embedder.parameters())


def test_a_photo_and_itself() -> None:
    (found,) = explain(_small(), [(scenery(1), scenery(1))])
    assert found.cosine == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(found.query, found.match)


def test_nothing_alike_is_no_heat_and_no_division_by_zero() -> None:
    (found,) = explain(Colours(), [(_lit(), _lit((0, 0, 0)))])  # type: ignore[arg-type]
    assert found.cosine == 0
    assert found.query.max() == found.match.max() == 0


def test_overlay_hand_worked() -> None:
    pixels = np.full((2, 2, 3), (30, 60, 90), np.uint8)
    shown = overlay(pixels, np.array([[0, 1], [0.5, 0]], np.float32))
    assert shown.dtype == np.uint8
    assert shown.shape == (2, 2, 3)
    assert shown[0, 0].tolist() == [45, 60, 75]  # half of its colour
    top = np.array([252, 255, 164])  # inferno's last
    np.testing.assert_allclose(shown[0, 1], (1 - STRENGTH) * np.array([45, 60, 75]) + STRENGTH * top, atol=1.5)
    grey = [int(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)[place]) for place in ((0, 0), (1, 0), (0, 1))]
    assert grey == sorted(grey)
    assert len(set(grey)) == 3
