"""The trained models of classes as one file that torch alone can run, with a script of its own."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from finprint.base.errors import UserError
from finprint.base.files import atomic, write_json
from finprint.classes.extras import LENGTHS
from finprint.classes.poses import QUARTERS
from finprint.classes.trained import Ensemble
from finprint.classes.voting import weights_of
from finprint.crops.params import Crop

MODEL, CONFIG, SCRIPT = "model.pt2", "config.json", "classify_images.py"
SAME = 1e-4  # probabilities of the export and of the models differ by no more


class Exported(nn.Module):
    """Crops as squares, with their sizes, to probabilities (N, C): all models, all views, sharpness and clip.

    Attributes:
        forms: the squares that are wanted: side in px, and whether they are padded.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__()
        self.embedders = nn.ModuleList([member.embedder.cpu().eval() for member in ensemble.members])
        self.heads = nn.ModuleList([member.head.cpu().eval() for member in ensemble.members])
        each = [(member.embedder.config.image_size, member.embedder.config.padded) for member in ensemble.members]
        self.forms = sorted(set(each))
        self.places = [self.forms.index(form) for form in each]
        joint = ensemble.joint
        self.by = joint.by
        self.views = [asked.views for asked in ensemble.views]
        self.clip = joint.sharpness.clip
        powers = torch.tensor(joint.sharpness.powers or [1.0] * len(ensemble.classes))
        self.powers: torch.Tensor
        self.register_buffer("powers", powers / joint.sharpness.temperature)
        self.weights: torch.Tensor
        self.register_buffer("weights", torch.from_numpy(weights_of(joint.shares, len(self.heads))).float())

    def forward(self, squares: Sequence[torch.Tensor], sizes: torch.Tensor) -> torch.Tensor:
        """The probabilities of N crops.

        Args:
            squares: for each of `forms`, (N, 3, side, side) with values 0 to 1.
            sizes: (N, 2) logarithms of the crops' width and height in px.
        """
        looks = list(zip(self.views, self.places, strict=True))
        shown = {(kind, place): _shown_as(kind, squares[place]) for kind, place in looks}
        each = []
        for embedder, head, look in zip(self.embedders, self.heads, looks, strict=True):
            chances = [F.softmax(head(embedder(view), sizes), dim=1) for view in shown[look]]
            each.append(torch.stack(chances).mean(dim=0))
        stacked = torch.stack(each)  # (M, N, C)
        if self.by == "geometric":
            joint = F.softmax(torch.tensordot(self.weights, stacked.clamp(min=1e-12).log(), 1), dim=1)
        else:
            joint = torch.tensordot(self.weights, stacked, 1)
        sharp = F.softmax(joint.clamp(min=1e-12).log() * self.powers, dim=1).clamp(min=self.clip)
        return sharp / sharp.sum(dim=1, keepdim=True)

    def example(self, count: int, seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Random squares and sizes of so many crops."""
        drawn = torch.Generator().manual_seed(seed)
        squares = [torch.rand(count, 3, side, side, generator=drawn) for side, _ in self.forms]
        return squares, torch.empty(count, 2).uniform_(3, 8, generator=drawn)


def export(ensemble: Ensemble, folder: Path, crop: Crop) -> float:
    """Write the models as one file of torch.export, the names and sizes as JSON, and a script that runs without
    finprint.

    Args:
        ensemble: the models.
        folder: to write.
        crop: how crops are stored, for the script.

    Returns:
        The greatest difference of a probability between the file, as it is read again, and the models.

    Raises:
        UserError: the models need what a file cannot do: extras of shape and texture, views by quasi-random numbers,
            votes of first answers.
    """
    if any(member.head.extras > LENGTHS["size"] for member in ensemble.members):
        raise UserError(
            "the models look at extras that an export cannot measure: set extras to size or none, in classify and in "
            "classify.members"
        )
    for kind in (asked.views for asked in ensemble.views):
        if kind not in ("plain", "mirror", "turns"):
            raise UserError(
                f"guess.views is {kind}, but an export has plain, mirror or turns: choose one, in guess and in "
                "guess.members"
            )
    if ensemble.joint.by == "majority":
        raise UserError("vote.by is majority, but an export has mean or geometric: choose one")
    module = Exported(ensemble).eval()
    photos = {0: torch.export.Dim("photos", min=1, max=4096)}
    shapes = {"squares": [photos] * len(module.forms), "sizes": photos}
    with torch.inference_mode(False), torch.no_grad():
        program = torch.export.export(module, module.example(3, 0), dynamic_shapes=shapes)
    with atomic(folder) as draft:
        draft.mkdir()
        torch.export.save(program, draft / MODEL)
        forms = [{"image_size": side, "padded": padded} for side, padded in module.forms]
        stored = {"image_size": crop.image_size, "quality": crop.quality}
        write_json(draft / CONFIG, {"classes": ensemble.classes, "squares": forms, "stored": stored})
        shutil.copy(Path(__file__).with_name("script.py"), draft / SCRIPT)
        apart = _apart(draft / MODEL, module)
        if apart > SAME:
            raise UserError(f"the export's probabilities differ by {apart:.1e} from the models': it is not written")
    return apart


def _shown_as(kind: str, crops: torch.Tensor) -> list[torch.Tensor]:
    """The views `plain`, `mirror` or `turns` of crops (N, 3, side, side)."""
    views = [crops.rot90(quarter, (2, 3)) for quarter in (QUARTERS if kind == "turns" else range(1))]
    return views if kind == "plain" else [*views, *(view.flip(3) for view in views)]


@torch.no_grad()
def _apart(path: Path, module: Exported) -> float:
    """The greatest difference on random crops, of another number than the export was made with."""
    crops = module.example(5, 1)
    again = torch.export.load(path).module()(*crops)
    return float(np.abs(again.numpy() - module(*crops).numpy()).max())
