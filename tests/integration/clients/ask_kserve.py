"""Ask with KServe's client: V2 in JSON and with binary tensors, V1, readiness, and mistakes."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

question = json.load(sys.stdin)
url, model, features, rows = (question[name] for name in ("url", "model", "features", "rows"))


def columns(rows: list[dict[str, Any]]) -> InferRequest:
    tensors = [
        InferInput(
            feature["name"],
            [len(rows)],
            "BYTES" if feature["type"] == "category" else "FP64",
            [row[feature["name"]] for row in rows],
        )
        for feature in features
    ]
    return InferRequest(model, tensors, request_id="42")


def matrix() -> InferRequest:
    array = np.array(question["matrix"], dtype=np.float64)
    tensor = InferInput("features", list(array.shape), "FP64")
    tensor.set_data_from_numpy(array, binary_data=True)
    return InferRequest(model, [tensor], parameters={"binary_data_output": True})


async def mistake(client: InferenceRESTClient, data: Any, name: str = model) -> list[str]:
    try:
        await client.infer(url, data, model_name=name)
    except HTTPStatusError as error:
        return [str(error.response.status_code), str(error)]
    return []


async def ask() -> dict[str, Any]:
    bad = [rows[0], question["bad"]]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as v2, InferenceRESTClient() as v1:
        json_answer = await v2.infer(url, columns(rows), model_name=model)
        binary_answer = await v2.infer(url, matrix(), model_name=model)
        return {
            "live": await v2.is_server_live(url),
            "ready": await v2.is_server_ready(url),
            "model_ready": [await v2.is_model_ready(url, model), await v1.is_model_ready(url, model)],
            "id": json_answer.id,
            "json": json_answer.outputs[0].data,
            "binary": binary_answer.outputs[0].as_numpy().tolist(),
            "v1": await v1.infer(url, {"instances": rows}, model_name=model),
            "bad_row": await mistake(v2, columns(bad)),
            "bad_row_v1": await mistake(v1, {"instances": bad}),
            "other_model": await mistake(v2, columns(rows), "other"),
            "other_model_v1": await mistake(v1, {"instances": rows}, "other"),
        }


print(json.dumps(asyncio.run(ask())))  # noqa: T201
