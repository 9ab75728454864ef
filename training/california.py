"""scikit-learn's California housing table, from the census of 1990, for machines that can download it."""

from __future__ import annotations

import csv
import io

import numpy as np
from sklearn.datasets import fetch_california_housing

from training.description import InputError
from training.table import Table, parse

NAME = "california"
TARGET = "MedHouseVal"


def fetch(*, drop_duplicates: bool = False) -> Table:
    """Download the table (20,640 rows, target in 100,000 USD), or read it from scikit-learn's cache."""
    try:
        bunch = fetch_california_housing()
    except OSError as error:
        raise InputError(
            f"The California housing table cannot be downloaded ({error}): use a CSV file, such as "
            "training/data/houses.csv."
        ) from error
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*bunch.feature_names, TARGET])
    writer.writerows(np.column_stack([bunch.data, bunch.target]).tolist())
    return parse(NAME, text.getvalue().encode(), TARGET, None, drop_duplicates=drop_duplicates)
