"""The conformance suite: what every provider must do, for anyone who writes one.

Give it a `Storage` — empty, made for one check — and run the checks one by one::

    import pytest

    pytest.register_assert_rewrite("perdure.testing.conformance")
    from perdure.testing.conformance import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.area}.{check.name}")
    async def test_conformance(check, storage):
        await check.against(storage)

`docs/seed-conformance.md` says which tests of the engine we learned from each check stands for.
"""

from importlib import import_module

from perdure.testing.conformance.registry import Check
from perdure.testing.conformance.registry import registered as _registered
from perdure.testing.conformance.world import ManualClock, Storage, World

__all__ = ["CHECKS", "Check", "ManualClock", "Storage", "World"]

_AREAS = (
    "activities",
    "admission",
    "attempts",
    "deletion",
    "executions",
    "keys",
    "limits",
    "management",
    "messages",
    "options",
    "questions",
    "reading",
    "resilience",
    "sessions",
    "steering",
    "transactions",
    "turns",
)

for _area in _AREAS:
    import_module(f"{__name__}.{_area}")  # importing registers

CHECKS = _registered()
"""Every check."""
