from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from app import cpu
from app.__main__ import main
from app.settings import Settings, SettingsError


def test_defaults() -> None:
    settings = Settings.from_environment({})

    assert (settings.host, settings.port, settings.model_dir) == ("0.0.0.0", 5000, Path("/model"))
    assert 1 <= settings.workers <= len(os.sched_getaffinity(0))
    assert settings.drain_seconds + settings.graceful_seconds < 10


def test_every_variable() -> None:
    settings = Settings.from_environment(
        {
            "HOST": "127.0.0.1",
            "PORT": "8080",
            "MODEL_DIR": "/srv/model",
            "WORKERS": "3",
            "THREADS": "2",
            "MAX_BODY_BYTES": "2048",
            "MAX_ROWS": "7",
            "DRAIN_SECONDS": "0.5",
            "GRACEFUL_SECONDS": "20",
            "IMAGE_VERSION": "1.4.0",
            "IMAGE_REVISION": "abc123",
        }
    )

    assert settings == Settings("127.0.0.1", 8080, Path("/srv/model"), 3, 2, 2048, 7, 0.5, 20, "1.4.0", "abc123")


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({"PORT": "1"}, 1),
        ({"PORT": "1", "AIP_HTTP_PORT": "2"}, 2),
        ({"PORT": "1", "AIP_HTTP_PORT": "2", "SAGEMAKER_BIND_TO_PORT": "3"}, 3),
        ({"PORT": "", "AIP_HTTP_PORT": ""}, 5000),
    ],
)
def test_platforms_name_the_port(environ: dict[str, str], port: int) -> None:
    assert Settings.from_environment(environ).port == port


def test_platforms_name_paths() -> None:
    settings = Settings.from_environment({"AIP_HEALTH_ROUTE": "/", "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"})

    assert (settings.aip_health_route, settings.aip_predict_route) == ("/", "/v1/endpoints/1:predict")


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("AIP_HTTP_PORT", "-1", "a whole number"),
        ("WORKERS", "0", "a whole number from 1"),
        ("WORKERS", "1.5", "a whole number"),
        ("MAX_BODY_BYTES", "1MB", "a whole number"),
        ("DRAIN_SECONDS", "nan", "a number from 0"),
        ("GRACEFUL_SECONDS", "0", "a whole number from 1"),
        ("AIP_HEALTH_ROUTE", "health", "a path is wanted"),
        ("AIP_PREDICT_ROUTE", "/<model>", "a path is wanted"),
    ],
)
def test_a_wrong_value_is_named(
    name: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is '{value}', but {wanted}"):
        Settings.from_environment({name: value})

    monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith(f"{name} is '{value}'")


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_processors_come_from_the_quota_of_the_container(
    files: dict[str, str], quota: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert cpu.quota(tmp_path) == quota
    assert cpu.available(tmp_path) == (8 if quota is None else max(1, int(quota)))


def test_as_many_rows_as_are_taken_fit_into_a_body(row: dict[str, object]) -> None:
    body = json.dumps({"features": [row] * Settings.max_rows})

    assert len(body) <= Settings.max_body_bytes
