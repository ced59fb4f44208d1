"""The report's tables of metrics, as text: of all queries by split, and by species and by gallery photos."""

from typing import Any

import numpy as np
import pandas as pd

from finprint.store.tables import TEST, VALIDATION

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
