"""In scope: `# perdure: allow`, which needs a code, a reason, and something to suppress."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.checking.conftest import Look

_ORDER = """\
import time
@orchestration
async def order(ctx: OrchestrationContext) -> None:
"""


@pytest.mark.parametrize(
    "body",
    [
        "    time.time()  # perdure: allow PD101 only shown to people",
        "    # perdure: allow PD101 only shown to people\n    time.time()",
        "    # perdure: allow PD101: only shown to people\n    # in the evening\n\n    time.time()",
        "    print(time.time())  # perdure: allow PD101, PD114 a trial",
        "    sum([\n        time.time(),\n    ])  # perdure: allow PD101 only shown to people",
        "    while True:  # perdure: allow PD115 interrupted on purpose\n        time.gmtime(0)",
    ],
)
def test_what_is_allowed_with_a_reason_is_not_reported(look: Look, body: str) -> None:
    assert look(_ORDER + body) == []


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("    time.time()  # perdure: allow PD101", ["PD101", "PD902"]),
        ("    time.time()  # perdure: allow because it is late", ["PD101", "PD902"]),
        ("    time.time()  # perdure: allow PD102 rolls no dice", ["PD101", "PD901"]),
        ("    time.gmtime(0)  # perdure: allow PD101 was a clock once", ["PD901"]),
        ("    time.time()  # perdure: allow PD101, PD102 late", ["PD901"]),
        ("    time.gmtime(0)  # perdure: allow PD999 there is none", ["PD901"]),
        ("    '# perdure: allow PD101 this is text'\n    time.time()", ["PD101"]),
        ("    time.gmtime(0)  # perdure: allow PD101 far\n\n    time.time()", ["PD101", "PD901"]),
    ],
)
def test_a_suppression_has_to_hold(look: Look, body: str, codes: list[str]) -> None:
    assert sorted(finding.code for finding in look(_ORDER + body)) == codes


def test_what_is_not_looked_for_leaves_its_suppressions_alone(look: Look) -> None:
    text = _ORDER + "    time.time()  # perdure: allow PD101 only shown"
    assert look(text, ignore=["PD101"]) == []
    assert look(text, select=["PD102", "PD9"]) == []
