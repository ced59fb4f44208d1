"""The sections of params.yaml that travel in a bundle, as JSON."""

from pathlib import Path

from finprint.base.errors import UserError
from finprint.base.files import read_json, write_json
from finprint.base.params import Section, checked
from finprint.bundle.manifest import AGAIN
from finprint.crops.params import Crop
from finprint.keypoints.params import Match
from finprint.model.params import Embed

SETTINGS = "params.json"
LATER = {"sure": 2.0, "choose": "vectors"}  # params of `match` that bundles of an earlier version lack
COMPARED = {"vectors": 0, "both": 10**9}  # `match.compared`, where they have `choose` instead: none, or all photos


class Settings(Section):
    """How photos are cropped, embedded and looked at a second time."""

    crop: Crop
    embed: Embed
    match: Match

    def write(self, folder: Path) -> None:
        """Write params.json."""
        write_json(folder / SETTINGS, self.model_dump())

    @staticmethod
    def read(folder: Path) -> "Settings":
        """The settings in a bundle.

        Raises:
            UserError: they are damaged, or of another version.
        """
        path = folder / SETTINGS
        try:
            state = read_json(path)
            match = LATER | state["match"]
            match = {"compared": COMPARED[match.pop("choose")]} | match
            return checked(Settings, state | {"match": match}, path)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: {AGAIN}") from None
