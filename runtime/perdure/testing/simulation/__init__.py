"""The whole system in one thread, under faults, from one seed: see `world`.

`python -m perdure.testing.simulation --help` runs worlds from the command line.
"""

from perdure.testing.simulation.world import Violation, World, simulate

__all__ = ["Violation", "World", "simulate"]
