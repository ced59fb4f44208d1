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
LATER = {"sure": 2.0, "compared": 0, "learn_epochs": 0}  # params of `match` that bundles of an earlier version lack


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
            if match.pop("choose", "vectors") == "both":  # its rules were fitted to another agreement
                raise UserError(f"{path} is of an earlier version, which compared local features otherwise: {AGAIN}")
            return checked(Settings, state | {"match": match}, path)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: {AGAIN}") from None
