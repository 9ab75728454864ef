"""Ask with tritonclient: its defaults (binary both ways), JSON both ways, the matrix, metadata, and mistakes."""

import json
import sys
from typing import Any

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

question = json.load(sys.stdin)
model, version, features, rows = (question[name] for name in ("model", "version", "features", "rows"))
client = InferenceServerClient(question["address"])


def columns(rows: list[dict[str, Any]], *, binary: bool) -> list[InferInput]:
    """Return one tensor per feature, of shape [n, 1]; a missing value is empty or NaN: this client cannot send None."""
    tensors = []
    for feature in features:
        values = [row[feature["name"]] for row in rows]
        if feature["type"] == "category":
            array = np.array([value or "" for value in values], dtype=object)
        else:
            array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        datatype = "BYTES" if feature["type"] == "category" else "FP64"
        tensor = InferInput(feature["name"], [len(rows), 1], datatype)
        tensor.set_data_from_numpy(array.reshape(-1, 1), binary_data=binary)
        tensors.append(tensor)
    return tensors


def matrix() -> list[InferInput]:
    array = np.array(question["matrix"], dtype=np.float64)
    tensor = InferInput("features", list(array.shape), "FP64")
    tensor.set_data_from_numpy(array)
    return [tensor]


def mistake(name: str, inputs: list[InferInput], **options: Any) -> list[str]:
    try:
        client.infer(name, inputs, **options)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return []


target = client.get_model_metadata(model)["outputs"][0]["name"]
default = client.infer(model, columns(rows, binary=True), request_id="42")
plain = client.infer(
    model, columns(rows, binary=False), model_version=version, outputs=[InferRequestedOutput(target, binary_data=False)]
)
answer = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": [
        client.is_model_ready(model),
        client.is_model_ready(model, version),
        client.is_model_ready("other"),
    ],
    "server": client.get_server_metadata(),
    "model": client.get_model_metadata(model, version),
    "default": default.as_numpy(target).tolist(),
    "default_output": default.get_output(target),
    "id": default.get_response()["id"],
    "json": plain.as_numpy(target).tolist(),
    "json_output": plain.get_output(target),
    "matrix": client.infer(model, matrix()).as_numpy(target).tolist(),
    "bad_row": mistake(model, columns([*rows[:1], question["bad"]], binary=True)),
    "bad_output": mistake(model, columns(rows, binary=True), outputs=[InferRequestedOutput("rent")]),
    "other_model": mistake("other", matrix()),
}
print(json.dumps(answer))  # noqa: T201
