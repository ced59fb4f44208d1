"""Published backbones: their network, weights and normalisation come from a folder, or from a hub that may be away."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from finprint.base.errors import UserError
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.backbone import check_backbone, create_backbone
from finprint.model.embedder import load_model, save_model
from finprint.model.hub import origin
from finprint.params import load_params

SWIN = "swin_tiny_patch4_window7_224"
MEGADESCRIPTOR = {  # the form that timm writes, as MegaDescriptor has it
    "architecture": SWIN,
    "num_classes": 0,
    "num_features": 768,
    "global_pool": "avg",
    "pretrained_cfg": {"input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 0.5]},
}
MIEWID = {"model_type": "miewid", "model_name": "resnet18", "loss_module": "arcface", "use_fc": False}


def _folder(place: Path, config: object, state: dict[str, torch.Tensor], file: str = "model.safetensors") -> str:
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    if file.endswith(".safetensors"):
        save_file(state, place / file)
    else:
        torch.save(state, place / file)
    return f"local-dir:{place}"


def _recipe(backbone: str, image_size: int, weights: str = "hub") -> Recipe:
    train = load_params().train
    sizes = {"image_size": image_size, "first_size": image_size, "embedding": 16}
    train = train.model_copy(update={"backbone": backbone, "weights": weights, **sizes})
    return Recipe(train, 1, 1e-3, 0)


def test_a_transformer_from_a_hub_comes_with_its_weights_and_its_normalisation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    theirs = timm.create_model(SWIN, num_classes=0)
    name = _folder(tmp_path / "MegaDescriptor-T-224", MEGADESCRIPTOR, theirs.state_dict(), "pytorch_model.bin")
    check_backbone(name, "hub", 224)
    embedder = new_embedder(_recipe(name, 224)).eval()
    assert "tensors of pytorch_model.bin loaded" in capsys.readouterr().out
    assert embedder.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert embedder.std.flatten().tolist() == [0.25, 0.5, 0.5]
    photo = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    normal = (photo - 0.5) / torch.tensor([0.25, 0.5, 0.5]).view(1, 3, 1, 1)
    with torch.inference_mode():
        _, last = embedder.maps(photo)
        before_norm = theirs.eval().layers(theirs.patch_embed(normal)).permute(0, 3, 1, 2)
    torch.testing.assert_close(last, before_norm)


def test_a_trained_one_needs_the_folder_no_more(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = timm.create_model("resnet18").state_dict()
    place = tmp_path / "published"
    name = _folder(place, MEGADESCRIPTOR | {"architecture": "resnet18"}, state)
    embedder = new_embedder(_recipe(name, 64))
    save_model(tmp_path / "model", embedder, torch.nn.Linear(2, 2), [])
    (place / "config.json").unlink()
    again, _, _ = load_model(tmp_path / "model")
    assert again.std.flatten().tolist() == [0.25, 0.5, 0.5]
    assert all(torch.equal(a, b) for a, b in zip(embedder.parameters(), again.parameters(), strict=True))


def test_the_form_of_miewid(tmp_path: Path) -> None:
    """The network stands in `model_name`, the tensors behind `backbone.`, among those of a neck and a head."""
    torch.manual_seed(1)
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    written = {f"backbone.{name}": tensor for name, tensor in state.items()}
    written |= {"bn.weight": torch.ones(512), "final.weight": torch.ones(3, 512)}
    embedder = new_embedder(_recipe(_folder(tmp_path / "miewid", MIEWID, written), 64))
    assert all(torch.equal(tensor, state[name]) for name, tensor in embedder.backbone.state_dict().items())
    assert embedder.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])  # timm's own


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = timm.create_model("resnet18", num_classes=0).state_dict()
    save_file(state, tmp_path / "pytorch_model.bin")
    embedder = new_embedder(_recipe("resnet18", 64, str(tmp_path / "pytorch_model.bin")))
    assert all(torch.equal(tensor, state[name]) for name, tensor in embedder.backbone.state_dict().items())


def _error(name: str, weights: str = "hub") -> str:
    told = []
    for refuses in (
        lambda: check_backbone(name, weights, 64),
        lambda: new_embedder(_recipe(name, 64, weights)),
    ):
        with pytest.raises(UserError) as caught:
            refuses()
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "\n" not in told[0]
    return told[0]


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    name = f"local-dir:{tmp_path}"
    assert _error(name) == f"train.backbone: {config} is missing: it tells which network the folder holds"
    config.write_text('{"architecture": ')
    assert _error(name) == f"train.backbone: {config} is damaged: it is no JSON object"
    config.write_text('{"architecture": "of_our_own"}')
    assert _error(name) == (
        f"train.backbone: the config.json of {name} names no network of timm (architecture: of_our_own): write the "
        "network's name into train.backbone, and the path of the weights into train.weights"
    )
    config.write_text('{"architecture": "resnet18"}')
    assert _error(name) == f"train.backbone: {tmp_path} has no model.safetensors beside its config.json"
    assert _error(name, "package") == f"train.weights: {name} brings its own weights: write weights: hub"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    state = timm.create_model("resnet18").state_dict()
    name = _folder(tmp_path / "other", {"architecture": "resnet34"}, state)
    assert "does not fit resnet34: 48 of its 108 tensors are missing" in _error(name)


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # as without a network, but at once
    with pytest.raises(UserError) as caught:
        origin("hf-hub:BVRA/MegaDescriptor-T-224", "hub")
    assert str(caught.value) == (
        "train.backbone: config.json of BVRA/MegaDescriptor-T-224 cannot be had from the hub "
        "(LocalEntryNotFoundError): download config.json and model.safetensors on another machine into a folder "
        "such as models/hub/MegaDescriptor-T-224, and write backbone: local-dir:models/hub/MegaDescriptor-T-224"
    )


def test_weights_of_a_timm_name_where_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError) as caught:
        create_backbone("resnet18", "hub", 64)
    assert str(caught.value) == (
        "train.weights: those of resnet18 cannot be had from the hub (LocalEntryNotFoundError): download "
        "model.safetensors of timm/resnet18.a1_in1k on another machine, and write the path of the file into "
        "train.weights"
    )
