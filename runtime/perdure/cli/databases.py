"""`perdure db`: the schema of the database."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, database_url
from perdure.cli.exits import ExitCode
from perdure.cli.output import Output, OutputOption, print_document, warn
from perdure.errors import ConfigurationError
from perdure.model.ids import UNTAGGED
from perdure.providers.opening import is_sqlite, open_provider
from perdure.providers.postgres import check as check_schema
from perdure.providers.postgres import migrate as migrate_schema
from perdure.providers.postgres import status as schema_status
from perdure.providers.postgres.granting import allow_tags
from perdure.replay.checks import checked_tag

__all__ = ["check", "grant_tag", "migrate", "status"]


async def _open(url: str) -> None:
    async with open_provider(url):
        pass


def _postgres_url(given: str | None) -> str:
    url = database_url(given)
    if is_sqlite(url):
        raise ConfigurationError(
            "this asks a schema of Postgres; a SQLite file is brought to what this release needs "
            "whenever it is opened"
        )
    return url


def migrate(
    *,
    roles: Annotated[
        bool,
        typer.Option(
            "--roles/--no-roles", help="Make the group roles and grant to them, where we may."
        ),
    ] = True,
    output: OutputOption = Output.TABLE,
    url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Make the schema, or bring it to what this release needs.

    Safe to run again, and by several at once: all of it happens in one transaction. Needs a
    login that may create the schema or owns it.

    Examples:
        perdure db migrate --database-url postgresql://admin@db.test/shop
    """
    target = database_url(url)
    if is_sqlite(target):
        asyncio.run(_open(target))
        typer.echo("The tables are what this release needs: opening a SQLite file sees to it")
        return
    report = asyncio.run(migrate_schema(target, schema=schema, roles=roles))
    if output in {Output.JSON, Output.YAML}:
        document = {
            "schema": report.schema,
            "version": report.version,
            "applied": list(report.applied),
            "replaced": list(report.replaced),
            "roles": report.roles,
        }
        print_document(document, output)
        return
    done = f"{len(report.applied)} migrations applied, {len(report.replaced)} functions replaced"
    is_new = report.applied or report.replaced
    typer.echo(
        f"Schema {report.schema} is at migration {report.version}: "
        f"{done if is_new else 'nothing was to do'}"
    )
    if roles and not report.roles:
        warn("the group roles were not made: this login may not create roles")


def status(
    *,
    output: OutputOption = Output.TABLE,
    url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Say whether the schema is what this release needs; exits with 5 if it is not.

    Examples:
        perdure db status -o json
    """
    found = asyncio.run(schema_status(_postgres_url(url), schema=schema))
    if output in {Output.JSON, Output.YAML}:
        document = {
            "schema": found.schema,
            "version": found.version,
            "wanted": found.wanted,
            "pending": list(found.pending),
            "changed": list(found.changed),
            "isCurrent": found.is_current,
        }
        print_document(document, output)
    else:
        typer.echo(f"Schema {found.schema} is at migration {found.version} of {found.wanted}")
    if not found.is_current:
        behind = f"{len(found.pending)} migrations and {len(found.changed)} functions to apply"
        if found.version > found.wanted:
            behind = "it was migrated by a newer release: install that"
        warn(f"this release needs another schema: {behind}. Run: perdure db migrate")
        raise typer.Exit(ExitCode.UNREACHABLE)


def check(
    *,
    output: OutputOption = Output.TABLE,
    url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Compare the schema with what this release makes, piece by piece; exits with 5 if it differs.

    Finds what was changed by hand, which `status` does not ask. Needs a login that may create a
    schema: one is made to compare with, in a transaction that is rolled back. What is there beside
    ours, such as an index of your own, is named and is no fault.

    Examples:
        perdure db check
    """
    drift = asyncio.run(check_schema(_postgres_url(url), schema=schema))
    kinds = {"missing": drift.missing, "different": drift.different, "unexpected": drift.unexpected}
    if output in {Output.JSON, Output.YAML}:
        document = {
            "schema": drift.schema,
            "isClean": drift.is_clean,
            **{kind: list(names) for kind, names in kinds.items()},
        }
        print_document(document, output)
    else:
        for kind, names in kinds.items():
            for name in names:
                typer.echo(f"{kind}: {name}")
        if drift.is_clean:
            typer.echo(f"Schema {drift.schema} is as this release makes it")
    if not drift.is_clean:
        warn(
            "the schema differs from what this release makes. Run: perdure db migrate; what it "
            "does not mend was changed by hand"
        )
        raise typer.Exit(ExitCode.UNREACHABLE)


def grant_tag(
    *,
    role: Annotated[str, typer.Argument(metavar="ROLE", show_default=False)],
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[TAG]...", show_default=False)
    ] = None,
    untagged: Annotated[
        bool, typer.Option("--untagged", help="Also activities that name no tag.")
    ] = False,
    none: Annotated[bool, typer.Option("--none", help="Take every tag away.")] = False,
    url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Let a role of Postgres, and its members, take activities of exactly these tags.

    What it was granted before is replaced. Needs a login that is an admin of Perdure.

    Examples:
        perdure db grant-tag perdure_executor gpu cpu --untagged
        perdure db grant-tag billing_executor --none
    """
    granted = [checked_tag(f"role {role!r}", tag) for tag in tags or []]
    granted += [UNTAGGED] if untagged else []
    if bool(granted) == none:
        raise ConfigurationError("Give tags or --untagged, or take all away by --none")
    asyncio.run(allow_tags(_postgres_url(url), role, granted, schema=schema))
    said = ", ".join(tag or "(untagged)" for tag in granted)
    typer.echo(f"{role}: may take {said or 'nothing'}")
