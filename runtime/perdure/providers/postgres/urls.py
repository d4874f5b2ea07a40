"""Whether a URL can name a Postgres, as far as that can be told without asking anybody.

The driver finds most of it out, but late, in the middle of a call, and takes a port beyond the
last one for another. So the port is looked at first.
"""

from __future__ import annotations

from perdure.errors import ConfigurationError
from perdure.model.ids import fault_of, short

__all__ = ["EXPECTED", "check_schema", "check_url"]

EXPECTED = "postgresql://user:password@host:port/database"
_PORT_MAX = 65_535
_SCHEMA_BYTES_MAX = 63
"""Of a longer name Postgres takes the beginning, without a word."""


def check_url(url: str) -> None:
    """Refuse another scheme, and a port that is none; of several hosts, any.

    Raises:
        ConfigurationError: it names what is wrong, and never what else stands in the URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.strip().lower() not in {"postgresql", "postgres"}:
        # Without a scheme it may hold anything, a password too: so it is not shown.
        found = f"its scheme is {scheme!r}" if separator else "it has no scheme"
        raise ConfigurationError(
            f"the database URL cannot be: {found}; expected {EXPECTED}, or sqlite:///FILE"
        )
    places = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    for place in places.split(","):
        if place.startswith("["):
            host, bracket, port = place.partition("]")
            if not bracket:
                msg = f"the host {host[1:]!r} lacks its closing bracket"
                raise ConfigurationError(f"the database URL cannot be: {msg}; expected {EXPECTED}")
        else:
            port = place[place.find(":") :] if ":" in place else ""
        number = port.removeprefix(":")
        if number and not (number.isdecimal() and 0 < int(number) <= _PORT_MAX):
            msg = f"the port is {number!r}, which is no number from 1 to {_PORT_MAX:,}"
            raise ConfigurationError(f"the database URL cannot be: {msg}; expected {EXPECTED}")


def check_schema(schema: str) -> None:
    """Refuse a name that no schema can have.

    Raises:
        ConfigurationError: it names the schema.
    """
    if fault := fault_of(schema, _SCHEMA_BYTES_MAX):
        raise ConfigurationError(f"schema {short(schema)} (PERDURE_SCHEMA) cannot be: it {fault}")
