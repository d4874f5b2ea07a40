"""In scope: that nothing is lost or doubled while everything is killed; and that it would show.

`make chaos SECONDS=600` does the same for ten minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.load import KINDS
from tests.chaos.run import Settings, run_chaos

if TYPE_CHECKING:
    from pathlib import Path

    import asyncpg


@pytest.mark.slow
async def test_nothing_is_lost_or_doubled_while_everything_is_killed(tmp_path: Path) -> None:
    report = await run_chaos(Settings(30.0, healing=60.0, seed=17, callers=16), tmp_path)
    assert report.is_well, f"{report}\nlogs are in {tmp_path}"
    assert {*report.kills} == {"replayer", "executor", "postmaster", "backend"}, str(report)
    assert {*report.ended} == {*KINDS}, str(report)
    assert min(report.findings.numbers, report.findings.rows, report.findings.outcomes) > 10


@pytest.mark.slow
async def test_what_is_lost_doubled_or_wrong_would_be_found(tmp_path: Path) -> None:
    async def meddle(connection: asyncpg.Connection, path: Path) -> None:
        await connection.execute(
            "insert into chaos_entry select * from chaos_entry"
            " where instance like 'purchase-%' limit 1"
        )
        await connection.execute("delete from chaos_entry where instance like 'trip-%'")
        with Ledger(path) as ledger:
            ledger.write("start", "never", kind="chain", arguments={"steps": 1}, expected=1)
            ledger.write("started", "never")
            ledger.write("start", "chain-0", kind="chain", arguments={"steps": 1}, expected=99)
            ledger.write("send", "mailbox-3", number=77)
            ledger.write("sent", "mailbox-3", number=77)

    settings = Settings(1.0, callers=len(KINDS), replayers=1, executors=1, pause=(9, 9))
    found = (await run_chaos(settings, tmp_path, meddle)).findings
    assert "never was acknowledged and is not there" in found.lost
    assert "mailbox-3 never got [77], which were acknowledged" in found.lost
    assert any(each.startswith("the row leg-0 of trip-") for each in found.lost)
    assert any(each.startswith("the row ") for each in found.doubled)
    assert [each.partition(" came to ")[0] for each in found.wrong] == ["chain-0"]
