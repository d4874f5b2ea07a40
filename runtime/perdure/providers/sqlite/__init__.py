"""The provider on SQLite: in a file that several processes may share, or in memory.

Nothing has to be installed or started. Every verb is one transaction of statements from `sql/`,
applied item by item; what a verb promises is said in the protocol.
"""

from perdure.providers.sqlite.memory import MemoryStore
from perdure.providers.sqlite.provider import SqliteProvider

__all__ = ["MemoryStore", "SqliteProvider"]
