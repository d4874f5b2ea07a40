from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perdure.testing.conformance import CHECKS, Check

if TYPE_CHECKING:
    from perdure.testing.conformance import Storage


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.area}.{check.name}")
async def test_conformance(check: Check, storage: Storage) -> None:
    await check.against(storage)
