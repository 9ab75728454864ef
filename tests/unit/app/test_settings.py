from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from app import cpu_limit
from app.__main__ import main
from app.settings import Settings, SettingsError


def test_the_defaults_suit_a_container() -> None:
    settings = Settings.from_environment({})

    assert (settings.host, settings.port, settings.model_dir) == ("0.0.0.0", 5000, Path("/model"))
    assert 1 <= settings.workers <= len(os.sched_getaffinity(0))
    assert settings.drain_seconds + settings.graceful_seconds < 10


def test_every_variable_is_read(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# rotated in May\nanother-key-in-a-file\n")
    environ = {
        "HOST": "127.0.0.1",
        "PORT": "8080",
        "MODEL_DIR": "/srv/model",
        "WORKERS": "3",
        "THREADS": "2",
        "MAX_BODY_BYTES": "2048",
        "MAX_ROWS": "7",
        "REQUEST_SECONDS": "12.5",
        "API_KEYS": f"a-key-that-is-long, sha256:{'0' * 64}",
        "API_KEYS_FILE": str(tmp_path / "keys"),
        "CORS_ORIGINS": "https://a.example, http://localhost:8080",
        "LOG_LEVEL": "Warning",
        "ACCESS_LOG": "off",
        "DRAIN_SECONDS": "0.5",
        "GRACEFUL_SECONDS": "20",
        "AIP_HEALTH_ROUTE": "/alive",
        "AIP_PREDICT_ROUTE": "/ask",
        "IMAGE_VERSION": "1.4.0",
        "IMAGE_REVISION": "abc123",
    }

    settings = Settings.from_environment(environ)

    assert settings == Settings(
        host="127.0.0.1",
        port=8080,
        model_dir=Path("/srv/model"),
        workers=3,
        threads=2,
        max_body_bytes=2048,
        max_rows=7,
        request_seconds=12.5,
        api_keys=(hashlib.sha256(b"a-key-that-is-long").digest(), bytes(32)),
        api_keys_file=(hashlib.sha256(b"another-key-in-a-file").digest(),),
        cors_origins=("https://a.example", "http://localhost:8080"),
        log_level="warning",
        access_log=False,
        drain_seconds=0.5,
        graceful_seconds=20,
        aip_health_route="/alive",
        aip_predict_route="/ask",
        image_version="1.4.0",
        image_revision="abc123",
        workers_because="set by WORKERS",
    )
    assert set(environ) == {variable.name for variable in Settings.list_variables()}


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({"PORT": "1"}, 1),
        ({"PORT": "1", "AIP_HTTP_PORT": "2"}, 2),
        ({"PORT": "1", "AIP_HTTP_PORT": "2", "SAGEMAKER_BIND_TO_PORT": "3"}, 3),
        ({"PORT": "", "AIP_HTTP_PORT": ""}, 5000),
    ],
)
def test_platforms_set_the_port(environ: dict[str, str], port: int) -> None:
    assert Settings.from_environment(environ).port == port


def test_platforms_set_paths() -> None:
    settings = Settings.from_environment({"AIP_HEALTH_ROUTE": "/", "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict"})

    assert (settings.aip_health_route, settings.aip_predict_route) == ("/", "/v1/endpoints/1:predict")


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("PORT", 1, 65_535),
        ("WORKERS", 1, 256),
        ("THREADS", 1, 256),
        ("MAX_BODY_BYTES", 1, 1 << 30),
        ("MAX_ROWS", 1, 10_000_000),
        ("REQUEST_SECONDS", 0.1, 3_600),
        ("DRAIN_SECONDS", 0, 600),
        ("GRACEFUL_SECONDS", 1, 600),
    ],
)
def test_the_bounds_of_a_number_are_inclusive(name: str, least: float, most: float) -> None:
    for value in (least, most):
        assert getattr(Settings.from_environment({name: str(value)}), name.lower()) == value
    for value in (least - (least % 1 or 1), most + 1):
        with pytest.raises(SettingsError):
            Settings.from_environment({name: str(value)})


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "http", ": set a whole number from 1 to 65535"),
        ("PORT", "70000", ": set a whole number from 1 to 65535"),
        ("AIP_HTTP_PORT", "-1", ": set a whole number"),
        ("WORKERS", "0", ": set a whole number from 1"),
        ("WORKERS", "1.5", ": set a whole number"),
        ("MAX_BODY_BYTES", "1MB", ": set a whole number"),
        ("DRAIN_SECONDS", "nan", ": set a number from 0"),
        ("GRACEFUL_SECONDS", "0", ": set a whole number from 1"),
        ("AIP_HEALTH_ROUTE", "health", ": set a path"),
        ("AIP_PREDICT_ROUTE", "/<model>", ": set a path"),
        ("AIP_PREDICT_ROUTE", "/é", ": set a path"),
        ("REQUEST_SECONDS", "0", ": set a number from 0.1"),
        ("LOG_LEVEL", "loud", ": set one of debug, info, warning, error"),
        ("ACCESS_LOG", "true", ": set one of on, off"),
        ("API_KEYS_FILE", "/nowhere", ", a file that cannot be read"),
    ],
)
def test_a_wrong_value_is_named(
    name: str, value: str, wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is '{value}'{wanted}"):
        Settings.from_environment({name: value})

    monkeypatch.setenv(name, value)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith(f"{name} is '{value}'")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("API_KEYS", "secret", "API_KEYS cannot be used: key 1 is shorter"),
        ("API_KEYS", " , ", "API_KEYS cannot be used: it contains no key"),
        ("API_KEYS_FILE", "/dev/null", "API_KEYS_FILE cannot be used: it contains no key"),
        ("CORS_ORIGINS", "example.com", "CORS_ORIGINS has 'example.com': set origins such as https://example.com"),
        ("CORS_ORIGINS", "https://example.com/page", ": set origins such as"),
        ("CORS_ORIGINS", "https://*.example.com", ": set origins such as"),
        ("CORS_ORIGINS", "null", ": set origins such as"),
    ],
)
def test_an_invalid_key_or_origin_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_keys_do_not_show_when_settings_are_printed() -> None:
    settings = Settings.from_environment({"API_KEYS": "a-key-that-is-long"})

    assert "key" not in repr(settings)


def test_help_and_the_documentation_list_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/service.md").read_text("utf-8")

    assert main(["--help"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    for name, default, meaning in Settings.list_variables():
        assert f"{name} {meaning} (default: {default or 'none'})" in output
        assert f"| `{name}` | {default} | {meaning} |" in page


def test_an_unknown_command_prints_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dance"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000\n"}, (1, "a quota of 1.5 processors (cgroup v2)")),
        ({"cpu.max": "50000 100000\n"}, (1, "a quota of 0.5 processors (cgroup v2)")),
        ({"cpu.max": "900000 100000\n"}, (8, "8 processors by affinity")),
        ({"cpu.max": "max 100000\n"}, (8, "8 processors by affinity")),
        (
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            (2, "a quota of 2 processors (cgroup v1)"),
        ),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, (8, "8 processors by affinity")),
        ({}, (8, "8 processors by affinity")),
    ],
)
def test_the_number_of_processors_follows_quota_and_affinity(
    files: dict[str, str], share: tuple[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert cpu_limit.find_limit(tmp_path) == share


def test_the_most_rows_fit_into_the_longest_body(row: dict[str, object]) -> None:
    settings = Settings()
    body = json.dumps({"features": [row] * settings.max_rows})

    assert len(body) <= settings.max_body_bytes
