"""The engine we learned from, row by row, and what stands for each row here.

The tables are data: every name in them is looked up by a test, which also holds that nothing of
ours is missing. `python -m perdure.testing.semantics` writes `docs/semantics.md`, and
`python -m perdure.testing.semantics names` writes `docs/seed-names.md`.
"""

from perdure.testing.semantics.names import CLIENT, CONTEXT
from perdure.testing.semantics.page import TABLES, names_page, semantics_page
from perdure.testing.semantics.rows import Row, Table, resolve

__all__ = [
    "CLIENT",
    "CONTEXT",
    "TABLES",
    "Row",
    "Table",
    "names_page",
    "resolve",
    "semantics_page",
]
