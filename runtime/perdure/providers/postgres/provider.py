"""`PostgresProvider`: the protocol, one function of SQL for each verb.

A verb turns values into rows (`rows`), calls its function (`calls`), turns rows into values, and
posts hints (`listen`). The promises are kept in SQL; see the header of each function.
"""

from __future__ import annotations

from perdure.providers.postgres.activities import ActivityVerbs
from perdure.providers.postgres.administration import AdministrationVerbs
from perdure.providers.postgres.limits import LimitVerbs
from perdure.providers.postgres.messages import MessageVerbs
from perdure.providers.postgres.questions import QuestionVerbs
from perdure.providers.postgres.reading import ReadingVerbs
from perdure.providers.postgres.transactions import TransactionVerbs
from perdure.providers.postgres.turns import TurnVerbs

__all__ = ["PostgresProvider"]


class PostgresProvider(
    MessageVerbs,
    TurnVerbs,
    ActivityVerbs,
    ReadingVerbs,
    QuestionVerbs,
    AdministrationVerbs,
    LimitVerbs,
    TransactionVerbs,
):
    """Storage in one schema of a Postgres database.

    Args:
        url: `postgresql://…`, of a login that may call the functions.
        schema: Where `migrate` put the tables.
        connections: How many calls may be on their way at once; two more connections carry hints.
        application_name: What Postgres shows beside the connections.
        call_seconds: How long one call may take, connecting included.
        listen: False behind a pooler that lends connections by the transaction: hints from other
            processes are then not heard, and polling alone finds work.
        prepare: False behind such a pooler that cannot keep prepared statements either.
        inbox_limit: Unread messages that one instance takes before it refuses more.
        keep_early: How long messages wait for an instance that nobody has started.
        clock: For tests alone: the time to use instead of the database's.
    """
