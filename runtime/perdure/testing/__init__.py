"""What a test of an orchestration, an activity or a provider needs."""

from perdure.testing.environment import Environment, RunParkedError
from perdure.testing.golden import replay_dir
from perdure.testing.runs import RunUnderTest
from perdure.testing.virtual_time import StalledError, VirtualLoop

__all__ = [
    "Environment",
    "RunParkedError",
    "RunUnderTest",
    "StalledError",
    "VirtualLoop",
    "replay_dir",
]
