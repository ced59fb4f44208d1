"""The trained models of classes as one file that torch alone can run, with a script of its own."""

import shutil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from finprint.base.errors import UserError
from finprint.base.files import atomic, write_json
from finprint.classes.poses import QUARTERS
from finprint.classes.trained import Ensemble
from finprint.classes.voting import weights_of

MODEL, CONFIG, SCRIPT = "model.pt2", "config.json", "classify_images.py"
SAME = 1e-4  # probabilities of the export and of the models differ by no more


class Exported(nn.Module):
    """Crops (N, 3, side, side), values 0 to 1, to probabilities (N, C): all models, all views, sharpness and clip."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.embedders = nn.ModuleList([member.embedder.cpu().eval() for member in ensemble.members])
        self.heads = nn.ModuleList([member.head.cpu().eval() for member in ensemble.members])
        joint = ensemble.joint
        self.by = joint.by
        self.views = [asked.views for asked in ensemble.views]
        self.temperature, self.clip = joint.sharpness.temperature, joint.sharpness.clip
        self.weights: torch.Tensor
        self.register_buffer("weights", torch.from_numpy(weights_of(joint.shares, len(self.heads))).float())

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        shown = {kind: _shown_as(kind, crops) for kind in sorted(set(self.views))}
        each = []
        for embedder, head, kind in zip(self.embedders, self.heads, self.views, strict=True):
            chances = [F.softmax(head(embedder(view)), dim=1) for view in shown[kind]]
            each.append(torch.stack(chances).mean(dim=0))
        stacked = torch.stack(each)  # (M, N, C)
        if self.by == "geometric":
            joint = F.softmax(torch.tensordot(self.weights, stacked.clamp(min=1e-12).log(), 1), dim=1)
        else:
            joint = torch.tensordot(self.weights, stacked, 1)
        sharp = F.softmax(joint.clamp(min=1e-12).log() / self.temperature, dim=1).clamp(min=self.clip)
        return sharp / sharp.sum(dim=1, keepdim=True)


def export(ensemble: Ensemble, folder: Path) -> float:
    """Write the models as one file of torch.export, the names and sizes as JSON, and a script that runs without
    finprint.

    Returns:
        The greatest difference of a probability between the file, as it is read again, and the models.

    Raises:
        UserError: the models need what a file cannot do: extras, views by quasi-random numbers, votes of first answers,
            views of several sizes.
    """
    if any(member.head.extras for member in ensemble.members):
        raise UserError("the models look at extras, which an export cannot measure: set classify.extras to none")
    for kind in (asked.views for asked in ensemble.views):
        if kind not in ("plain", "mirror", "turns"):
            raise UserError(f"guess.views is {kind}, but an export has plain, mirror or turns: choose one")
    if ensemble.joint.by == "majority":
        raise UserError("vote.by is majority, but an export has mean or geometric: choose one")
    config = ensemble.members[0].embedder.config
    if len(sizes := {member.embedder.config.image_size for member in ensemble.members}) > 1:
        told = ", ".join(map(str, sorted(sizes)))
        raise UserError(
            f"the models look at views of {told} px, but an export has one size: set classify.sizes to [], and one "
            "image_size for all of classes.members"
        )
    if len({member.embedder.config.padded for member in ensemble.members}) > 1:
        raise UserError("some models look at padded views and others do not: set one padded for all of classes.members")
    module = Exported(ensemble).eval()
    side = config.image_size
    crops = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0))
    shapes = {"crops": {0: torch.export.Dim("photos", min=1, max=4096)}}
    with torch.inference_mode(False), torch.no_grad():
        program = torch.export.export(module, (crops,), dynamic_shapes=shapes)
    with atomic(folder) as draft:
        draft.mkdir()
        torch.export.save(program, draft / MODEL)
        written = {"classes": ensemble.classes, "image_size": side, "padded": config.padded}
        write_json(draft / CONFIG, written)
        shutil.copy(Path(__file__).with_name("script.py"), draft / SCRIPT)
        apart = _apart(draft / MODEL, ensemble, side)
        if apart > SAME:
            raise UserError(f"the export's probabilities differ by {apart:.1e} from the models': it is not written")
    return apart


def _shown_as(kind: str, crops: torch.Tensor) -> list[torch.Tensor]:
    """The views `plain`, `mirror` or `turns` of crops (N, 3, side, side)."""
    views = [crops.rot90(quarter, (2, 3)) for quarter in (QUARTERS if kind == "turns" else range(1))]
    return views if kind == "plain" else [*views, *(view.flip(3) for view in views)]


@torch.no_grad()
def _apart(path: Path, ensemble: Ensemble, side: int) -> float:
    """The greatest difference on random crops, of another number than the export was made with."""
    crops = torch.rand(5, 3, side, side, generator=torch.Generator().manual_seed(1))
    again = torch.export.load(path).module()(crops)
    return float(np.abs(again.numpy() - Exported(ensemble).eval()(crops).numpy()).max())
