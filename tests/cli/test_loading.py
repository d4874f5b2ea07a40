"""In scope: finding the code that the user names, and what is said when it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.cli.loading import choose_orchestration, load_app
from perdure.errors import ConfigurationError, NotRegisteredError


def test_a_module_is_found_in_the_current_folder(shop: Path) -> None:
    del shop
    app = load_app("shop:greet")
    assert choose_orchestration(app) == "greet"
    assert {"add", "refuse"} <= {activity.name for activity in app.registry.activities}


def test_a_file_is_found_wherever_it_is(
    shop: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert choose_orchestration(load_app(f"{shop / 'shop.py'}:fail")) == "fail"


@pytest.mark.usefixtures("shop")
def test_a_misspelt_module_is_told_what_comes_close() -> None:
    with pytest.raises(ConfigurationError, match=r"no module 'shopp'.*did you mean shop"):
        load_app("shopp")


def test_a_module_whose_own_import_is_missing_is_not_called_missing(shop: Path) -> None:
    (shop / "needs.py").write_text("import something_that_is_nowhere\n")
    with pytest.raises(
        ConfigurationError, match=r"'needs' does not import: ModuleNotFoundError.*needs\.py:1"
    ):
        load_app("needs")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nraise RuntimeError('no config')\n", r"RuntimeError: no config.*broken\.py:2"),
        ("def f(:\n", r"SyntaxError.*broken\.py:1"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_module_that_does_not_import_says_what_and_where(
    shop: Path, source: str, said: str
) -> None:
    (shop / "broken.py").write_text(source)
    with pytest.raises(ConfigurationError, match=f"'broken' does not import: {said}"):
        load_app("broken")


def test_a_module_without_definitions_is_told_to_mark_its_functions(shop: Path) -> None:
    (shop / "empty.py").write_text("x = 1\n")
    with pytest.raises(ConfigurationError, match="empty defines no orchestration and no activity"):
        load_app("empty")


@pytest.mark.usefixtures("shop")
def test_an_orchestration_that_is_not_there_is_told_which_are() -> None:
    with pytest.raises(
        NotRegisteredError, match=r"no orchestration 'gret': it has fail, greet.*did you mean greet"
    ):
        choose_orchestration(load_app("shop:gret"))


@pytest.mark.usefixtures("shop")
def test_with_several_orchestrations_one_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match="4 orchestrations: say which, as in shop:fail"):
        choose_orchestration(load_app("shop"))


@pytest.mark.parametrize("spec", ["", ":greet", "shop-1", "a..b", "nowhere.py"])
@pytest.mark.usefixtures("shop")
def test_what_is_no_module_is_told_the_form(spec: str) -> None:
    with pytest.raises(ConfigurationError):
        load_app(spec)
