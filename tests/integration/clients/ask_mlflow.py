"""Ask with MLflow's scoring client: DataFrames, arrays, lists, the health check, and mistakes."""

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

question = json.load(sys.stdin)
rows = question["rows"]
client = ScoringServerClient(*question["address"].split(":"))


def predictions(data: Any) -> list[float]:
    values: list[float] = client.invoke(data).get_predictions()[0].tolist()
    return values


def mistake(data: Any) -> str:
    try:
        client.invoke(data)
    except Exception as error:  # noqa: BLE001 - it raises no other class
        return str(error)
    return ""


client.wait_server_ready(timeout=10)
frame = pd.DataFrame(rows)
answer = {
    "version": client.get_version(),
    "frame": predictions(frame),
    "frame_has_nan": bool(frame.isna().any(axis=None)),
    "array": predictions(np.array([list(row.values()) for row in rows], dtype=object)),
    "list": predictions(rows),
    "with_parameters": client.invoke(frame, params={"any": 1})["predictions"],
    "bad_row": mistake(pd.DataFrame([rows[0], question["bad"]])),
}
print(json.dumps(answer))  # noqa: T201
