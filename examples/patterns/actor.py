"""One long-lived thing that takes commands, one after the other.

Use it for an account, a device, a session of a game: whatever must not be changed by two at once.
No lock is needed, since there is one instance of an id and it does one thing at a time.
"""

from dataclasses import dataclass, replace
from typing import Literal

from perdure import OrchestrationContext, activity, orchestration

COMMANDS = 100
"""Of one execution."""


@dataclass(frozen=True)
class Command:
    verb: Literal["deposit", "withdraw", "close"]
    cents: int = 0


@dataclass(frozen=True)
class Account:
    owner: str
    cents: int = 0
    refused: int = 0


@activity
def send_statement(account: Account) -> None:
    print(f"{account.owner} has {account.cents}")


@orchestration
async def account_of(ctx: OrchestrationContext, account: Account) -> Account:
    commands = ctx.queue("commands", Command)
    for _ in range(COMMANDS):
        match await commands.get():
            case Command("deposit", cents):
                account = replace(account, cents=account.cents + cents)
            case Command("withdraw", cents) if cents <= account.cents:
                account = replace(account, cents=account.cents - cents)
            case Command("withdraw"):
                account = replace(account, refused=account.refused + 1)
            case _:
                await send_statement(account)
                return account
        ctx.kv["cents"] = account.cents
    return await ctx.continue_as_new(account)
