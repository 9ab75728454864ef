"""Predicted rows are counted in every protocol."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient


def count_rows(client: FlaskClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("shipshape_predicted_rows_total")).split()[-1])


@pytest.mark.parametrize(
    "path", ["/predict", "/v1/models/house-price:predict", "/invocations", "/v2/models/house-price/infer"]
)
def test_rows_of_every_protocol_are_counted(path: str, client: FlaskClient, row: dict[str, object]) -> None:
    columns = [
        {"name": name, "shape": [2], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value] * 2}
        for name, value in row.items()
    ]
    bodies = {"/predict": {"features": [row, row]}, "/v2/models/house-price/infer": {"inputs": columns}}

    assert client.post(path, json=bodies.get(path, {"instances": [row, row]})).status_code == 200
    assert count_rows(client) == 2


def test_rows_in_csv_are_counted(client: FlaskClient, row: dict[str, object]) -> None:
    table = ",".join(row) + "\n" + f"{','.join(map(str, row.values()))}\n" * 3
    headers = {"Content-Type": "text/csv", "Accept": "text/csv"}

    assert client.post("/invocations", data=table, headers=headers).status_code == 200
    assert count_rows(client) == 3
