"""Names of individuals and the codes that stand for them in arrays."""

import numpy as np
import pandas as pd

from finprint.store.tables import NEW

NOBODY = -1  # there is no individual: a photo without an identity, an empty place of a ranking
UNKNOWN = -2  # an individual who is not in the gallery; as an answer it is called `new_individual`


class Names:
    """The C individuals of a catalogue. Their codes are 0 to C - 1, in the order of the sorted names.

    Args:
        identities: names, repeated or missing as they like.

    Attributes:
        individuals: (C,) str, sorted.
    """

    def __init__(self, identities: pd.Series) -> None:
        self.individuals = np.unique(identities.dropna().to_numpy(str))

    def __len__(self) -> int:
        return len(self.individuals)

    def codes(self, identities: pd.Series) -> np.ndarray:
        """(N,) int64 codes of (N,) names: NOBODY where a name is missing, UNKNOWN where no individual has it."""
        codes = pd.Index(self.individuals).get_indexer(identities.astype(object))
        return np.where(identities.isna(), NOBODY, np.where(codes < 0, UNKNOWN, codes)).astype(np.int64)

    def of(self, codes: np.ndarray) -> np.ndarray:
        """The names of codes, an object array of the same shape: None for NOBODY, `new_individual` for UNKNOWN."""
        return np.where(codes == UNKNOWN, NEW, take(self.individuals.astype(object), codes, None))


def take(values: np.ndarray, places: np.ndarray, missing: object) -> np.ndarray:
    """`values[places]`, with `missing` where a place is negative.

    Args:
        values: (N,).
        places: of any shape, each less than N.
    """
    return np.append(values, np.array([missing], values.dtype))[np.where(places < 0, len(values), places)]
