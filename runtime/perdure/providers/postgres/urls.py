"""Whether a URL can name a Postgres, as far as that can be told without asking anybody.

The driver finds most of it out, but late, in the middle of a call, and takes a port beyond the
last one for another. So the port is looked at first.
"""

from __future__ import annotations

from perdure.errors import ConfigurationError

__all__ = ["EXPECTED", "check_url"]

EXPECTED = "postgresql://user:password@host:port/database"
_PORT_MAX = 65_535


def check_url(url: str) -> None:
    """Refuse a port that is none; of several hosts, any.

    Raises:
        ConfigurationError: it names the port, and never what else stands in the URL.
    """
    _, separator, rest = url.partition("://")
    if not separator:
        return
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
