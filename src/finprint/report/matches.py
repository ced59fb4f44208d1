"""Pairs of a query and its match: which ones to explain, and their heat maps for the report."""

import pandas as pd

from finprint.evaluation.judging import Judged
from finprint.model.embedder import Embedder
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import Crops
from finprint.report.explain import explain, overlay

QUALITY = 75


def doubtful(judged: list[Judged], count: int) -> list[tuple[str, str]]:
    """The pairs (query, best match) of the queries most worth a look: wrong ones first, then the least sure.

    The first answer's probability says how sure it is, or its score where there is no probability. Queries without any
    match, because `new_individual` is their only answer, are left out.

    Args:
        judged: answers to several sets of queries.
        count: at most so many pairs.
    """
    rows = pd.concat([_first(answered) for answered in judged])
    rows = rows[rows["match"].notna()].sort_values(["right", "sure", "query"])[:count]
    return list(zip(rows["query"].astype(str), rows["match"].astype(str), strict=True))


def _first(judged: Judged) -> pd.DataFrame:
    """(query, match, right, sure), a row for each query; an unknown truth counts as right."""
    answers = judged.answers.sort_values(["query", "rank"])
    first = answers.groupby("query").first()  # the first value of each column that is not missing
    top = answers.drop_duplicates("query").set_index("query")
    truth = judged.truth.reindex(top.index)
    return pd.DataFrame(
        {
            "query": top.index,
            "match": first["match"],
            "right": (truth.isna() | (truth == top["identity"])).astype(bool),
            "sure": top["probability"].fillna(top["score"]),
        }
    ).reset_index(drop=True)


def heat_maps(
    embedder: Embedder, crops: Crops, pairs: list[tuple[str, str]]
) -> dict[tuple[str, str], tuple[bytes, bytes]]:
    """JPEG bytes of the query's and the match's crop under their heat maps, for each pair (query, match).

    Raises:
        UserError: a photo has no crop.
    """
    rows = [crops.rows(pd.Series([pair[side] for pair in pairs], dtype="string")) for side in (0, 1)]
    pixels = [(crops.pixels(int(query)), crops.pixels(int(match))) for query, match in zip(*rows, strict=True)]
    made = {}
    for pair, (query, match), explanation in zip(pairs, pixels, explain(embedder, pixels), strict=True):
        shown = [overlay(query, explanation.query), overlay(match, explanation.match)]
        made[pair] = (encode_jpeg(shown[0], QUALITY), encode_jpeg(shown[1], QUALITY))
    return made
