"""Backs up every database of a Postgres server, and proves each backup by restoring it.

`perdure executor --app pgbackup --tags io` and `perdure replayer --app pgbackup` find here what
they may run.
"""

from .activities import (
    delete,
    discard,
    dump,
    finish,
    list_databases,
    pack,
    surplus,
    sweep,
    verify,
)
from .orchestration import pgbackup

__all__ = [
    "delete",
    "discard",
    "dump",
    "finish",
    "list_databases",
    "pack",
    "pgbackup",
    "surplus",
    "sweep",
    "verify",
]
