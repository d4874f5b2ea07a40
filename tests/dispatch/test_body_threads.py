"""Threads for sync activities: as many as there are slots, reused, never waited for."""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context

from perdure.dispatch.body_threads import BodyThreads

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def test_bodies_run_at_once_up_to_the_limit() -> None:
    threads = BodyThreads(3)
    together = threading.Barrier(4)

    def wait() -> None:
        together.wait(10)

    for _ in range(3):
        threads.submit(copy_context(), wait)
    together.wait(10)  # would break if they were not all running
    threads.close()


def test_a_thread_is_reused_when_it_is_free() -> None:
    threads = BodyThreads(50)
    names: set[str] = set()
    for _ in range(20):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            names.add(threading.current_thread().name)
            done.set()

        threads.submit(copy_context(), work)
        assert done.wait(10)
    assert len(names) <= 2  # the first may not have come to rest when the second is asked for
    threads.close()


def test_a_body_sees_the_context_it_was_given() -> None:
    threads = BodyThreads(1)
    seen: list[str] = []
    done = threading.Event()
    context = copy_context()
    context.run(WHO.set, "ada")

    def work() -> None:
        seen.append(WHO.get())
        done.set()

    threads.submit(context, work)
    assert done.wait(10)
    assert seen == ["ada"]
    threads.close()
