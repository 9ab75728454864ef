"""Input tensors of the Open Inference Protocol, in JSON or binary, and the rows that they contain."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from werkzeug.exceptions import BadRequest

from app.model import Finding, RowsError
from app.model.schema import LIMIT, describe
from app.protocols import adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.model import Feature
    from app.settings import Settings

_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_INTEGERS = {
    f"{sign}INT{8 * size}": f"<{kind}{size}" for sign, kind in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)
}
_NUMBERS = {name: np.dtype(code) for name, code in (_FLOATS | _INTEGERS).items()}
_LIMITS = {name: (int(np.iinfo(code).min), int(np.iinfo(code).max)) for name, code in _INTEGERS.items()}


class Tensor(msgspec.Struct, frozen=True):
    """$request_input; its data is flat or nested in row-major order, or binary after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _MisfitError(Exception):
    """A tensor that does not fit; `row` if it is one value."""

    def __init__(self, found: str, wanted: str, row: int | None = None) -> None:
        super().__init__(found)
        self.found, self.wanted, self.row = found, wanted, row


class Rows:
    """Converts tensors into rows for the schema of one ordered set of features."""

    def __init__(self, features: Sequence[Feature], settings: Settings) -> None:
        self._features = {feature.name: feature for feature in features}
        self._settings = settings
        self._listing = ", ".join(map(describe, [*self._features][:LIMIT]))

    def convert(self, inputs: Sequence[Tensor], raw: bytes) -> list[list[object]]:
        """Return the rows, lists in feature order, of tensors whose binary data follows one another in `raw`.

        Raises RowsError with every tensor that does not fit, BadRequest if the binary data cannot be split, and
        RequestEntityTooLarge if there are more rows than one request may have.
        """
        pieces = list(_split(inputs, raw))
        if len(inputs) == 1 and inputs[0].name not in self._features:
            return self._convert_matrix(inputs[0], pieces[0])
        return self._convert_columns(inputs, pieces)

    def _convert_columns(self, inputs: Sequence[Tensor], pieces: Sequence[bytes | None]) -> list[list[object]]:
        columns: dict[str, list[object]] = {}
        findings = []
        for tensor, piece in zip(inputs, pieces, strict=True):
            feature = self._features.get(tensor.name)
            if feature is None or tensor.name in columns:
                wanted = "it once" if feature else f"one of {self._listing}"
                findings.append(Finding(None, None, f"the input {describe(tensor.name)}", wanted))
                continue
            columns[tensor.name] = []
            try:
                columns[tensor.name] = _read_column(feature, tensor, piece)
            except _MisfitError as misfit:
                findings.append(Finding(misfit.row, tensor.name, misfit.found, misfit.wanted))
        for name, feature in self._features.items():
            if name not in columns and not feature.missing:
                findings.append(Finding(None, name, "no such input", "one of shape [n]"))
        count = inputs[0].shape[0] if inputs and inputs[0].shape else 0
        for tensor in inputs:
            if not findings and tensor.shape[0] != count:
                wanted = f"as many as in {describe(inputs[0].name)}, {count}"
                findings.append(Finding(None, tensor.name, f"{tensor.shape[0]} values", wanted))
        if findings:
            raise RowsError(findings[:LIMIT], len(findings[LIMIT:]))
        adapter.limit_rows(count, self._settings)
        absent = [None] * count
        return list(map(list, zip(*(columns.get(name, absent) for name in self._features), strict=True)))

    def _convert_matrix(self, tensor: Tensor, piece: bytes | None) -> list[list[object]]:
        """Return the rows of an encoded matrix, in which a category is its index on the model's card."""
        width = len(self._features)
        if len(tensor.shape) != 2 or tensor.shape[1] != width or tensor.datatype not in _NUMBERS:
            found = (
                f"the input {describe(tensor.name)} of datatype {describe(tensor.datatype)}, shape {_format(tensor)}"
            )
            wanted = f"numbers of shape [n, {width}], or the inputs {self._listing}"
            raise RowsError([Finding(None, None, found, wanted)])
        try:
            values = _read_values(tensor, piece)
        except _MisfitError as misfit:
            found = f"{misfit.found} in the input {describe(tensor.name)}"
            raise RowsError([Finding(misfit.row, None, found, misfit.wanted)]) from misfit
        adapter.limit_rows(tensor.shape[0], self._settings)
        rows = [values[start : start + width] for start in range(0, len(values), width)]
        for place, feature in enumerate(self._features.values()):
            names: dict[object, str] = dict(enumerate(feature.categories))
            for row in rows if names else ():
                row[place] = names.get(row[place], row[place])
        return rows


