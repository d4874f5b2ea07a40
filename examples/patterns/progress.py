"""Show how far a run is.

Use the custom status: any JSON value, seen by `perdure get`, `kubectl get orch`, `handle.status()`
and whoever watches. It costs nothing beside the turn that sets it, and comes along by
continue-as-new.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def copy_table(table: str) -> int:
    return len(table)


@orchestration
async def copy_database(ctx: OrchestrationContext, tables: list[str]) -> int:
    rows = 0
    for number, table in enumerate(tables):
        ctx.status = {"table": table, "percent": 100 * number // len(tables)}
        rows += await copy_table(table)
    del ctx.status
    return rows
