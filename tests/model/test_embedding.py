"""Unit vectors of crops: in order, whatever the batch; blind to mirroring where asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.embedding import by_name, centres, embed, fused
from finprint.model.heads import SubCentreArcFace
from finprint.model.params import Embed
from finprint.model.views import plain_view

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    torch.manual_seed(0)
    model = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32))
    with torch.no_grad():
        model.train()(torch.rand(16, 3, 32, 32))  # running statistics that mean something
    return model


def _crop(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, (30 + row, 40, 3), dtype=np.uint8)


def _embed(embedder: Embedder, rows: list[int], batch: int = 4, mirror: bool = False, amp: bool = False) -> np.ndarray:
    return embed(embedder, _crop, np.array(rows, int), Embed(batch=batch, mirror=mirror, amp=amp), quiet=True)


def test_vectors_have_length_one_and_follow_the_rows(embedder: Embedder) -> None:
    rows = [5, 0, 9, 9, 2, 7, 1]
    found = _embed(embedder, rows)
    assert found.shape == (7, 8)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    for place, row in enumerate(rows):
        np.testing.assert_allclose(found[place], _embed(embedder, [row])[0], atol=1e-4)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_against_the_model_called_by_hand(embedder: Embedder) -> None:
    views = np.stack([plain_view(_crop(row), 32) for row in range(3)])
    with torch.inference_mode():
        vectors = embedder.eval()(torch.from_numpy(views).permute(0, 3, 1, 2).float().to(DEVICE) / 255).cpu().numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(_embed(embedder, [0, 1, 2]), vectors, atol=1e-4)


def test_the_batch_does_not_matter(embedder: Embedder) -> None:
    rows = list(range(7))
    np.testing.assert_allclose(_embed(embedder, rows, batch=1), _embed(embedder, rows, batch=7), atol=1e-4)


def test_the_same_call_gives_the_same_bytes(embedder: Embedder) -> None:
    assert _embed(embedder, [3, 1, 2]).tobytes() == _embed(embedder, [3, 1, 2]).tobytes()


def test_with_mirror_a_photo_and_its_mirror_image_have_one_vector(embedder: Embedder) -> None:
    def both_ways(row: int) -> np.ndarray:
        square = plain_view(_crop(row % 10), 32)
        return square[:, ::-1].copy() if row >= 10 else square

    def found(mirror: bool) -> np.ndarray:
        return embed(embedder, both_ways, np.array([1, 11]), Embed(batch=1, mirror=mirror, amp=False), quiet=True)

    np.testing.assert_allclose(*found(mirror=True), atol=1e-4)
    plain = found(mirror=False)
    assert np.abs(plain[0] - plain[1]).max() > 1e-3  # the control
    mean = plain.sum(axis=0)
    np.testing.assert_allclose(found(mirror=True)[0], mean / np.linalg.norm(mean), atol=1e-4)


def test_bfloat16_agrees_to_a_hundredth(embedder: Embedder) -> None:
    exact, rough = _embed(embedder, [0, 1, 2, 3]), _embed(embedder, [0, 1, 2, 3], amp=True)
    assert rough.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rough, axis=1), 1, atol=1e-5)
    assert (exact * rough).sum(axis=1).min() > 0.99
    assert not np.array_equal(exact, rough)


def test_embedding_leaves_the_weights_alone_and_the_model_in_evaluation_mode(embedder: Embedder) -> None:
    embedder.train()
    before = {name: tensor.clone() for name, tensor in embedder.state_dict().items()}
    _embed(embedder, [0, 1])
    assert not embedder.training
    assert all(torch.equal(before[name].cpu(), tensor.cpu()) for name, tensor in embedder.state_dict().items())


def test_no_rows_no_vectors(embedder: Embedder) -> None:
    assert _embed(embedder, []).shape == (0, 8)


def test_where_a_mirror_image_is_another_individual_left_is_compared_with_left(embedder: Embedder) -> None:
    apart = Embedder(replace(embedder.config, mirror="other"))
    apart.load_state_dict(embedder.state_dict())
    both = embed(apart, _crop, np.array([1, 2]), Embed(batch=2, mirror=True, amp=False), quiet=True)
    assert both.shape == (2, 2 * embedder.config.embedding)
    plain = _embed(embedder, [1, 2])
    asked = Embed(batch=2, mirror=False, amp=False)
    mirrored = embed(embedder, lambda row: _crop(row)[:, ::-1].copy(), np.array([1, 2]), asked, quiet=True)
    np.testing.assert_allclose(both @ both.T, (plain @ plain.T + mirrored @ mirrored.T) / 2, atol=1e-3)
    alone = embed(apart, _crop, np.array([1, 2]), Embed(batch=2, mirror=False, amp=False), quiet=True)
    np.testing.assert_array_equal(alone, plain)
    assert embed(apart, _crop, np.zeros(0, int), Embed(batch=2, mirror=True, amp=False), quiet=True).shape == (
        0,
        both.shape[1],
    )


# -- norms folded into convolutions --


def _norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def _seasoned(backbone: str, fusion: str = "gem") -> Embedder:
    """A network whose norms do something: scales, shifts and statistics of their own."""
    torch.manual_seed(1)
    model = Embedder(ModelConfig(backbone, fusion, 8, 64))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.mark.parametrize(
    ("backbone", "fusion", "left"),
    [
        ("tf_efficientnet_lite0", "gem", 0), ("tf_efficientnet_lite0", "dolg", 0), ("resnet18", "gem", 0),
        ("densenet121", "gem", None),  # half of its norms stand before their convolutions
        ("resnetv2_50x1_bit", "gem", 0),  # convolutions that standardise their weights, and no such norm
        ("xception41p", "gem", None),  # norms that do not fit the convolution before them
        ("convnext_atto", "gem", 0), ("vit_tiny_patch16_224", "gem", 0),
    ],
)  # fmt: skip
def test_fused_norms_give_the_same_vectors(backbone: str, fusion: str, left: int | None) -> None:
    model = _seasoned(backbone, fusion)
    before = _norms(model)
    twin = fused(model)
    photos = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        np.testing.assert_allclose(F.normalize(twin(photos)), F.normalize(model(photos)), atol=1e-4)
    assert _norms(model) == before
    assert _norms(twin) == left if left is not None else 0 < _norms(twin) < before


def test_a_backbone_that_adds_before_it_norms_stays() -> None:
    """RepViT holds two convolutions and a norm, and norms the sum of the two and of what came in."""
    model = _seasoned("repvit_m0_9")
    assert fused(model) is model


def test_norms_that_are_called_in_another_order_stay() -> None:
    class Crossed(nn.Module):
        """Holds its parts in one order and calls them in another."""

        def __init__(self, backbone: nn.Module) -> None:
            super().__init__()
            self.feature_info = backbone.feature_info
            self.conv, self.norm, self.rest = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), backbone

        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            return self.rest(self.conv(self.norm(photos)))

    model = _seasoned("resnet18")
    model.backbone = Crossed(model.backbone)
    with torch.no_grad():
        model.backbone.norm.running_mean.fill_(2.0)
    assert fused(model.eval()) is model


def test_fusing_leaves_chance_alone(embedder: Embedder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fused(embedder.eval())
    assert torch.rand(1) == expected


def test_centres_are_comparable_with_the_vectors(embedder: Embedder) -> None:
    torch.manual_seed(0)
    head = SubCentreArcFace(embedder.config.embedding, torch.zeros(3), 2, 20.0)
    vectors = F.normalize(torch.randn(5, embedder.config.embedding))
    found = centres(embedder, head.state_dict(), 3, mirror=True)
    assert found.shape == (3, 2, embedder.config.embedding)
    cosines = np.einsum("nd,csd->ncs", vectors.numpy(), found).max(axis=2)
    np.testing.assert_allclose(cosines, head.cosines(vectors).detach().numpy(), atol=1e-6)

    apart = Embedder(replace(embedder.config, mirror="other"))
    head = SubCentreArcFace(embedder.config.embedding, torch.zeros(6), 2, 20.0)
    mirrored = F.normalize(torch.randn(5, embedder.config.embedding))
    expected = (head.cosines(vectors)[:, :3] + head.cosines(mirrored)[:, 3:]) / 2
    both = F.normalize(torch.hstack([vectors, mirrored])).numpy()
    found = centres(apart, head.state_dict(), 3, mirror=True)
    assert found.shape == (3, 4, 2 * embedder.config.embedding)
    cosines = np.einsum("nd,csd->ncs", both, found).max(axis=2)
    np.testing.assert_allclose(cosines, expected.detach().numpy(), atol=1e-6)
    alone = np.einsum("nd,csd->ncs", vectors.numpy(), centres(apart, head.state_dict(), 3, mirror=False)).max(axis=2)
    np.testing.assert_allclose(alone, head.cosines(vectors)[:, :3].detach().numpy(), atol=1e-6)


def test_classes_of_one_name_become_one_with_all_their_centres() -> None:
    heads = np.arange(4 * 2 * 3, dtype=np.float32).reshape(4, 2, 3)
    names, joined = by_name(["bo", "al", "bo", "cy"], heads)
    assert names.tolist() == ["al", "bo", "cy"]
    np.testing.assert_array_equal(joined[1], [*heads[0], *heads[2]])
    np.testing.assert_array_equal(joined[0], [*heads[1], *heads[1]])  # it has one class, so its centres stand twice
    names, joined = by_name(["al", "bo"], heads[:2])
    np.testing.assert_array_equal(joined, heads[:2])
