"""The softmax head, its loss and its fit to frozen features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from finprint.classes.heads import ClassHeads, SoftmaxHead, log_loss
from finprint.classes.linear import PENALTIES, Examples, _path, fit_head
from finprint.learning.lessons import Targets


def test_the_loss_is_torch_s_smoothed_cross_entropy() -> None:
    torch.manual_seed(0)
    heads, vectors, labels = ClassHeads(SoftmaxHead(5, 4), 0.1), torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 0, 1])
    loss = heads(vectors, Targets.sure(labels.numpy()))
    expected = torch.nn.functional.cross_entropy(heads.main(vectors), labels, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_whole_probability_vectors_are_soft_labels() -> None:
    torch.manual_seed(0)
    heads, vectors = ClassHeads(SoftmaxHead(5, 3), 0.1), torch.randn(2, 5)
    soft = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    loss = heads(vectors, Targets(torch.arange(3).repeat(2, 1), soft))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(heads.main(vectors), soft, label_smoothing=0.1))


def test_extras_are_standardised_beside_the_vector() -> None:
    head = SoftmaxHead(2, 2, extras=1)
    head.mean.fill_(10)
    head.std.fill_(2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[0.0, 0, 1], [1, 0, 0]]))
    logits = head(torch.tensor([[3.0, 4.0]]), torch.tensor([[14.0]]))
    assert logits.tolist() == [[2.0, 3.0]]
    again = SoftmaxHead.from_state(head.state_dict())
    assert again.extras == 1
    assert torch.equal(again(torch.tensor([[3.0, 4.0]]), torch.tensor([[14.0]])), logits)


def test_a_photo_s_extras_go_where_its_label_goes() -> None:
    torch.manual_seed(0)
    heads, vectors = ClassHeads(SoftmaxHead(2, 3, extras=1), 0.0), torch.randn(4, 2)
    extras = torch.tensor([[1.0], [-1.0], [3.0], [0.5]])
    targets = Targets(torch.tensor([[0], [1], [2], [0]]), torch.ones(4, 1), extras)
    order = np.array([2, 0, 3, 1])
    each = [heads(vectors[[row]], targets[[row]]).item() for row in range(4)]
    assert heads(vectors[order], targets[order]).item() == pytest.approx(np.mean(each))
    assert heads(vectors.flip(0), targets.reversed()).item() == pytest.approx(np.mean(each))
    assert heads(vectors, targets.reversed()).item() != pytest.approx(np.mean(each))


def _blobs(count: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, count)
    centres = np.random.default_rng(1).normal(0, 1, (3, 6))
    values = (centres[codes] + rng.normal(0, 1, (count, 6))).astype(np.float32)
    return Examples(values[:, None], codes, np.arange(count), 3)


def test_a_fitted_head_is_scikit_learn_s_logistic_regression() -> None:
    examples = _blobs(300)
    *_, (penalty, weight, bias) = _path(examples, PENALTIES[:3])
    theirs = LogisticRegression(C=1 / (penalty * 300), tol=1e-8, max_iter=1000)
    theirs.fit(examples.values[:, 0], examples.codes)
    ours = torch.softmax(torch.from_numpy(examples.values[:, 0]) @ weight.T + bias, dim=1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(examples.values[:, 0]), atol=2e-3)


def test_noise_wants_a_stronger_penalty_than_signal() -> None:
    signal = _blobs(400)
    noise = Examples(signal.values, np.random.default_rng(5).integers(0, 3, 400), signal.groups, 3)
    strong, weak = fit_head(noise).penalty, fit_head(signal).penalty
    assert strong > weak
    assert fit_head(signal).penalty == weak


def test_a_penalty_without_photos_to_choose_it_by() -> None:
    assert fit_head(_blobs(4)).penalty == PENALTIES[0]  # a fifth of four groups is none


def test_log_loss_by_hand() -> None:
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )


def test_a_head_looks_at_as_many_stages_as_help_photos_set_aside() -> None:
    """Three stages of six values, an extra behind them: the last stage alone tells, or the first one as well."""
    noise = np.random.default_rng(7).normal(0, 1, (400, 1, 6)).astype(np.float32)
    extra = np.zeros((400, 1, 1), np.float32)
    told = _blobs(400)
    for stages, blocks in ((1, [noise, noise[::-1], told.values]), (3, [told.values, noise, noise[::-1]])):
        fitted = fit_head(replace(told, values=np.concatenate([*blocks, extra], axis=2), stages=(6, 6, 6)))
        assert fitted.stages == stages
        assert fitted.weight.shape == (3, 19)
        unused = fitted.weight[:, : 18 - 6 * stages]
        assert float(unused.abs().sum()) == 0
    assert fit_head(told).stages == 1
