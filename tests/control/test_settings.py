"""In scope: settings of the controller, and that the chart sets them and no others."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from perdure.errors import ConfigurationError
from perdure_operator.settings import Settings, from_env

_ROOT = Path(__file__).resolve().parents[2]
URL = {"PERDURE_DATABASE_URL": "postgresql://db"}


def test_what_is_set_is_read_as_what_it_is() -> None:
    env = {
        "PERDURE_WATCH_NAMESPACES": "a, b,",
        "PERDURE_CONCURRENCY": "3",
        "PERDURE_BLOCKED_SECONDS": "1.5",
        "PERDURE_LOG_FORMAT": "text",
        "PERDURE_SCHEMA": "",
    }
    settings = from_env(URL | env)
    assert settings.watch_namespaces == ("a", "b")
    assert settings.concurrency == 3
    assert settings.blocked_seconds == 1.5
    assert settings.log_format == "text"
    assert settings.schema == "perdure"


def test_the_address_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "uri").write_text("postgresql://file\n")
    found = from_env({"PERDURE_DATABASE_URL_FILE": str(tmp_path / "uri")})
    assert found.database_url == "postgresql://file"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "PERDURE_DATABASE_URL is not set"),
        ({"PERDURE_DATABASE_URL_FILE": "/no/such"}, "cannot be read"),
        (URL | {"PERDURE_CONCURRENCY": "many"}, "PERDURE_CONCURRENCY is 'many'"),
        (URL | {"PERDURE_CENSUS_SECONDS": "0"}, "must be a number above 0"),
    ],
)
def test_what_cannot_be_is_named(env: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        from_env(env)


def test_the_address_is_never_shown() -> None:
    assert "hush" not in repr(Settings(database_url="postgresql://a:hush@db"))


def test_the_chart_sets_nothing_that_nobody_reads() -> None:
    chart = (_ROOT / "charts/perdure/templates/operator.yaml").read_text()
    set_there = set(re.findall(r"PERDURE_([A-Z_]+)", chart))
    known = {field.name.upper() for field in dataclasses.fields(Settings)}
    assert set_there - known - {"DATABASE_URL_FILE"} == set()
