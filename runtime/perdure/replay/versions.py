"""Semantic versions, compared as the standard orders them; build metadata does not count."""

from __future__ import annotations

import re

from perdure.errors import DefinitionError

__all__ = ["check_version", "version_key"]

_NUMBER = r"(0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def check_version(owner: str, version: object) -> str:
    """Return `version` if it is one.

    Raises:
        DefinitionError: it is not a semantic version.
    """
    if not isinstance(version, str) or _SEMVER.fullmatch(version) is None:
        msg = f"{owner}: version {version!r} is not a semantic version such as '1.2.0'"
        raise DefinitionError(msg)
    return version


def version_key(version: str) -> tuple[object, ...]:
    """Return what sorts versions; a pre-release comes before its release."""
    found = _SEMVER.fullmatch(version)
    if found is None:
        msg = f"version {version!r} is not a semantic version such as '1.2.0'"
        raise DefinitionError(msg)
    major, minor, patch, pre = found.groups()
    release = (int(major), int(minor), int(patch))
    if pre is None:
        return (*release, 1, ())
    parts = tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in pre.split(".")
    )
    return (*release, 0, parts)
