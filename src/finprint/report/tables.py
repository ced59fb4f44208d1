"""The report's tables of metrics, as text: of all queries by split, and by species and by gallery photos."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.words import counted
from finprint.evaluation.judging import Judged
from finprint.store.tables import NEW, TEST, VALIDATION

SPLITS = {TEST: "photos to identify", VALIDATION: "validation"}
BY = {
    "species": "species",
    "viewpoint": "viewpoint",
    "gallery photos": "number of gallery photos of the right individual",
}
METRICS = {
    "map5": "MAP@5",
    "top1": "right at first",
    "top5": "right among five",
    "new_rate": "answered new",
    "new_share": "truly new",
    "top1_known": "right at first of the known, new left out",
    "known_called_new": "known, called new (false negatives)",
    "new_called_known": "new, called known (false positives)",
    "abundance_bias": "bias of an abundance estimate from first answers",
    "auroc_new": "AUROC of new",
    "baks": "BAKS: right of the known, by individual",
    "baus": "BAUS: right of the new",
    "bak_baus_gm": "geometric mean of BAKS and BAUS",
    "ece": "calibration error of the probabilities",
}


SURE, OPEN = 0.9, 0.5  # probabilities from which on an answer is sure, and below which it is open
KINDS, EXAMPLES = 20, 3  # of reasons, and of photos named for each


def summary(splits: Mapping[str, Judged], breakdown: pd.DataFrame, proposed: pd.Series) -> list[tuple[str, str, str]]:
    """What became of the photos to identify, in a few numbers: (name, value, what stands beside it).

    Args:
        breakdown: table of `judging.COLUMNS`.
        proposed: a new individual's id by image.
    """
    judged = splits[TEST]
    first = judged.answers[judged.answers["rank"] == 1]
    if not len(first):
        return []
    new = first["identity"] == NEW
    groups = proposed.reindex(first["query"][new]).nunique()
    rows = [
        ("photos to identify", f"{len(first):,}", ""),
        ("a known individual first", f"{(~new).sum():,}", counted(first["identity"][~new].nunique(), "individual")),
        ("called new", f"{new.sum():,}", counted(groups, "proposed individual") if groups else ""),
    ]
    chances = first["probability"]
    if chances.notna().any():
        rows.append(("surer than 90 %", f"{(chances >= SURE).sum():,}", ""))
        rows.append(("less sure than 50 %", f"{(chances < OPEN).sum():,}", "look at these first"))
    told = breakdown[(breakdown["by"] == "all") & (breakdown["split"] == TEST) & (breakdown["metric"] == "top1")]
    for value, low, high, queries in told[["value", "low", "high", "queries"]].itertuples(index=False, name=None):
        spread = "" if pd.isna(low) else f"{100 * low:.0f} to {100 * high:.0f} %"
        rows.append((f"first answer right, of {queries:,} known", f"{100 * value:.0f} %", spread))
    return rows


def left_out(rejects: pd.DataFrame) -> dict[str, Any]:
    """Photos that were not used, by kind of reason, those of most photos first.

    Args:
        rejects: table `REJECTS`.

    Returns:
        {photos: their number, kinds: [(reason, number, examples)], further: photos of kinds that are not listed}.
    """
    kinds = rejects["reason"].map(lambda reason: re.sub(r"\d+", "…", reason)[:120])
    often = kinds.value_counts()
    shown = sorted(often.index, key=lambda kind: (-often[kind], kind))[:KINDS]
    rows = [(kind, f"{often[kind]:,}", ", ".join(rejects["image"][kinds == kind][:EXAMPLES])) for kind in shown]
    return {"photos": len(rejects), "kinds": rows, "further": int(len(rejects) - often[shown].sum())}


def overall(breakdown: pd.DataFrame) -> dict[str, Any]:
    """The metrics of all queries, a column for each split.

    Args:
        breakdown: table of `judging.COLUMNS`.

    Returns:
        {columns: titles, rows: (metric, cells), intervals: are there any?}; a cell is a value and its interval.
    """
    table = breakdown[breakdown["by"] == "all"]
    splits = [split for split in SPLITS if split in set(table["split"])]
    titles = [_titled(split, table[table["split"] == split]) for split in splits]
    rows = _cells(table, "metric", "split", splits, METRICS)
    return {"columns": titles, "rows": rows, "intervals": bool(table["low"].notna().any())}


def by_group(breakdown: pd.DataFrame, by: str) -> list[dict[str, Any]]:
    """For each split a table of the metrics of its groups: a row for each group, a column for each metric."""
    tables = []
    for split in SPLITS:
        table = breakdown[(breakdown["by"] == by) & (breakdown["split"] == split)]
        if len(table):
            metrics = list(dict.fromkeys(table["metric"]))
            labels = {str(group): _titled(str(group).replace("_", " "), rows) for group, rows in table.groupby("group")}
            rows = _cells(table, "group", "metric", metrics, labels)
            columns = [METRICS.get(metric, metric) for metric in metrics]
            tables.append({"title": f"By {BY[by]}: {SPLITS[split]}", "columns": columns, "rows": rows})
    return tables


def _titled(name: str, rows: pd.DataFrame) -> str:
    return f"{SPLITS.get(name, name)} ({rows['queries'].max()} queries)"


def _cells(
    table: pd.DataFrame, rows: str, columns: str, wanted: list[str], labels: dict[str, str]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """(label, [(value, interval) of each wanted column]) for each of `rows`, in the order of the table."""
    values = {(row[rows], row[columns]): (row["value"], row["low"], row["high"]) for row in table.to_dict("records")}
    names = list(dict.fromkeys(table[rows]))
    return [(labels.get(name, name), [_cell(*values.get((name, c), [np.nan] * 3)) for c in wanted]) for name in names]


def _cell(value: float, low: float, high: float) -> tuple[str, str]:
    if pd.isna(value):
        return "", ""
    return f"{value:.3f}", "" if pd.isna(low) or pd.isna(high) else f"({low:.3f} – {high:.3f})"
