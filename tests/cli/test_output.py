"""In scope: how values are printed. Out of scope: which commands print them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rich.text import Text

from perdure.cli.describe import duration
from perdure.cli.output import plain, print_table


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0ms"),
        (0.0042, "4ms"),
        (1, "1.0s"),
        (61, "1m01s"),
        (7261, "2h01m"),
        (90000, "1d01h"),
        (-2, "-2.0s"),
    ],
)
def test_a_duration_is_said_in_two_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
    assert duration(timedelta(seconds=seconds)) == said


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[31mred\x07\nb") == "a\\x1b[31mred\\x07⏎b"


def test_text_is_cut_to_its_width() -> None:
    assert plain("abcdef", width=4) == "abc…"


def test_a_table_has_no_frame_no_markup_and_no_trailing_blanks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows: list[list[str | Text]] = [["[red]a[/red]", "1"], [Text("b", style="red"), "22"]]
    print_table(["NAME", "N"], rows, right=("N",))
    assert capsys.readouterr().out == "NAME            N\n[red]a[/red]    1\nb              22\n"
