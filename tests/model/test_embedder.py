"""The embedding model: other backbones, its own normalisation, its folder."""

from pathlib import Path

import pytest
import torch
from torch import nn

from finprint.base.errors import UserError
from finprint.model.embedder import CLASSES, CONFIG, WEIGHTS, Embedder, ModelConfig, load_model, save_model
from finprint.model.fusion import FUSIONS
from finprint.model.heads import SubCentreArcFace

SMALL = ModelConfig("tf_efficientnet_lite0", "gem", 16, 32)


def _photos(count: int, side: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def _small(seed: int = 0, config: ModelConfig = SMALL) -> Embedder:
    torch.manual_seed(seed)
    return Embedder(config)


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
@pytest.mark.parametrize(
    "backbone",
    [
        "tf_efficientnet_lite0",
        "resnet18",
        "convnext_atto",
        "vit_tiny_patch16_224",
        pytest.param("swin_tiny_patch4_window7_224", id="swin: channels last"),
    ],
)
def test_any_backbone_gives_an_embedding(backbone: str, fusion: str) -> None:
    embedder = _small(config=ModelConfig(backbone, fusion, 24, 64)).eval()
    with torch.inference_mode():
        vectors = embedder(_photos(2, 64))
        assert vectors.shape == (2, 24)
        assert vectors.dtype == torch.float32
        assert vectors.isfinite().all()
        assert not torch.allclose(vectors[0], vectors[1])
        alone = embedder(_photos(2, 64)[:1])
    torch.testing.assert_close(alone, vectors[:1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_every_parameter_receives_a_gradient(fusion: str) -> None:
    # 608 / 16 = 38 positions a side would be slow; at 320 px DOLG's stage 3 has 20, enough for its rate of 18.
    config = ModelConfig("tf_efficientnet_lite0", fusion, 16, 320 if fusion == "dolg" else 64)
    embedder = _small(config=config).train()
    vectors = embedder(_photos(4 if fusion == "gem" else 2, config.image_size))
    (vectors * torch.randn_like(vectors)).sum().backward()
    without = [name for name, p in embedder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    if fusion in ("average", "means"):  # a shift of the whole last map is one of its mean, which the neck takes away
        without = [name for name in without if name != "backbone.blocks.6.0.bn3.bias"]
    assert without == []


def test_the_input_is_normalised_by_the_backbones_own_mean_and_deviation() -> None:
    lite, resnet = _small(), _small(config=ModelConfig("resnet18", "gem", 16, 32))
    assert lite.mean.flatten().tolist() == lite.std.flatten().tolist() == [0.5, 0.5, 0.5]
    assert resnet.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])  # ImageNet's
    assert resnet.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    seen: list[torch.Tensor] = []
    resnet.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.inference_mode():
        resnet.eval()(torch.full((1, 3, 32, 32), 1.0))
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225], rel=1e-5)


def test_the_neck_centres_a_batch() -> None:
    embedder = _small().train()
    with torch.no_grad():
        vectors = embedder(_photos(16, 32))
    torch.testing.assert_close(vectors.mean(dim=0), torch.zeros(16), atol=1e-4, rtol=0)
    assert (vectors.std(dim=0) < 1.1).all()


def _head(seed: int = 0) -> SubCentreArcFace:
    torch.manual_seed(seed)
    return SubCentreArcFace(16, torch.tensor([0.1, 0.2, 0.3]), 2, 20.0)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    embedder, head = _small(1).train(), _head()
    with torch.no_grad():
        embedder(_photos(4, 32))  # moves the running statistics
    save_model(tmp_path / "m", embedder, head, ["al", "bo", "cy"])
    found, state, classes = load_model(tmp_path / "m")
    assert not found.training
    assert found.config == SMALL
    assert classes == ["al", "bo", "cy"]
    again = _head(seed=9)
    again.load_state_dict(state)
    assert torch.equal(again.weight, head.weight)
    assert torch.equal(again.margins, head.margins)
    with torch.inference_mode():
        assert torch.equal(found(_photos(2, 32)), embedder.eval()(_photos(2, 32)))


def test_equal_weights_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        save_model(tmp_path / name, _small(seed), _head(), ["al", "bo", "cy"])
    # Memory layout is not content.
    save_model(tmp_path / "last", _small(1).to(memory_format=torch.channels_last), _head(), ["al", "bo", "cy"])
    content = {path: (tmp_path / path / WEIGHTS).read_bytes() for path in ("one", "same", "other", "last")}
    assert content["one"] == content["same"] == content["last"]
    assert content["one"] != content["other"]
    assert str(tmp_path).encode() not in content["one"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted([WEIGHTS, CONFIG, CLASSES])


@pytest.mark.parametrize("gone", [WEIGHTS, CONFIG, CLASSES])
def test_a_folder_that_lacks_a_file_is_named(tmp_path: Path, gone: str) -> None:
    save_model(tmp_path / "m", _small(), nn.Identity(), [])
    (tmp_path / "m" / gone).unlink()
    with pytest.raises(UserError) as caught:
        load_model(tmp_path / "m")
    assert str(caught.value) == f"{tmp_path}/m is no model: {gone} is missing; `dvc repro` makes it"


def test_cyclic_pooling_does_not_see_quarter_turns() -> None:
    """The four turns of a photo have one vector; without it they have four."""
    torch.manual_seed(0)
    photos = torch.rand(2, 3, 64, 64)
    for cyclic in (True, False):
        embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 64, cyclic=cyclic)).eval()
        with torch.inference_mode():
            plain, turned = embedder(photos), embedder(photos.rot90(1, (2, 3)))
        assert torch.allclose(plain, turned, atol=1e-4) == cyclic
