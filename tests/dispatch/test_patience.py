"""How storage that is away is waited for."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from perdure.errors import ProviderError
from perdure.providers.patience import Patience


def test_waits_grow_to_a_limit_and_are_never_the_same() -> None:
    patience = Patience(
        first=timedelta(seconds=1),
        factor=2,
        longest=timedelta(seconds=5),
        dice=random.Random(7),
    )
    for tries, whole in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (500, 5.0)):
        waits = {patience.wait_after(tries) for _ in range(50)}
        assert len(waits) > 40
        assert all(whole / 2 <= wait <= whole for wait in waits)


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    failures = 3
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        if calls <= failures:
            raise ProviderError("fetch", "away", retryable=True)
        return "here"

    assert await Patience(first=timedelta(0)).persist(call) == "here"
    assert calls == failures + 1


async def test_what_cannot_help_is_not_repeated() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise ProviderError("fetch", "permission denied", retryable=False)

    with pytest.raises(ProviderError, match="permission denied"):
        await Patience(first=timedelta(0)).persist(call)
    assert calls == 1


async def test_patience_ends() -> None:
    async def call() -> None:
        raise ProviderError("fetch", "away", retryable=True)

    patience = Patience(first=timedelta(milliseconds=5), total=timedelta(milliseconds=20))
    with pytest.raises(ProviderError, match="away"):
        await patience.persist(call)
