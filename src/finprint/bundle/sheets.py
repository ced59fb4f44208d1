"""Answers as people open them: a row a photo."""

import pandas as pd

from finprint.bundle.identified import Identified
from finprint.matching.ranking import ANSWERS
from finprint.store.tables import SIDES

RANKS = range(1, ANSWERS + 1)
COLUMNS = [
    "image", *(f"{kind}_{rank}" for rank in RANKS for kind in ("name", "probability")), "p_new", "match", "encounter",
    "side", *SIDES, "problem",
]  # fmt: skip


def answer_sheet(identified: Identified) -> pd.DataFrame:
    """A row for each photo: five names with their probabilities, P(new), the photo most like it, its box, problems."""
    answers, photos = identified.answers, identified.photos
    wide = {
        f"{told}_{rank}": answers[answers["rank"] == rank].set_index("query")[column]
        for rank in RANKS
        for told, column in (("name", "identity"), ("probability", "probability"))
    }
    matched = answers.dropna(subset="match").drop_duplicates("query").set_index("query")["match"]
    boxes = identified.crops.index.set_index("image")[SIDES]
    table = photos.drop(columns=SIDES, errors="ignore").rename(columns={"viewpoint": "side"}).set_index("image")
    return table.join(pd.DataFrame(wide)).assign(match=matched).join(boxes).reset_index()[COLUMNS]
