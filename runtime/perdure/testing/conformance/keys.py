"""Key-value maps, attributes, tenants: what others read of an instance, and find it by."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import KeyValue, ParentLink
from perdure.providers.work import CommitOutcome, Control, ControlVerb, KeyWrite
from perdure.testing.conformance.registry import check
from perdure.testing.conformance.world import World, by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.work import LeasedTurn


def sets(**values: str | None) -> Sequence[KeyWrite]:
    """Make writes; None clears."""
    return [
        KeyWrite(key, None if value is None else JsonText(value)) for key, value in values.items()
    ]


async def writes(w: World, instance: str, keys: Sequence[KeyWrite], **decisions: Any) -> LeasedTurn:
    """Take a turn that writes keys; the instance is started if it must be."""
    await w.send(w.starting(instance))
    await w.send(w.event(instance))
    turn = by_id(await w.turns())[instance]
    assert await w.commit(turn, keys=keys, **decisions) is CommitOutcome.COMMITTED
    return turn


@check(
    "kv_store.kv_set_and_get",
    "kv_store.kv_overwrite",
    "kv_store.kv_get_nonexistent",
    "kv_store.kv_execution_id_tracking",
    "kv_store.kv_delta_client_reads_merged",
)
async def a_key_is_set_and_set_again(w: World) -> None:
    await writes(w, "a", sets(x="1", y='"two"'))
    assert await w.keys("a") == {"x": "1", "y": '"two"'}
    assert await w.keys("a", "x") == {"x": "1"}
    assert await w.keys("a", "z") == {}
    await writes(w, "a", sets(x="3"))
    assert await w.keys("a") == {"x": "3", "y": '"two"'}


@check(
    "kv_store.kv_clear_single",
    "kv_store.kv_clear_all",
    "kv_store.kv_clear_nonexistent_key",
    "kv_store.kv_delta_tombstone_overrides_store",
    "kv_store.kv_delta_clear_all_tombstones_store",
    "kv_store.kv_snapshot_after_clear_single",
    "kv_store.kv_snapshot_after_clear_all",
)
async def keys_are_cleared_one_or_all(w: World) -> None:
    await writes(w, "a", sets(x="1", y="2", z="3"))
    await writes(w, "a", sets(y=None, nothing=None))
    assert await w.keys("a") == {"x": "1", "z": "3"}
    await writes(w, "a", [], clear_keys=True)
    assert await w.keys("a") == {}
    await writes(w, "a", [], clear_keys=True)


@check("kv_store.kv_set_after_clear")
async def clearing_comes_before_the_writes_and_the_last_write_counts(w: World) -> None:
    await writes(w, "a", sets(x="1", y="2"))
    twice = [*sets(x="3"), *sets(x=None), *sets(z="4"), *sets(z="5")]
    await writes(w, "a", twice, clear_keys=True)
    assert await w.keys("a") == {"z": "5"}
    await writes(w, "a", [*sets(z=None), *sets(z="6")])
    assert await w.keys("a") == {"z": "6"}


@check(
    "kv_store.kv_instance_isolation",
    "kv_store.kv_clear_isolation",
)
async def instances_have_maps_of_their_own(w: World) -> None:
    await w.start("a", "b")
    turns = by_id(await w.turns())
    await w.provider.commit_turns(
        [w.commit_of(turns[each], keys=sets(x=f'"{each}"', y="1")) for each in ("b", "a")]
    )
    await writes(w, "a", [], clear_keys=True)
    assert (await w.keys("a"), await w.keys("b")) == ({}, {"x": '"b"', "y": "1"})


@check("kv_store.kv_get_unknown_instance", "kv_store.kv_snapshot_empty")
async def maps_are_read_many_at_once_in_order(w: World) -> None:
    await writes(w, "a", sets(b="1", a="2"))
    await writes(w, "c", sets(b="3"))
    ids = [InstanceId(each) for each in ("c", "nobody", "a", "a")]
    found = await w.provider.read_keys(ids)
    assert [[entry.key for entry in each] for each in found] == [["b"], [], ["a", "b"], ["a", "b"]]
    found = await w.provider.read_keys(ids, "b")
    assert [[entry.value for entry in each] for each in found] == [["3"], [], ["1"], ["1"]]
    assert list(await w.provider.read_keys([])) == []


@check()
async def a_key_has_the_time_of_the_turn_that_set_it(w: World) -> None:
    await writes(w, "a", sets(x="1", y="2"))
    await writes(w, "a", sets(x="3"))
    turns = [record.at for record in await w.history("a") if record.kind.name == "TURN"]
    (found,) = await w.provider.read_keys([InstanceId("a")])
    assert list(found) == [
        KeyValue("x", JsonText("3"), turns[1]),
        KeyValue("y", JsonText("2"), turns[0]),
    ]


@check(
    "kv_store.kv_empty_value",
    "kv_store.kv_large_value",
    "kv_store.kv_special_chars_in_key",
)
async def a_key_may_be_any_text_and_a_value_large(w: World) -> None:
    large = JsonText('"' + "x" * 64 * 1024 + '"')
    odd = {"": '""', "with space": large, "ünï/…😀": "null", "a.b'c\"d%_": "[]", "A": "1", "a": "2"}
    await writes(w, "a", sets(**odd))
    assert await w.keys("a") == odd


@check(
    "kv_store.kv_cross_execution_overwrite",
    "kv_store.kv_cross_execution_remove_readd",
    "kv_store.kv_delta_merged_on_can",
    "kv_store.kv_snapshot_cross_execution",
    "kv_store.kv_delta_snapshot_includes_completed_execution",
)
async def keys_outlive_the_execution(w: World) -> None:
    await writes(w, "a", sets(kept="1", changed="1", gone="1", back="1"), **w.again())
    await writes(w, "a", sets(changed="2", gone=None, back=None), **w.again())
    assert await w.keys("a") == {"kept": "1", "changed": "2"}
    await writes(w, "a", sets(back="3"))
    assert await w.keys("a") == {"kept": "1", "changed": "2", "back": "3"}


@check("kv_store.kv_delta_merged_on_completion", "kv_store.kv_snapshot_in_fetch")
async def keys_can_be_read_after_the_end(w: World) -> None:
    await writes(w, "a", sets(x="1"))
    await w.send(w.event("a"))
    await w.end(await w.turn(), keys=sets(y="2"))
    assert await w.keys("a") == {"x": "1", "y": "2"}
    await writes(w, "b", sets(x="1"))
    await w.provider.control([Control(InstanceId("b"), ControlVerb.TERMINATE)])
    assert await w.keys("b") == {"x": "1"}


@check("kv_store.kv_delta_snapshot_excludes_current_execution")
async def a_refused_commit_writes_no_key(w: World) -> None:
    await writes(w, "a", sets(x="1"))
    await w.send(w.event("a"))
    turn = await w.turn()
    lost = w.commit_of(
        replace(turn, token=w.token()),
        keys=sets(x="2", y="2"),
        clear_keys=True,
        attributes=JsonText('{"x":1}'),
    )
    held = w.commit_of(turn, keys=sets(z="3"))
    for commit, outcome in ((lost, CommitOutcome.LOST), (held, CommitOutcome.COMMITTED)):
        assert list(await w.provider.commit_turns([commit])) == [outcome]
    assert await w.keys("a") == {"x": "1", "z": "3"}
    assert (await w.info("a")).attributes is None


@check()
async def a_commit_sent_again_does_not_write_over_later_keys(w: World) -> None:
    await w.start("a")
    commit = w.commit_of(await w.turn(), keys=sets(x="1"), clear_keys=True)
    assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    await writes(w, "a", sets(x="2", y="2"))
    assert list(await w.provider.commit_turns([commit])) == [CommitOutcome.COMMITTED]
    assert await w.keys("a") == {"x": "2", "y": "2"}


# ----------------------------------------------------------------------- attributes, tenants


@check()
async def attributes_are_laid_over_those_that_there_are(w: World) -> None:
    await w.start("a", attributes='{"region":"eu","size":1,"hot":true}')
    assert _read((await w.info("a")).attributes) == {"region": "eu", "size": 1, "hot": True}
    await w.advance_turn(attributes=JsonText('{"size":2.5,"hot":null,"ünï":"x"}'))
    expected = {"region": "eu", "size": 2.5, "ünï": "x"}
    assert _read((await w.info("a")).attributes) == expected
    await w.send(w.event("a"))
    await w.advance_turn(**w.again())
    await w.end(await w.turn())
    assert _read((await w.info("a")).attributes) == expected


@check()
async def attributes_that_are_all_taken_away_are_none(w: World) -> None:
    await w.start("a")
    assert (await w.info("a")).attributes is None
    await w.advance_turn(attributes=JsonText('{"x":1,"y":2}'))
    await w.send(w.event("a"))
    await w.advance_turn(attributes=JsonText('{"x":null,"y":null,"z":null}'))
    assert (await w.info("a")).attributes is None


@check()
async def what_a_turn_starts_belongs_to_its_tenant(w: World) -> None:
    await w.start("a", tenant="team")
    link = ParentLink(InstanceId("a"), 1, OperationId("0:1"))
    await w.send(w.event("early"))
    await w.advance_turn(
        messages=[
            w.starting("child", parent=link),
            w.starting("early"),
            w.starting("detached"),
            w.starting("other", tenant="others"),
        ]
    )
    expected = {"child": "team", "early": "team", "detached": "team", "other": "others"}
    assert {each: (await w.info(each)).tenant for each in expected} == expected
    turns = by_id(await w.turns())
    await w.commit(turns["child"], **w.again(), messages=[w.starting("grandchild")])
    assert (await w.info("grandchild")).tenant == "team"
    assert (await w.info("child")).tenant == "team"


def _read(attributes: JsonText | None) -> object:
    return None if attributes is None else json.loads(attributes)
