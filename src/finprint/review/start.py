"""The command `finprint review`: which photos are reviewed, and the page's address for people."""

import getpass
from pathlib import Path

from finprint.base.params import load_sections
from finprint.crops.params import Crop
from finprint.review.case import Case, identified_case, pipeline_case
from finprint.review.server import serve


def start(folder: Path | None, bundle: Path | None, port: int, who: str) -> None:
    """Serve the page until Ctrl-C.

    Args:
        folder: what `finprint identify` has written; None: the pipeline's last run.
        bundle: the bundle of `folder`, if it was moved since.
        port: of 127.0.0.1.
        who: the reviewer; "": the account's name.
    """
    serve(case_of(folder, bundle), port, who or _account(), announce)


def case_of(folder: Path | None, bundle: Path | None) -> Case:
    """The case of a folder.

    Raises:
        UserError: the folder holds none.
    """
    if folder is None:
        return pipeline_case(load_sections(crop=Crop).crop)
    return identified_case(folder, bundle)


def announce(address: str) -> None:
    """Print the page's address."""
    print(f"Open this page in a browser: {address}\nWhoever has the address can decide. Ctrl-C ends it.", flush=True)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return ""
