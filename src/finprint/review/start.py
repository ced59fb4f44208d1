"""The command `finprint review`: which photos are reviewed, and the page's address for people."""

import getpass
from pathlib import Path

from finprint.base.errors import UserError
from finprint.crops.params import Crop
from finprint.review.case import Case, pipeline_case
from finprint.review.server import serve


def start(folder: Path | None, crop: Crop, port: int, who: str) -> None:
    """Serve the page until Ctrl-C.

    Args:
        folder: what `finprint identify` has written; None: the pipeline's last run.
        crop: the section `crop` of params.yaml.
        port: of 127.0.0.1.
        who: the reviewer; "": the account's name.
    """
    serve(case_of(folder, crop), port, who or _account(), announce)


def case_of(folder: Path | None, crop: Crop) -> Case:
    """The case of a folder.

    Raises:
        UserError: the folder holds none.
    """
    if folder is None:
        return pipeline_case(crop)
    raise UserError(f"{folder} holds no answers: `finprint identify` writes such a folder")


def announce(address: str) -> None:
    """Print the page's address."""
    print(f"Open this page in a browser: {address}\nWhoever has the address can decide. Ctrl-C ends it.", flush=True)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return ""
