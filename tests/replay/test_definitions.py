"""Definitions: their names, arguments, options and registries."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import types
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, cast

import pytest

import perdure
from perdure import (
    Activity,
    ActivityContext,
    OrchestrationContext,
    Registry,
    Retry,
    activity,
    current,
    orchestration,
)
from perdure.errors import (
    DefinitionError,
    ForbiddenCallError,
    NotRegisteredError,
    PayloadError,
)
from perdure.model.codec import PAYLOAD_BYTES_MAX
from perdure.model.ids import JsonText


@dataclass
class Order:
    id: str
    amount: int


@activity
def charge(order: Order, currency: str = "EUR", *, dry_run: bool = False) -> Order:
    """Take the money."""
    return order


@activity(name="mail", tag="io", retry=Retry(max_attempts=2), timeout=5)
async def send_mail(ctx: ActivityContext, to: str) -> None:
    """Has a context, which is no argument."""


@orchestration
async def shop(ctx: OrchestrationContext, order: Order, notify: bool = True) -> str:
    return order.id


def test_what_a_definition_tells_of_itself() -> None:
    assert (charge.name, charge.tag, charge.retry, charge.timeout) == ("charge", "", None, None)
    assert (charge.is_async, charge.wants_context) == (False, False)
    assert charge.__doc__ == "Take the money."
    assert (send_mail.name, send_mail.tag, send_mail.timeout) == (
        "mail",
        "io",
        timedelta(seconds=5),
    )
    assert (send_mail.is_async, send_mail.wants_context) == (True, True)
    assert charge.fn(Order("a", 1)) == Order("a", 1)
    assert (shop.name, shop.version) == ("shop", "1.0.0")
    assert repr(shop) == "<orchestration 'shop'>"
    assert "test_definitions.py:" in shop.place


def test_arguments_travel_by_name() -> None:
    text = charge.encode_arguments(Order("a", 1), dry_run=True)
    assert text == '{"order":{"id":"a","amount":1},"dry_run":true}'
    assert charge.decode_arguments(text) == {"order": Order("a", 1), "dry_run": True}
    assert charge.encode_arguments(Order("a", 1), "USD") == (
        '{"order":{"id":"a","amount":1},"currency":"USD"}'
    )
    assert send_mail.encode_arguments("bob") == '{"to":"bob"}'
    assert shop.decode_arguments(JsonText('{"order":{"id":"a","amount":1}}')) == {
        "order": Order("a", 1)
    }
    assert charge.decode_result(charge.encode_result(Order("a", 1))) == Order("a", 1)
    assert send_mail.encode_result(None) == "null"


def call(definition: Any, *args: Any, **kwargs: Any) -> str:
    return str(definition.encode_arguments(*args, **kwargs))


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((), {}, "activity 'charge' lacks the argument 'order'"),
        ((1, 2, 3), {}, "activity 'charge' takes 2 positional arguments, got 3"),
        ((1,), {"order": 2}, "activity 'charge' got argument 'order' twice"),
        (
            (1,),
            {"curency": "EUR"},
            "has no parameter 'curency'; it has 'order', 'currency', 'dry_run'",
        ),
    ],
)
def test_arguments_that_do_not_match(args: Any, kwargs: Any, expected: str) -> None:
    with pytest.raises(TypeError, match=expected):
        call(charge, *args, **kwargs)


def test_arguments_that_do_not_fit_are_named() -> None:
    with pytest.raises(
        PayloadError, match="argument 'currency' of activity 'charge' is declared str, found int"
    ):
        call(charge, Order("a", 1), 7)
    with pytest.raises(PayloadError, match=r"argument 'to' of activity 'mail' .*found None"):
        call(send_mail, None)
    with pytest.raises(
        PayloadError, match="argument 'order' of activity 'charge' is declared Order"
    ):
        call(charge, "a")
    with pytest.raises(
        PayloadError, match="argument 'to' of activity 'mail' holds half of a surro"
    ):
        call(send_mail, "\ud800")


def test_arguments_over_the_limit_are_named_with_their_size() -> None:
    with pytest.raises(PayloadError, match="argument 'to' of activity 'mail' is 2,097,162 bytes"):
        call(send_mail, "x" * (PAYLOAD_BYTES_MAX + 8))
    half = "x" * (PAYLOAD_BYTES_MAX // 2)
    with pytest.raises(
        PayloadError, match=r"the arguments of activity 'charge' is .* \(the largest is"
    ):
        call(charge, Order(half, 1), half + "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"order":{"id":"a","amount":1},"note":1}', "no parameter 'note'; it has 'order'"),
        ("{}", r"activity 'charge' lacks the argument 'order'; it was given \[\]"),
        ('{"order":{"id":"a"}}', "argument of activity 'charge' does not fit: order.amount: Field"),
        ("[1]", "the arguments of activity 'charge' are not a JSON object by name"),
    ],
)
def test_stored_arguments_that_do_not_fit_are_named(text: str, expected: str) -> None:
    with pytest.raises(PayloadError, match=expected):
        charge.decode_arguments(JsonText(text))


def test_options_return_a_copy() -> None:
    other = send_mail.options(tag="gpu", retry=None, timeout=timedelta(minutes=1))
    assert (other.tag, other.retry, other.timeout) == ("gpu", None, timedelta(minutes=1))
    assert (send_mail.tag, send_mail.timeout) == ("io", timedelta(seconds=5))
    assert other.options(timeout=None).retry is None
    assert other.options(timeout=None).timeout is None
    child = shop.options(instance_id="mine", version="2.0.0")
    assert (child.asked_instance, child.asked_version) == ("mine", "2.0.0")
    assert (shop.asked_instance, shop.asked_version) == (None, None)


def test_calls_outside_name_the_remedy() -> None:
    with pytest.raises(
        ForbiddenCallError, match=r"activity 'charge' .*call .*charge\.fn\(\.\.\.\)"
    ):
        charge(Order("a", 1))
    with pytest.raises(ForbiddenCallError, match=r"shop\.fn\(\.\.\.\), or start it with Client"):
        shop(Order("a", 1))
    with pytest.raises(ForbiddenCallError, match=r"perdure\.current\(\) was called where no"):
        current()


def test_annotations_of_local_types() -> None:
    @dataclass
    class Local:
        x: int

    @activity
    def local(value: Local) -> Local:
        return value

    assert local.decode_arguments(local.encode_arguments(Local(1))) == {"value": Local(1)}
    assert local.decode_result(JsonText('{"x":2}')) == Local(2)


def test_the_contexts_type_need_not_be_there_at_run_time() -> None:
    source = (
        "from __future__ import annotations\n"
        "from perdure import activity, orchestration\n"
        "@activity\n"
        "def work(ctx: ActivityContext, name: str) -> int: ...\n"
        "@orchestration\n"
        "async def run(ctx: OrchestrationContext, name: str) -> int: ...\n"
    )
    scope: dict[str, Any] = {"__name__": "app"}
    exec(compile(source, "/app/app.py", "exec"), scope)  # noqa: S102  our own text
    registry = Registry(scope["work"], scope["run"])
    assert registry.activity("work").decode_arguments(JsonText('{"name":"x"}')) == {"name": "x"}
    with pytest.raises(PayloadError, match="does not fit: name: Input should be a valid string"):
        registry.resolve("run").decode_arguments(JsonText('{"name":1}'))


def _no_arguments() -> None: ...
def _star(*args: int) -> None: ...
def _keywords(**kwargs: int) -> None: ...
def _positional(a: int, /) -> None: ...
def _ok(a: int) -> None: ...
async def _no_context() -> None: ...
def _unknown(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _untypable(a: types.FrameType) -> None: ...
def _unstorable() -> types.FrameType: ...  # type: ignore[empty-body]  # never called
async def _for_ever(ctx: OrchestrationContext) -> NoReturn:
    await ctx.continue_as_new()


def _same[T](value: T) -> int: ...  # type: ignore[empty-body]  # never called
def _first[T](values: list[T]) -> T: ...  # type: ignore[empty-body]  # never called
def _maybe[T](number: int) -> dict[str, T | None]: ...  # type: ignore[empty-body]  # never called


@dataclass
class Box[T]:
    value: T


def test_generic_types_come_back() -> None:
    @activity
    def wrap(one: Box[Order], many: list[Box[Box[int]]], any_: Box[Any]) -> Box[Order | None]:
        return Box(None)

    arguments = (Box(Order("a", 1)), [Box(Box(1))], Box("x"))
    found = wrap.decode_arguments(wrap.encode_arguments(*arguments))
    assert tuple(found.values()) == arguments
    assert wrap.decode_result(wrap.encode_result(Box(Order("b", 2)))) == Box(Order("b", 2))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Registry(activity(_same)), "generic: parameter 'value' .* type variable T"),
        (lambda: Registry(activity(_first)), "is generic: parameter 'values' .* Name the type"),
        (lambda: Registry(activity(_maybe)), "is generic: its result is declared with"),
        (lambda: activity(_star), r"activity '_star' takes \*args"),
        (lambda: activity(_keywords), r"activity '_keywords' takes \*\*kwargs"),
        (lambda: activity(_positional), "parameter 'a' is positional-only; drop the `/`"),
        (lambda: activity(name="")(_ok), "activity name '' cannot be"),
        (lambda: activity(name="a\nb")(_ok), "has a control character; leave it out"),
        (lambda: activity(name="x" * 254)(_ok), "254 bytes of UTF-8; it needs 1 to 253"),
        (lambda: activity(tag="x" * 64)(_ok), "has 64 bytes of UTF-8; it needs 1 to 63"),
        (lambda: activity(tag="a,b")(_ok), "has a comma"),
        (lambda: activity(timeout=0)(_ok), "timeout is 0.0 s; it must be more than 0"),
        (
            lambda: activity(timeout=timedelta.max)(_ok),
            "timeout is 999,999,999 days; at most 36,500",
        ),
        (lambda: orchestration(cast("Any", _ok)), "orchestration '_ok' must be `async def`"),
        (
            lambda: orchestration(cast("Any", _no_context)),
            "must take `ctx: OrchestrationContext` first",
        ),
        (lambda: orchestration(version="1")(shop.fn), "version '1' is not a semantic version"),
        (lambda: shop.options(version="v1"), "version 'v1' is not a semantic version"),
        (lambda: Registry(activity(_unknown)), "an annotation cannot be resolved: name 'Missing'"),
        (lambda: Registry(activity(_unstorable)), "its result cannot be stored: values of type"),
        (
            lambda: Registry(activity(_untypable)),
            "parameter 'a' is declared frame, which has no JSON",
        ),
    ],
)
def test_definitions_that_cannot_be(make: Any, expected: str) -> None:
    with pytest.raises(DefinitionError, match=expected):
        make()


def test_an_orchestration_may_run_for_ever() -> None:
    assert Registry(orchestration(_for_ever)).code() == (("_for_ever", "1.0.0"),)


def version(number: str) -> Any:
    @orchestration(name="shop", version=number)
    async def body(ctx: OrchestrationContext) -> str:
        return number

    return body


def test_versions_are_ordered_as_the_standard_says() -> None:
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-2.x",
        "1.0.0",
        "1.2.0",
        "1.10.0",
        "2.0.0+b",
    ]
    registry = Registry(*map(version, reversed(ordered)))
    found = [number for _, number in registry.code()]
    assert found == ["1.0.0-2.x", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", *ordered[4:]]
    assert registry.resolve("shop").version == "2.0.0+b"
    assert registry.resolve("shop", "1.2.0").version == "1.2.0"


def test_what_is_not_registered_is_told_with_what_is() -> None:
    registry = Registry(version("1.0.0"), version("1.1.0"), charge)
    with pytest.raises(NotRegisteredError, match=r"version 3\.0\.0 is not .*: 1\.0\.0, 1\.1\.0"):
        registry.resolve("shop", "3.0.0")
    with pytest.raises(NotRegisteredError, match=r"'store' is not registered here; .* are: shop"):
        registry.resolve("store")
    with pytest.raises(
        NotRegisteredError, match=r"'refund' is not registered here; .* are: charge"
    ):
        registry.activity("refund")
    assert registry.activity("charge") is charge


def test_duplicates_are_refused_with_both_places() -> None:
    def other(order: Order) -> Order:
        return order

    registry = Registry(charge, version("1.0.0"))
    with pytest.raises(
        DefinitionError, match=r"'charge' is defined twice: at .*py:\d+ and at .*py:\d+"
    ):
        registry.add(activity(name="charge")(other))
    with pytest.raises(
        DefinitionError, match=r"'shop' version 1\.0\.0 is defined twice: at .* and at"
    ):
        registry.add(version("1.0.0"))
    assert registry.add(charge).activities == (charge,)


def test_a_module_and_other_registries() -> None:
    module = types.ModuleType("app")
    vars(module).update(
        charge=charge, alias=charge, shop=shop, number=1, more=Registry(send_mail, version("2.0.0"))
    )
    registry = Registry.from_module(module)
    assert [each.name for each in registry.activities] == ["charge", "mail"]
    assert registry.code() == (("shop", "1.0.0"), ("shop", "2.0.0"))
    assert Registry().merge(registry, registry).code() == registry.code()


def test_public_names() -> None:
    assert sorted(perdure.__all__) == list(perdure.__all__)
    for name in perdure.__all__:
        assert getattr(perdure, name)
    assert perdure.Activity is Activity
