"""The Open Inference Protocol, version 2, over REST: tensors in, tensors out.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, with the binary
tensor data extension that Triton's client uses unasked (triton-inference-server/server, protocol/
extension_binary_data.md). A feature is an input of its name and shape [n]; instead, one input of any other name and
shape [n, features] holds the encoded matrix. The one output is named as the target.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.exceptions import BadRequest

from app import adapter, body
from app.model import Finding, RowsError
from app.model.schema import describe
from app.protocols.open_inference.tensor import Rows, Tensor
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.adapter import Handler
    from app.drain import Drain
    from app.model import Card, Feature, Predictor
    from app.route import Environ
    from app.settings import Settings

_HEADER_LENGTH = "Inference-Header-Content-Length"
_PLATFORMS = {"onnx": "onnx_onnxv1", "joblib": "sklearn_joblib"}


class Requested(msgspec.Struct, frozen=True):
    """An output that the client wants."""

    name: str
    parameters: dict[str, Any] | None = None


class Question(msgspec.Struct, frozen=True):
    """$inference_request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Requested] | None = None


_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


def routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Give the routes under /v2: those of the server, and those of the model with and without its version."""
    card = predictor.card
    refuse = adapter.refusal(lambda _status, text: {"error": text})
    server = _reply({"name": card.name, "version": settings.image_version, "extensions": ["binary_tensor_data"]})
    live = _reply({"live": True})
    # The specification leaves open which member says that a server is ready; clients read either.
    ready = adapter.while_ready(_reply({"live": True, "ready": True}), drain)
    found = [
        Route("GET", "/v2", lambda _environ: server, refuse),
        Route("GET", "/v2/", lambda _environ: server, refuse),
        Route("GET", "/v2/health/live", lambda _environ: live, refuse, probe=True),
        Route("GET", "/v2/health/ready", ready, refuse, probe=True),
    ]
    model = f"/v2/models/{card.name}"
    metadata, infer = _reply(_metadata(card)), _infer(settings, predictor)
    model_ready = adapter.while_ready(_reply({"name": card.name, "ready": True}), drain)
    for path in (model, f"{model}/versions/{card.version}"):
        found += [
            Route("GET", path, lambda _environ: metadata, refuse),
            Route("GET", f"{path}/ready", model_ready, refuse, probe=True),
            Route("POST", f"{path}/infer", infer, refuse),
        ]
    return found


def _reply(document: object) -> Reply:
    return Reply(_encoder.encode(document))


def _metadata(card: Card) -> dict[str, object]:
    """$metadata_model_response."""
    return {
        "name": card.name,
        "versions": [card.version],
        "platform": _PLATFORMS[card.format],
        "inputs": [{"name": item.name, "datatype": _datatype(item), "shape": [-1]} for item in card.features],
        "outputs": [{"name": card.target.name, "datatype": "FP64", "shape": [-1]}],
    }


def _datatype(feature: Feature) -> str:
    """Give the datatype that holds every valid value; others that hold a given one are taken as well."""
    if feature.type == "category":
        return "BYTES"
    return "INT64" if feature.type == "integer" and not feature.missing else "FP64"


def _infer(settings: Settings, predictor: Predictor) -> Handler:
    card = predictor.card
    rows = Rows(card.features, settings)

    def infer(environ: Environ) -> Reply:
        content = body.read(environ, settings.max_body_bytes)
        header, raw = _parted(content, environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"))
        question = adapter.decode(header, _decoder)
        binary = _wants_binary(question, card.target.name)
        prediction = predictor.predict(predictor.schema.encode(rows.of(question.inputs, raw)))
        output: dict[str, object] = {"name": card.target.name, "datatype": "FP64", "shape": [len(prediction)]}
        values = b""
        if binary:
            values = prediction.astype("<f8", copy=False).tobytes()
            output["parameters"] = {"binary_data_size": len(values)}
        else:
            output["data"] = prediction.tolist()
        answer = _encoder.encode(
            {
                "model_name": card.name,
                "model_version": card.version,
                "id": _echoed(question.id),
                "outputs": [output],
            }
        )
        if not binary:
            return Reply(answer, rows=len(prediction))
        length = (_HEADER_LENGTH, str(len(answer)))
        return Reply(answer + values, "application/octet-stream", headers=(length,), rows=len(prediction))

    return infer


def _parted(content: bytes, length: str | None) -> tuple[bytes, bytes]:
    """Part a body into its JSON and the binary tensors behind it."""
    if length is None:
        return content, b""
    if not (length.isascii() and length.isdigit() and len(length) < 20 and int(length) <= len(content)):
        raise BadRequest(f"{_HEADER_LENGTH} must be the number of bytes of JSON in the body, at most {len(content)}.")
    return content[: int(length)], content[int(length) :]


def _wants_binary(question: Question, name: str) -> bool:
    """Say whether the output `name` is wanted as binary data; raises RowsError when another one is wanted."""
    binary = bool((question.parameters or {}).get("binary_data_output"))
    for output in question.outputs or ():
        if output.name != name:
            raise RowsError([Finding(None, None, f"the output {describe(output.name)}", describe(name))])
        binary = bool((output.parameters or {}).get("binary_data", binary))
    return binary


def _echoed(identifier: str | None) -> str:
    """Give the request's id back, without half characters that no answer can carry, or a new one."""
    return str(uuid.uuid4()) if identifier is None else identifier.encode(errors="replace").decode()
