"""The Open Inference Protocol, version 2, over REST: tensors in, tensors out.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, with the binary
tensor data extension, which Triton's client uses by default (triton-inference-server/server, protocol/
extension_binary_data.md). Each feature is an input with its name and shape [n]; alternatively, one input with any
other name and shape [n, features] holds the encoded matrix. The one output has the name of the target.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.exceptions import BadRequest

from app import request_body
from app.model import Finding, RowsError
from app.model.schema import describe
from app.protocols import adapter
from app.protocols.open_inference.tensor import Rows, Tensor
from app.route import Reply, Route

if TYPE_CHECKING:
    from app.drain import Drain
    from app.model import Card, Feature, Predictor
    from app.protocols.adapter import Handler
    from app.route import Environ
    from app.settings import Settings

_HEADER_LENGTH = "Inference-Header-Content-Length"
_PLATFORMS = {"onnx": "onnx_onnxv1", "joblib": "sklearn_joblib"}


class RequestedOutput(msgspec.Struct, frozen=True):
    """$request_output."""

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(msgspec.Struct, frozen=True):
    """$inference_request."""

    inputs: list[Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


_decoder = msgspec.json.Decoder(InferenceRequest)
_encoder = msgspec.json.Encoder()


def make_routes(settings: Settings, predictor: Predictor, drain: Drain) -> list[Route]:
    """Make the routes under /v2: of the server, and of the model with and without its version."""
    card = predictor.card
    handle_error = adapter.make_error_handler(lambda _status, text: {"error": text})
    server = _make_reply({"name": card.name, "version": settings.image_version, "extensions": ["binary_tensor_data"]})
    live = _make_reply({"live": True})
    # The specification does not say which member means that a server is ready; clients read either.
    ready = adapter.make_readiness_handler(_make_reply({"live": True, "ready": True}), drain)
    found = [
        Route("GET", "/v2", lambda _environ: server, handle_error),
        Route("GET", "/v2/", lambda _environ: server, handle_error),
        Route("GET", "/v2/health/live", lambda _environ: live, handle_error, probe=True),
        Route("GET", "/v2/health/ready", ready, handle_error, probe=True),
    ]
    model = f"/v2/models/{card.name}"
    metadata, infer = _make_reply(_describe_model(card)), _make_infer(settings, predictor)
    model_ready = adapter.make_readiness_handler(_make_reply({"name": card.name, "ready": True}), drain)
    for path in (model, f"{model}/versions/{card.version}"):
        found += [
            Route("GET", path, lambda _environ: metadata, handle_error),
            Route("GET", f"{path}/ready", model_ready, handle_error, probe=True),
            Route("POST", f"{path}/infer", infer, handle_error),
        ]
    return found


def _make_reply(document: object) -> Reply:
    return Reply(_encoder.encode(document))


def _describe_model(card: Card) -> dict[str, object]:
    """$metadata_model_response."""
    return {
        "name": card.name,
        "versions": [card.version],
        "platform": _PLATFORMS[card.format],
        "inputs": [{"name": item.name, "datatype": _choose_datatype(item), "shape": [-1]} for item in card.features],
        "outputs": [{"name": card.target.name, "datatype": "FP64", "shape": [-1]}],
    }


def _choose_datatype(feature: Feature) -> str:
    """Return the datatype that holds every valid value; others are accepted if they hold the values sent."""
    if feature.type == "category":
        return "BYTES"
    return "INT64" if feature.type == "integer" and not feature.missing else "FP64"


def _make_infer(settings: Settings, predictor: Predictor) -> Handler:
    card = predictor.card
    rows = Rows(card.features, settings)

    def infer(environ: Environ) -> Reply:
        content = request_body.read(environ, settings.max_body_bytes)
        header, raw = _split_body(content, environ.get("HTTP_INFERENCE_HEADER_CONTENT_LENGTH"))
        request = adapter.decode(header, _decoder)
        binary = _wants_binary(request, card.target.name)
        prediction = predictor.predict(predictor.schema.encode(rows.convert(request.inputs, raw)))
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
                "id": _choose_id(request.id),
                "outputs": [output],
            }
        )
        if not binary:
            return Reply(answer, rows=len(prediction))
        length = (_HEADER_LENGTH, str(len(answer)))
        return Reply(answer + values, "application/octet-stream", headers=(length,), rows=len(prediction))

    return infer


def _split_body(content: bytes, length: str | None) -> tuple[bytes, bytes]:
    """Split a body into its JSON and the binary tensors after it."""
    if length is None:
        return content, b""
    if not (length.isascii() and length.isdigit() and len(length) < 20 and int(length) <= len(content)):
        raise BadRequest(f"{_HEADER_LENGTH} must be the number of bytes of JSON in the body, at most {len(content)}.")
    return content[: int(length)], content[int(length) :]


def _wants_binary(request: InferenceRequest, name: str) -> bool:
    """Whether the output `name` is requested as binary data; raises RowsError if another output is requested."""
    binary = bool((request.parameters or {}).get("binary_data_output"))
    for output in request.outputs or ():
        if output.name != name:
            raise RowsError([Finding(None, None, f"the output {describe(output.name)}", describe(name))])
        binary = bool((output.parameters or {}).get("binary_data", binary))
    return binary


def _choose_id(identifier: str | None) -> str:
    """Return the request's id, without lone surrogates, which no response can encode; or a new one."""
    return str(uuid.uuid4()) if identifier is None else identifier.encode(errors="replace").decode()
