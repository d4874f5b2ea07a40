"""`perdure version`."""

from __future__ import annotations

import platform
from importlib.metadata import version as version_of

from perdure.cli.output import Output, OutputOption, print_document

__all__ = ["version"]


def version(output: OutputOption = Output.TABLE) -> None:
    """Print the version of Perdure, and of the Python that runs it."""
    found = {"perdure": version_of("perdure"), "python": platform.python_version()}
    if output in {Output.JSON, Output.YAML}:
        print_document(found, output)
    else:
        print(f"perdure {found['perdure']} (Python {found['python']})")  # noqa: T201  its purpose
