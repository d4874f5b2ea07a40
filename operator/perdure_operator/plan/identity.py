"""Ids and tokens that follow from the object alone, so that doing something twice does it once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from perdure.model.ids import INSTANCE_ID_BYTES_MAX, InstanceId, LeaseToken

if TYPE_CHECKING:
    from perdure_operator.api.v1alpha1 import OrchestrationResource

__all__ = ["DEFAULT_KEY", "instance_of", "is_named", "token_of"]

DEFAULT_KEY = "1"


def is_named(resource: OrchestrationResource) -> bool:
    """Tell whether the manifest names the instance, so that others may have made it."""
    return resource.spec.instance_id is not None


def instance_of(resource: OrchestrationResource, key: str) -> InstanceId:
    """Derive the id of the instance that a run is.

    A named one is the same whichever object asks for it; else it holds the object's uid, so that an
    object deleted and made again never meets the history of the old one.
    """
    meta = resource.metadata
    if named := resource.spec.instance_id:
        return InstanceId(named if key == DEFAULT_KEY else f"{named}/{key}")
    plain = f"{meta.namespace}/{meta.name}/{meta.uid}/{key}"
    if len(plain.encode()) > INSTANCE_ID_BYTES_MAX:
        plain = f"{meta.namespace}/{meta.uid}/{key}"
    return InstanceId(plain)


def token_of(*parts: str) -> LeaseToken:
    """Derive a signed 64-bit token."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return LeaseToken(int.from_bytes(digest[:8], signed=True))
