"""In scope: a process that a call in C has silenced says where, though no Python can run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import re
from perdure.executor import process
from perdure.executor.settings import ProcessSettings
from perdure.providers.reading import Role

process.SILENT_SECONDS = 0.2
replayer = process._Process(ProcessSettings("postgresql://nowhere/db"), Role.REPLAY)
replayer.beat()

def order():
    re.match(r"(a+)+$", "a" * 24 + "b")

order()
"""


def test_the_stack_is_written_while_the_interpreter_is_held(tmp_path: Path) -> None:
    program = tmp_path / "shop.py"
    program.write_text(_PROGRAM)
    ended = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stderr.startswith("Timeout (0:00:00.2")
    assert f'File "{program}", line 12 in order' in ended.stderr
