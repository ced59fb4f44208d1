"""The softmax head, its loss and its fit to frozen features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from finprint.classes.fitting import fit_head, fit_shares
from finprint.classes.heads import ClassHeads, SoftmaxHead, log_loss
from finprint.classes.linear import PENALTIES, Examples, discriminant, regressions
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


def test_a_photo_of_a_size_that_no_other_had_is_told_by_its_vector() -> None:
    """All had a width of 28 px; their heights are 3 ± 1. Seen on images of 56 px, after 1,667 images of 28 px."""
    head = SoftmaxHead(2, 3, 2)
    width = np.full(2000, np.log(28), np.float32)
    head.standardise(np.stack([width, np.tile(np.float32([2, 4]), 1000)], axis=1))
    odd = torch.tensor([[4.0, 2.0], [width[0], 4.0], [3.0, 300.0], [9.0, -1.9]])
    torch.testing.assert_close(head.beside(odd), torch.tensor([[0.0, -1.0], [0.0, 1.0], [0.0, 5.0], [0.0, -4.9]]))


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


LINEAR = ["regression"]
ALL = ["regression", "discriminant", "hidden"]


def _blobs(count: int, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, count)
    centres = np.random.default_rng(1).normal(0, 1, (3, 6))
    values = (centres[codes] + rng.normal(0, 1, (count, 6))).astype(np.float32)
    return Examples(values[:, None], codes, np.arange(count), 3)


def test_a_fitted_head_is_scikit_learn_s_logistic_regression() -> None:
    examples = _blobs(300)
    *_, (penalty, (weight, bias)) = regressions(examples, PENALTIES[:3])
    theirs = LogisticRegression(C=1 / (penalty * 300), tol=1e-8, max_iter=1000)
    theirs.fit(examples.values[:, 0], examples.codes)
    ours = torch.softmax(torch.from_numpy(examples.values[:, 0]) @ weight.T + bias, dim=1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(examples.values[:, 0]), atol=2e-3)


def test_the_discriminant_is_scikit_learn_s() -> None:
    """Theirs is given the covariance within classes, shrunk by its own Ledoit-Wolf."""
    examples = _blobs(300)
    values, codes = examples.values[:, 0].astype(float), examples.codes
    within = values - np.stack([values[codes == code].mean(axis=0) for code in range(3)])[codes]
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=Shared(within))
    theirs.fit(values, codes)
    weight, bias = discriminant(examples)
    ours = torch.softmax(torch.from_numpy(values).float() @ weight.T + bias, dim=1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(values), atol=1e-5)


class Shared(LedoitWolf):
    """The same covariance for every class."""

    def __init__(self, within: np.ndarray) -> None:
        super().__init__(assume_centered=True)
        self.within = within

    def fit(self, values: np.ndarray, y: object = None) -> "Shared":
        super().fit(self.within)
        return self


def _many(classes: int, each: int, seed: int = 0) -> Examples:
    """Few photos of many classes, in many dimensions."""
    codes = np.repeat(np.arange(classes), each)
    centres = np.random.default_rng(1).normal(0, 0.35, (classes, 60))
    values = centres[codes] + np.random.default_rng(seed).normal(0, 1, (len(codes), 60))
    return Examples(values.astype(np.float32)[:, None], codes, np.arange(len(codes)), classes)


def test_a_class_without_examples_is_no_answer() -> None:
    learned, asked = replace(_many(20, 6), count=21), _many(20, 10, seed=2)
    values = torch.from_numpy(asked.values[:, 0])
    weight, bias = discriminant(learned)
    for logits in (values @ weight.T + bias, fit_head(learned, ALL).logits(values)):
        answers = logits.argmax(dim=1).numpy()
        assert (answers == asked.codes).mean() > 0.3
        assert (answers == 20).mean() < 0.02


def test_a_class_that_is_wholly_aside_does_not_switch_models_off() -> None:
    """Half of the classes have one group each, so that some of them are set aside as a whole."""
    examples = _many(20, 8)
    groups = np.where(examples.codes < 10, examples.codes, 100 + np.arange(160))
    shares = fit_head(replace(examples, groups=groups), ALL).shares
    assert min(shares["regression"], shares["hidden"]) > 0.05


def test_one_photo_aside_does_not_decide() -> None:
    wrong = torch.tensor([[[9.0, -9.0]]])
    assert min(fit_shares([wrong, wrong], np.array([1]))) > 0.05


def test_a_discriminant_alone_is_not_too_sure() -> None:
    examples, asked = _many(20, 8), _many(20, 10, seed=2)
    values = torch.from_numpy(asked.values[:, 0])
    weight, bias = discriminant(examples)
    bare = torch.softmax(values @ weight.T + bias, dim=1).numpy()
    softened = torch.softmax(fit_head(examples, ["discriminant"]).logits(values), dim=1).numpy()
    assert log_loss(softened, asked.codes) < min(log_loss(bare, asked.codes), np.log(20)) - 0.1


def test_a_hidden_layer_tells_what_no_linear_head_can() -> None:
    """A ring around a blob."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 600)
    angle, radius = rng.uniform(0, 2 * np.pi, 600), np.where(codes == 1, 2.5, 0.5) + rng.normal(0, 0.2, 600)
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)[:, None]
    examples, asked = Examples(values[:500], codes[:500], np.arange(500), 2), torch.from_numpy(values[500:, 0])
    right = {}
    for models in (LINEAR, ALL):
        fitted = fit_head(examples, models)
        right[len(models)] = (fitted.logits(asked).argmax(dim=1).numpy() == codes[500:]).mean()
        head = SoftmaxHead(2, 2)
        fitted.fill(head)
        again = SoftmaxHead.from_state(head.state_dict())
        torch.testing.assert_close(again(asked), fitted.logits(asked))
    assert right[1] < 0.75
    assert right[3] > 0.95
    assert torch.equal(fit_head(examples, ALL).logits(asked), fitted.logits(asked))