def _split(inputs: Sequence[Tensor], raw: bytes) -> Iterator[bytes | None]:
    """Yield each tensor's binary data, None for a tensor in JSON."""
    start = 0
    for tensor in inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        if (size is None) == (tensor.data is None):
            raise BadRequest(f"The input {describe(tensor.name)} must have either `data` or `binary_data_size`.")
        if size is None:
            yield None
            continue
        if type(size) is not int or not 0 <= size <= len(raw) - start:
            left = len(raw) - start
            raise BadRequest(
                f"The input {describe(tensor.name)} has binary_data_size {describe(size)}, but {left} bytes are left."
            )
        yield raw[start : start + size]
        start += size
    if start < len(raw):
        raise BadRequest(f"{len(raw) - start} bytes of binary data belong to no input: check each binary_data_size.")


def _read_column(feature: Feature, tensor: Tensor, piece: bytes | None) -> list[object]:
    wanted = ("BYTES",) if feature.type == "category" else tuple(_NUMBERS)
    if tensor.datatype not in wanted:
        raise _MisfitError(f"the datatype {describe(tensor.datatype)}", " or ".join(wanted))
    if tensor.shape[1:] not in ([], [1]) or not tensor.shape or tensor.shape[0] < 0:
        raise _MisfitError(f"the shape {_format(tensor)}", "[n] or [n, 1]")
    values = _read_values(tensor, piece)
    if feature.missing and feature.categories and "" not in feature.categories:
        # A binary tensor cannot mark a missing text in another way.
        return [value or None for value in values]
    return values


def _read_values(tensor: Tensor, piece: bytes | None) -> list[object]:
    """Return the tensor's values in row-major order, None for NaN."""
    if piece is None:
        return _read_json(tensor)
    return _unpack_texts(tensor, piece) if tensor.datatype == "BYTES" else _unpack_numbers(tensor, piece)


def _read_json(tensor: Tensor) -> list[object]:
    data = tensor.data or []
    width = tensor.shape[1] if len(tensor.shape) == 2 else None
    if width and data and type(data[0]) is list:
        if not all(type(row) is list and len(row) == width for row in data):
            raise _MisfitError("data nested differently", f"the shape {_format(tensor)}")
        data = [value for row in data for value in row]
    _check_count(tensor, len(data), "values")
    for index, value in enumerate(data):
        if value is not None and not _fits(value, tensor.datatype):
            raise _MisfitError(describe(value), f"a value of datatype {tensor.datatype}", index // (width or 1))
    return data


def _fits(value: object, datatype: str) -> bool:
    if datatype == "BYTES":
        return type(value) is str
    if datatype in _FLOATS:
        return type(value) is float or type(value) is int
    lowest, highest = _LIMITS[datatype]
    return type(value) is int and lowest <= value <= highest


def _unpack_numbers(tensor: Tensor, piece: bytes) -> list[object]:
    dtype = _NUMBERS[tensor.datatype]
    _check_count(tensor, len(piece), "bytes", dtype.itemsize)
    values: list[object] = np.frombuffer(piece, dtype).tolist()
    return [None if value != value else value for value in values]  # noqa: PLR0124 - only NaN is not equal to itself


def _unpack_texts(tensor: Tensor, piece: bytes) -> list[object]:
    """Split binary data into texts: each a length in 4 bytes, then as many bytes of UTF-8."""
    values: list[object] = []
    start = 0
    while start < len(piece):
        begin = start + 4
        if begin <= len(piece):
            start = begin + struct.unpack_from("<I", piece, start)[0]
        if begin > len(piece) or start > len(piece):
            raise _MisfitError("truncated binary data", "a length in 4 bytes before each text")
        values.append(piece[begin:start].decode(errors="replace"))
    _check_count(tensor, len(values), "texts")
    return values


def _check_count(tensor: Tensor, found: int, noun: str, size: int = 1) -> None:
    wanted = size
    for length in tensor.shape:
        wanted *= length
    if found != wanted:
        raise _MisfitError(f"{found} {noun}", f"{describe(wanted)} for the shape {_format(tensor)}")


def _format(tensor: Tensor) -> str:
    more = ", …" if len(tensor.shape) > 4 else ""
    return f"[{', '.join(map(describe, tensor.shape[:4]))}{more}]"
