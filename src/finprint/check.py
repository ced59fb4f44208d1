"""What can be known to be wrong before any stage works: a key, a value, sections that contradict each other, a file."""

from pathlib import Path

from finprint.base.params import PARAMS
from finprint.params import Params, load_params


def check_params(path: Path = PARAMS) -> Params:
    """Read all of params.yaml and look at what its values name.

    Raises:
        UserError: a key is unknown or missing, a value is out of range, or two sections contradict each other.
    """
    return load_params(path)
