"""Between storage and code: fetch leased work, run it, hand in what came out.

`TurnDispatcher` runs turns of orchestrations, `ActivityDispatcher` attempts of activities. Both
sleep until storage says that something is due, renew what they hold, and keep calm while storage
is away. Neither knows SQL, the inside of a turn, or Kubernetes.
"""

from perdure.dispatch.activities import ActivityDispatcher
from perdure.dispatch.settings import ActivitySettings, TurnSettings
from perdure.dispatch.storage import Pulse
from perdure.dispatch.turns import TurnDispatcher

__all__ = [
    "ActivityDispatcher",
    "ActivitySettings",
    "Pulse",
    "TurnDispatcher",
    "TurnSettings",
]
