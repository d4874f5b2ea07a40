"""The reasons of conditions, which programs read; docs/kubernetes.md says what to do."""

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """Why a condition is as it is; a released word never changes its meaning."""

    # Before the start.
    ACCEPTED = "Accepted"
    NOT_STARTED = "NotStarted"
    WAITING_FOR_EARLIER_RUN = "WaitingForEarlierRun"
    INPUT_NOT_FOUND = "InputNotFound"
    INPUT_INVALID = "InputInvalid"
    INSTANCE_EXISTS = "InstanceExists"
    # Under way.
    STARTED = "Started"
    STARTING = "Starting"
    RUNNING = "Running"
    CANCELLING = "Cancelling"
    SUSPENDED_BY_SPEC = "SuspendedBySpec"
    SUSPENDED_BY_API = "SuspendedByApi"
    NOT_SUSPENDED = "NotSuspended"
    # In the way. The engine has reasons of its own for a run that it parked, such as
    # `Nondeterminism`; they are shown as they are.
    NO_REPLAYER = "NoReplayer"
    NO_EXECUTOR = "NoExecutor"
    DATABASE_UNREACHABLE = "DatabaseUnreachable"
    NOT_BLOCKED = "NotBlocked"
    # Over.
    COMPLETED = "Completed"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"
    CANCELLED_BY_API = "CancelledByApi"
    CANCELLED_BEFORE_START = "CancelledBeforeStart"
    TERMINATED = "Terminated"
    TERMINATED_BY_API = "TerminatedByApi"
    INSTANCE_LOST = "InstanceLost"
    # Pools.
    AVAILABLE = "Available"
    UNAVAILABLE = "Unavailable"
    SCALED_TO_ZERO = "ScaledToZero"
    ROLLING_OUT = "RollingOut"
    ROLLED_OUT = "RolledOut"
    HEALTHY = "Healthy"
    CODE_NOT_FOUND = "CodeNotFound"
    APP_NOT_LOADING = "AppNotLoading"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONFIGURATION_MISSING = "ConfigurationMissing"
    UNSCHEDULABLE = "Unschedulable"
    PODS_FAILING = "PodsFailing"
    POD_TEMPLATE_REFUSED = "PodTemplateRefused"
    # Both.
    NOT_STALLED = "NotStalled"
    SETTLED = "Settled"
