"""Deleting the file of a protocol removes that protocol, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app import protocols
from app.drain import Drain
from app.model import Predictor
from app.settings import Settings

ALL = {
    "mlflow.py": {"/invocations", "/ping", "/health"},
    "kserve.py": {"/v1/models", "/v1/models/house-price", "/v1/models/house-price:predict"},
    "open_inference": {
        "/v2",
        "/v2/",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/house-price",
        "/v2/models/house-price/ready",
        "/v2/models/house-price/infer",
        "/v2/models/house-price/versions/1.0.0",
        "/v2/models/house-price/versions/1.0.0/ready",
        "/v2/models/house-price/versions/1.0.0/infer",
    },
    "vertex.py": {"/alive", "/ask"},
}


@pytest.mark.parametrize("name", [None, *ALL])
def test_deleting_a_module_removes_its_routes_and_no_others(
    name: str | None, settings: Settings, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(protocols.__path__[0], tmp_path / "protocols"))
    if name:
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
    monkeypatch.setattr(protocols, "__path__", [str(copy)])
    settings = replace(settings, aip_health_route="/alive", aip_predict_route="/ask")

    found = protocols.make_routes(settings, predictor, Drain())

    assert {route.path for route in found} == set().union(*(paths for key, paths in ALL.items() if key != name))
    assert len({(route.method, route.path) for route in found}) == len(found)


def test_no_module_imports_a_protocol() -> None:
    """Each can be deleted: no module imports a protocol, not even another protocol."""
    app = Path(protocols.__path__[0]).parent
    for file in app.rglob("*.py"):
        own = file.relative_to(app).parts[1].removesuffix(".py") if file.parent != app else None
        for name in (key.removesuffix(".py") for key in ALL):
            assert name == own or f"protocols.{name}" not in file.read_text(encoding="utf-8"), file
