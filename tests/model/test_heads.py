"""The margin head: the winner's constants by hand, ArcFace against a slow reference with acos, safety at the ends."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from finprint.model.heads import SubCentreArcFace, add_margin, dynamic_margins

COSINES = st.floats(-1, 1, width=32)
MARGINS = st.floats(0, 1.5, width=32)


def _head(
    classes: int = 5, dims: int = 8, margin: float = 0.3, centres: int = 2, scale: float = 20.96
) -> SubCentreArcFace:
    torch.manual_seed(0)
    return SubCentreArcFace(dims, torch.full((classes,), margin), centres, scale)


def _vectors(count: int, dims: int = 8, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, dims, generator=torch.Generator().manual_seed(seed))


def test_dynamic_margins_with_the_winners_constants() -> None:
    margins = dynamic_margins(torch.tensor([1, 2, 10, 100, 400]), scale=0.271, power=-0.364, least=0.05)
    # 0.271 n^-0.364 + 0.05: for one photo the sum of both; 10^-0.364 = 0.432514, 100^-0.364 = its square.
    expected = [0.321, 0.271 / 2**0.364 + 0.05, 0.271 * 0.432514 + 0.05, 0.271 * 0.187068 + 0.05, 0.080607]
    assert margins.tolist() == pytest.approx(expected, abs=2e-6)
    assert margins.dtype == torch.float32
    assert margins.tolist() == sorted(margins.tolist(), reverse=True)


def _slow_loss(
    vectors: np.ndarray, weight: np.ndarray, margins: np.ndarray, centres: int, scale: float, labels: np.ndarray
) -> float:
    """ArcFace with sub-centres in float64, angle by angle, with acos as the paper writes it."""
    losses = []
    for vector, label in zip(vectors, labels, strict=True):
        logits = []
        for c, margin in enumerate(margins):
            mine = weight[c * centres : (c + 1) * centres]
            cosine = max(float(v @ vector / np.linalg.norm(v) / np.linalg.norm(vector)) for v in mine)
            if c == label:
                angle = math.acos(cosine)
                cosine = math.cos(angle + margin) if angle + margin < math.pi else cosine - margin * math.sin(margin)
            logits.append(scale * cosine)
        top = max(logits)
        losses.append(top + math.log(sum(math.exp(x - top) for x in logits)) - logits[label])
    return float(np.mean(losses))


@given(seed=st.integers(0, 10**6), centres=st.integers(1, 3), scale=st.floats(1, 40))
def test_loss_against_a_slow_reference(seed: int, centres: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    margins = rng.uniform(0, 1.4, 4)
    head = SubCentreArcFace(3, torch.tensor(margins, dtype=torch.float32), centres, scale)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(rng.normal(size=(4 * centres, 3))))
    vectors, labels = rng.normal(size=(6, 3)) * 5, rng.integers(4, size=6)
    found = head(torch.from_numpy(vectors).float(), torch.from_numpy(labels)).item()
    expected = _slow_loss(vectors, head.weight.detach().double().numpy(), margins, centres, scale, labels)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(cosine=st.floats(-0.9990234375, 0.9990234375, width=32), margin=MARGINS)
def test_add_margin_is_the_cosine_of_the_sum(cosine: float, margin: float) -> None:
    angle = math.acos(cosine)
    found = add_margin(torch.tensor([cosine]), torch.tensor([margin])).item()
    beyond = cosine - margin * math.sin(margin)
    if abs(angle + margin - math.pi) < 1e-3:  # at the seam either may be taken
        assert min(abs(found + 1), abs(found - beyond)) < 1e-3
    else:
        assert found == pytest.approx(math.cos(angle + margin) if angle + margin < math.pi else beyond, abs=1e-5)


@given(first=COSINES, second=COSINES, margin=MARGINS)
def test_add_margin_never_rewards_a_larger_angle_and_never_helps(first: float, second: float, margin: float) -> None:
    low, high = sorted((first, second))
    found = add_margin(torch.tensor([low, high]), torch.tensor([margin, margin]))
    assert found[0] <= found[1] + 1e-6
    assert (found <= torch.tensor([low, high]) + 1e-3).all()  # the sine is kept above 1e-3


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3, 1.0, 1.5])
def test_add_margin_has_one_step_where_the_angle_passes_pi(margin: float) -> None:
    cosine = torch.linspace(-1, 1, 400_001, dtype=torch.float64)
    found = add_margin(cosine, torch.tensor(margin, dtype=torch.float64))
    jumps = found.diff()
    assert (jumps >= 0).all()
    # ArcFace's line cos t - m sin m starts below cos(pi) = -1, by cos m + m sin m - 1.
    step = math.cos(margin) + margin * math.sin(margin) - 1
    assert jumps.max().item() == pytest.approx(step, abs=0.01)
    others = jumps.sort(descending=True).values[1:]
    assert others.max() < 0.01


@pytest.mark.parametrize("centres", [1, 3])
def test_cosines_take_the_nearest_centre(centres: int) -> None:
    head = _head(classes=4, centres=centres)
    vectors = _vectors(6)
    found = head.cosines(vectors).detach()
    assert found.shape == (6, 4)
    for n in range(6):
        for c in range(4):
            own = head.weight[c * centres : (c + 1) * centres]
            every = F.cosine_similarity(own, vectors[n : n + 1].expand_as(own), dim=1)
            assert found[n, c].item() == pytest.approx(every.max().item(), abs=1e-6)


def test_only_the_nearest_centre_learns() -> None:
    head = _head(classes=2, centres=3)
    vector = head.weight[4:5].detach() * 2  # lies on the second centre of class 1
    head(vector, torch.tensor([0])).backward()
    assert head.weight.grad is not None
    learns = head.weight.grad.abs().sum(dim=1) > 1e-12
    nearest = (F.normalize(head.weight) @ F.normalize(vector).T).view(2, 3).argmax(dim=1)
    assert nearest[1] == 1
    assert not learns[3]
    assert not learns[5]
    assert learns[:3].nonzero().flatten().tolist() == [nearest[0]]


def test_without_margin_and_with_one_centre_it_is_a_softmax_of_cosines() -> None:
    head = _head(margin=0.0, centres=1, scale=12.0)
    vectors, labels = _vectors(7), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    plain = F.cross_entropy(12.0 * F.cosine_similarity(vectors[:, None], head.weight[None], dim=2), labels)
    torch.testing.assert_close(head(vectors, labels), plain)


def test_a_larger_margin_costs_more_and_applies_to_the_target_alone() -> None:
    vectors, labels = _vectors(7), torch.zeros(7, dtype=torch.long)
    losses = [_head(margin=m)(vectors, labels).item() for m in (0.0, 0.1, 0.4, 1.0)]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1]
    head = _head(margin=0.0)
    head.margins[1:] = 1.0  # margins of the other classes
    assert head(vectors, labels).item() == losses[0]


def test_the_length_of_a_vector_does_not_matter() -> None:
    head, vectors, labels = _head(), _vectors(4), torch.tensor([0, 1, 2, 3])
    torch.testing.assert_close(head(vectors * 1000, labels), head(vectors, labels))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("margin", [0.0, 0.3, 1.4])
def test_the_gradient_is_finite_where_the_cosine_is_exactly_one_or_minus_one(sign: float, margin: float) -> None:
    head = SubCentreArcFace(2, torch.full((2,), margin), 1, 20.0)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    vectors = torch.tensor([[sign, 0.0]], requires_grad=True)
    assert head.cosines(vectors)[0, 0].item() == sign
    loss = head(vectors, torch.tensor([0]))
    loss.backward()
    assert loss.isfinite()
    assert vectors.grad is not None
    assert head.weight.grad is not None
    assert vectors.grad.isfinite().all()
    assert head.weight.grad.isfinite().all()
    cosine = torch.tensor([sign], requires_grad=True)
    add_margin(cosine, torch.tensor([margin])).sum().backward()
    assert cosine.grad is not None
    assert cosine.grad.isfinite().all()
    assert cosine.grad > 0  # it still pulls towards the target


def test_under_bfloat16_autocast_the_loss_is_computed_in_float32() -> None:
    head, vectors, labels = _head(classes=50, dims=64), _vectors(16, 64), torch.arange(16)
    exact = head(vectors, labels)
    with torch.autocast("cpu", torch.bfloat16):
        assert (vectors @ vectors.T).dtype == torch.bfloat16  # the control: autocast is on
        cosines, loss = head.cosines(vectors), head(vectors, labels)
    assert cosines.dtype == torch.float32
    assert loss.dtype == torch.float32
    assert loss.item() == exact.item()
    with torch.autocast("cpu", torch.bfloat16):
        assert head.cosines(vectors.bfloat16()).dtype == torch.float32


def test_every_parameter_receives_a_gradient() -> None:
    head = _head(classes=3, centres=1)
    head(_vectors(6), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    assert head.weight.grad is not None
    assert (head.weight.grad.abs().sum(dim=1) > 0).all()


def test_margins_travel_with_the_weights_but_do_not_train() -> None:
    head = _head(margin=0.25)
    assert head.state_dict()["margins"].tolist() == [0.25] * 5
    assert [name for name, _ in head.named_parameters()] == ["weight"]
