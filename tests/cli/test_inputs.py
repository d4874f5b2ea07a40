"""In scope: what people type as input. Out of scope: whether it fits the parameters."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from perdure.cli.inputs import parse_arguments, parse_value, read_json
from perdure.errors import ConfigurationError


async def order(ctx: object, name: str, count: int = 1) -> None: ...


async def single(ctx: object, items: list[int]) -> None: ...


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"quoted"', "quoted"),
        ("plain words", "plain words"),
        ("{not json", "{not json"),
        ("", ""),
    ],
)
def test_a_value_is_json_where_it_is_some_and_else_a_string(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_arguments_by_name_become_one_object() -> None:
    parsed = parse_arguments(None, ["name=Ada", "count=3", "note=a=b"])
    assert json.loads(parsed) == {"name": "Ada", "count": 3, "note": "a=b"}


def test_a_parameter_annotated_as_a_string_is_never_read_as_json() -> None:
    parsed = parse_arguments(None, ["name=007", "count=7"], order)
    assert json.loads(parsed) == {"name": "007", "count": 7}


def test_no_input_is_an_empty_object() -> None:
    assert parse_arguments(None, []) == "{}"


def test_input_that_is_no_object_goes_to_the_only_parameter() -> None:
    assert json.loads(parse_arguments("[1, 2]", [], single)) == {"items": [1, 2]}
    assert json.loads(parse_arguments('{"items": [1]}', [], single)) == {"items": [1]}


def test_input_that_is_no_object_names_the_parameters_that_it_should_have() -> None:
    with pytest.raises(ConfigurationError, match=r"\[1\].*an object with name, count"):
        parse_arguments("[1]", [], order)


def test_input_is_read_from_a_file_and_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "order.json"
    path.write_text('{"name": "Zoë"}', encoding="utf-8")
    assert parse_arguments(f"@{path}", []) == '{"name":"Zoë"}'
    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "Ada"}'))
    assert parse_arguments("-", []) == '{"name":"Ada"}'


@pytest.mark.parametrize(
    ("given", "pairs", "said"),
    [
        ('{"a": }', [], "--input is not JSON.*line 1, column 7"),
        ("@nowhere.json", [], r"--input \(nowhere.json\) cannot be read"),
        ("{}", ["a=1"], "either --input or arguments by name"),
        (None, ["a"], "'a' is no argument: write NAME=VALUE"),
        (None, ["a b=1"], "'a b=1' is no argument"),
        (None, ["a=1", "a=2"], "'a' is given twice"),
    ],
)
def test_input_that_cannot_be_read_says_where(
    given: str | None, pairs: list[str], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_arguments(given, pairs)


def test_an_unquoted_string_given_as_json_is_told_of_its_quotes() -> None:
    with pytest.raises(ConfigurationError, match="A string needs its double quotes"):
        read_json("hello", option="--data")
