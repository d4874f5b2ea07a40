"""Arguments and results of your own types.

Use dataclasses, pydantic models, enums, dates and unions as you would anyway. They travel as JSON
by their annotations, come back as what they were, and are checked where they are made. A field with
a default may be added while runs are under way.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Literal

from perdure import OrchestrationContext, activity, orchestration


class Size(Enum):
    SMALL = "S"
    LARGE = "L"


@dataclass(frozen=True)
class Card:
    number: str
    kind: Literal["card"] = "card"


@dataclass(frozen=True)
class Invoice:
    due: date
    kind: Literal["invoice"] = "invoice"


@dataclass(frozen=True)
class Order:
    size: Size
    price: Decimal
    payment: Card | Invoice
    wishes: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


@activity
def extend(order: Order, days: int) -> Order:
    match order.payment:
        case Card():
            return order
        case Invoice(due=due):
            return Order(order.size, order.price, Invoice(due + timedelta(days=days)), order.wishes)


@orchestration
async def grant_delay(ctx: OrchestrationContext, order: Order, days: int = 14) -> Order:
    return await extend(order, days)
