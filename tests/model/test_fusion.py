"""Pooling and fusion: hand-worked values, the orthogonality of DOLG's local part, a slow reference from the paper."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.fusion import DOLG, FUSIONS, GeM, GeMConcat, MultiAtrous, orthogonal, stages_of

SEEDS = st.integers(0, 2**32 - 1)


def _maps(count: int, channels: tuple[int, int], side: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, channels[0], side, side, generator=generator),
        torch.randn(count, channels[1], side // 2, side // 2, generator=generator),
    )


def test_gem_hand_worked() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)
    # The cube root of (1 + 8 + 27 + 64) / 4 = 25.
    assert GeM()(x).item() == pytest.approx(25 ** (1 / 3), rel=1e-6)


def test_gem_of_one_is_the_mean_and_of_a_large_power_the_maximum() -> None:
    x = torch.rand(3, 5, 4, 6, generator=torch.Generator().manual_seed(0)) + 0.01
    assert GeM(p=1)(x).shape == (3, 5)
    torch.testing.assert_close(GeM(p=1)(x), x.mean(dim=(2, 3)))
    largest = x.amax(dim=(2, 3))
    error = [(largest - GeM(p=p)(x)).abs().max().item() for p in (1, 3, 10, 60)]
    assert error == sorted(error, reverse=True)
    # The mean of p-th powers is at least max^p / n, so the pooled value at least max n^(-1/p).
    assert (GeM(p=60)(x) >= largest * 24 ** (-1 / 60) - 1e-5).all()
    assert (GeM(p=60)(x) <= largest + 1e-5).all()


@given(seed=SEEDS, low=st.floats(1, 5), more=st.floats(0.1, 5))
def test_gem_lies_between_mean_and_maximum_and_grows_with_its_power(seed: int, low: float, more: float) -> None:
    x = torch.rand(2, 3, 3, 3, generator=torch.Generator().manual_seed(seed)) + 1e-3
    small, large = GeM(p=low)(x), GeM(p=low + more)(x)
    assert (small >= x.mean(dim=(2, 3)) - 1e-5).all()
    assert (large >= small - 1e-5).all()
    assert (large <= x.amax(dim=(2, 3)) + 1e-5).all()


def test_a_plain_mean_is_of_the_last_stage() -> None:
    stage3, stage4 = _maps(2, (3, 5))
    pool = FUSIONS["average"]((3, 5))
    assert pool.features == 5
    torch.testing.assert_close(pool(stage3, stage4), stage4.mean(dim=(2, 3)))


def test_gem_of_values_that_are_not_positive_is_finite_and_has_a_gradient() -> None:
    x = torch.tensor([-1.0, 0.0, -3.0, 0.0]).view(1, 1, 2, 2).requires_grad_()
    pooled = GeM()(x)
    pooled.sum().backward()
    assert pooled.item() == pytest.approx(1e-6, rel=1e-3)
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_gem_of_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 1, 2, 2), 100.0, dtype=torch.float16)  # its cube, 1e6, is beyond float16
    assert GeM()(x).item() == pytest.approx(100, rel=1e-4)
    with torch.autocast("cpu", torch.float16):
        assert GeM()(x).item() == pytest.approx(100, rel=1e-4)


def test_gem_concat_is_both_stages_one_after_the_other() -> None:
    stage3, stage4 = _maps(2, (3, 5))
    fused = GeMConcat((3, 5))(stage3, stage4)
    assert fused.shape == (2, GeMConcat((3, 5)).features) == (2, 8)
    expected = [m.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3) for m in (stage3, stage4)]
    torch.testing.assert_close(fused, torch.cat(expected, dim=1))


def test_orthogonal_hand_worked() -> None:
    # f = (1, 2), g = (3, 4): f.g / |g|^2 = 11 / 25, so the rest is (1 - 33/25, 2 - 44/25) = (-0.32, 0.24).
    rest = orthogonal(torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), torch.tensor([[3.0, 4.0]]))
    torch.testing.assert_close(rest.flatten(), torch.tensor([-0.32, 0.24]))


@given(seed=SEEDS, length=st.floats(1e-2, 1e2), count=st.integers(1, 3), side=st.integers(1, 4))
def test_orthogonal_part_is_orthogonal_everywhere_and_taking_it_again_changes_nothing(
    seed: int, length: float, count: int, side: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    local = torch.randn(count, 6, side, side, generator=generator)
    vector = F.normalize(torch.randn(count, 6, generator=generator)) * length
    rest = orthogonal(local, vector)
    cosines = F.cosine_similarity(rest, vector[:, :, None, None].expand_as(rest), dim=1)
    longer = rest.norm(dim=1) > 1e-3
    assert cosines[longer].abs().le(1e-3).all()
    torch.testing.assert_close(orthogonal(rest, vector), rest, atol=1e-5, rtol=0)
    # It depends on the direction of the global vector alone.
    torch.testing.assert_close(orthogonal(local, -3 * vector), rest, atol=1e-5, rtol=0)
    # Pythagoras: the part along g and the rest make up the whole.
    along = (local * (vector / length)[:, :, None, None]).sum(dim=1)
    torch.testing.assert_close(
        rest.square().sum(dim=1) + along.square(), local.square().sum(dim=1), atol=1e-4, rtol=1e-4
    )


def test_orthogonal_to_a_zero_vector_is_the_whole() -> None:
    local = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonal(local, torch.zeros(1, 3)), local)


def test_multi_atrous_reaches_six_twelve_and_eighteen_pixels_and_no_others() -> None:
    torch.manual_seed(0)
    atrous = MultiAtrous(1, 4)
    x = torch.zeros(1, 1, 41, 41, requires_grad=True)
    # Without image pooling, which sees everything, and without the ReLU, which may shut.
    with torch.no_grad():
        atrous.image.weight.zero_()
    branches = torch.cat([*(branch(x) for branch in atrous.branches), atrous.image(x)], dim=1)
    atrous.fuse(branches)[0, :, 20, 20].sum().backward()
    assert x.grad is not None
    seen = {(abs(int(i) - 20), abs(int(j) - 20)) for i, j in x.grad[0, 0].nonzero()}
    assert seen == {(0, 0)} | {(i, j) for r in (6, 12, 18) for i, j in ((0, r), (r, 0), (r, r))}
    assert atrous(x).shape == (1, 4, 41, 41)


def _slow_dolg(dolg: DOLG, stage3: torch.Tensor, stage4: torch.Tensor) -> np.ndarray:
    """DOLG in float64, position by position, from section 3 of the paper."""
    dolg = dolg.double()
    local = dolg.norm(dolg.atrous(stage3.double()))
    weight = F.softplus(F.conv2d(local.relu(), dolg.attention[1].weight, dolg.attention[1].bias))
    out = []
    for n in range(len(stage3)):
        pooled = np.array([np.mean(np.maximum(c, 1e-6) ** 3) ** (1 / 3) for c in stage4[n].double().numpy()])
        g = dolg.globally.weight.detach().numpy() @ pooled + dolg.globally.bias.detach().numpy()
        parts = []
        for i in range(local.shape[2]):
            for j in range(local.shape[3]):
                f = local[n, :, i, j].detach().numpy()
                f = f / math.sqrt((f**2).sum()) * weight[n, 0, i, j].item()
                parts.append(f - (f @ g) / (g @ g) * g)
        out.append(np.concatenate([g, np.mean(parts, axis=0)]))
    return np.array(out)


def test_dolg_against_a_slow_reference() -> None:
    torch.manual_seed(1)
    dolg = DOLG((6, 10), width=8).eval()
    stage3, stage4 = _maps(3, (6, 10), seed=2)
    with torch.no_grad():
        found = dolg(stage3, stage4).numpy()
        expected = _slow_dolg(dolg, stage3, stage4)
    assert found.shape == (3, dolg.features) == (3, 16)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # The averaged part is still orthogonal to the global vector: projection is linear.
    np.testing.assert_allclose((found[:, :8] * found[:, 8:]).sum(axis=1), 0, atol=1e-5)


def test_attention_is_one_positive_number_a_position() -> None:
    torch.manual_seed(1)
    dolg = DOLG((6, 10), width=8)
    attention = dolg.attention(dolg.norm(dolg.atrous(_maps(2, (6, 10))[0])))
    assert attention.shape == (2, 1, 4, 4)
    assert (attention > 0).all()


def test_means_are_of_each_of_three_stages() -> None:
    maps = [*_maps(2, (3, 5)), torch.full((2, 4, 1, 1), 7.0)]
    pool = FUSIONS["means"]((3, 5, 4))
    assert (stages_of("means"), stages_of("gem"), pool.features) == (3, 2, 12)
    torch.testing.assert_close(pool(*maps), torch.cat([stage.mean(dim=(2, 3)) for stage in maps], dim=1))
    embedder = Embedder(ModelConfig("resnet18", "means", 0, 64)).eval()
    with torch.no_grad():
        assert [stage.shape[-1] for stage in embedder.maps(torch.zeros(1, 3, 64, 64))] == [8, 4, 2]
    assert embedder.features == 128 + 256 + 512


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_a_photo_alone_gives_what_it_gives_in_a_batch(name: str) -> None:
    torch.manual_seed(3)
    fusion = FUSIONS[name]((6, 10)).eval()
    stage3, stage4 = _maps(3, (6, 10))
    with torch.no_grad():
        alone = fusion(stage3[:1], stage4[:1])
        together = fusion(stage3, stage4)
    assert alone.shape == (1, fusion.features)
    torch.testing.assert_close(alone, together[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["dolg", "gem"])
def test_every_parameter_and_both_stages_receive_a_gradient(name: str) -> None:
    torch.manual_seed(3)
    fusion = FUSIONS[name]((6, 10)).train()
    # 19 positions a side, so that the rate of 18 has somewhere to look at.
    stage3, stage4 = (m.requires_grad_() for m in _maps(2, (6, 10), side=20))
    (fusion(stage3, stage4) * torch.randn(2, fusion.features)).sum().backward()
    without = [n for n, p in fusion.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
    for stage in (stage3, stage4):
        assert stage.grad is not None
        assert stage.grad.abs().sum() > 0


@settings(max_examples=10)
@given(seed=SEEDS)
def test_dolg_under_autocast_stays_near_float32_and_orthogonal(seed: int) -> None:
    torch.manual_seed(4)
    dolg = DOLG((6, 10), width=8).eval()
    stage3, stage4 = _maps(2, (6, 10), seed=seed)
    with torch.no_grad():
        exact = dolg(stage3, stage4)
        with torch.autocast("cpu", torch.bfloat16):
            rough = dolg(stage3, stage4).float()
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)
    assert (rough[:, :8] * rough[:, 8:]).sum(dim=1).abs().max() < 1e-3
