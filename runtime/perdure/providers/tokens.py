"""Completion tokens: the lease of an activity as text, for whoever finishes it from outside.

The token holds the random number of the attempt's lease, so that nobody who was not given it can
finish the activity, and nobody can once another attempt has begun.
"""

from __future__ import annotations

import base64
import binascii
import json

from perdure.errors import CallerError
from perdure.model.ids import InstanceId, LeaseToken, OperationId
from perdure.providers.work import ActivityLease

__all__ = ["completion_token", "lease_of"]

_MARK = "pd1."


def completion_token(lease: ActivityLease) -> str:
    """Write a lease as text that is safe in a URL."""
    fields = [lease.instance, lease.execution, lease.operation, lease.token]
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return _MARK + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def lease_of(token: str) -> ActivityLease:
    """Read what `completion_token` wrote.

    Raises:
        CallerError: It is no completion token.
    """
    coded = token.removeprefix(_MARK) if token.startswith(_MARK) else "?"
    try:
        padded = coded + "=" * (-len(coded) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        instance, execution, operation, number = json.loads(text)
        return ActivityLease(
            InstanceId(str(instance)),
            int(execution),
            OperationId(str(operation)),
            LeaseToken(int(number)),
        )
    except (ValueError, TypeError, binascii.Error) as error:
        raise CallerError(
            f"{token[:24]!r} is no completion token; it is the text that "
            "`ActivityContext.defer` returned, whole"
        ) from error