def test_shares_by_hand() -> None:
    """Of two models whose logits tell the class, and one that guesses: the guess hardly counts, the equal ones count
    alike; a model that is ten times too sure is drawn back."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 400)
    right = torch.from_numpy(np.eye(3)[codes][:, None] * 2 + rng.normal(0, 1, (400, 1, 3)))
    guess = torch.from_numpy(rng.normal(0, 1, (400, 1, 3)))
    shares = fit_shares([right, right, guess], codes)
    assert shares[0] == pytest.approx(shares[1], rel=0.05)
    assert shares[2] < 0.1 * shares[0]
    assert fit_shares([10 * right], codes)[0] == pytest.approx(fit_shares([right], codes)[0] / 10, rel=0.1)


def test_the_models_together_are_no_worse_than_each_on_other_photos() -> None:
    examples, asked = _blobs(300, seed=2), _blobs(600, seed=3)
    losses = []
    for models in (ALL, *([model] for model in ALL)):
        logits = fit_head(examples, models).logits(torch.from_numpy(asked.values[:, 0]))
        losses.append(log_loss(torch.softmax(logits, dim=1).numpy(), asked.codes))
    assert losses[0] < min(losses[1:]) + 0.01


def test_noise_wants_a_stronger_penalty_than_signal() -> None:
    signal = _blobs(400)
    noise = Examples(signal.values, np.random.default_rng(5).integers(0, 3, 400), signal.groups, 3)
    strong, weak = (fit_head(examples, LINEAR).penalty for examples in (noise, signal))
    assert strong > weak
    assert fit_head(signal, LINEAR).penalty == weak


def test_a_penalty_without_photos_to_choose_it_by() -> None:
    fitted = fit_head(_blobs(4), ["hidden", "regression"])  # a fifth of four groups is none
    assert (fitted.penalty, fitted.shares) == (PENALTIES[0], {"hidden": 0.0, "regression": 1.0})
    assert fitted.logits.hidden is None


def test_log_loss_by_hand() -> None:
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )


def test_the_log_loss_of_what_is_certain_is_zero_and_has_no_sign() -> None:
    assert str(log_loss(np.array([[1.0000001, 0.0], [1.0, 0.0]]), np.array([0, 0]))) == "0.0"
    assert np.isnan(log_loss(np.array([[np.nan, 1.0]]), np.array([0])))


def test_a_head_looks_at_as_many_stages_as_help_photos_set_aside() -> None:
    """Three stages of six values, an extra behind them: the last stage alone tells, or the first one as well."""
    noise = np.random.default_rng(7).normal(0, 1, (400, 1, 6)).astype(np.float32)
    extra = np.zeros((400, 1, 1), np.float32)
    told = _blobs(400)
    for stages, blocks in ((1, [noise, noise[::-1], told.values]), (3, [told.values, noise, noise[::-1]])):
        examples = replace(told, values=np.concatenate([*blocks, extra], axis=2), stages=(6, 6, 6))
        fitted = fit_head(examples, ALL)
        assert fitted.stages == stages
        assert fitted.logits.hidden is not None
        for weight in (fitted.logits.weight, fitted.logits.hidden[0].weight):
            assert weight.shape[1] == 19
            assert float(weight[:, : 18 - 6 * stages].abs().sum()) == 0
            assert float(weight[:, 18 - 6 * stages : 18].abs().sum()) > 0
    assert fit_head(told, LINEAR).stages == 1
