"""COPY's deep copy: no container is shared between the two keys afterwards.

Members, fields and entries are immutable and stay shared. Follows the `…Dup` functions of Redis.
"""

from __future__ import annotations

from txrepl.keyspace.streams import Consumer, ConsumerGroup, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    SetValue,
    SortedSetValue,
    Value,
    equip,
)


def duplicate(value: Value) -> Value:
    """A copy that can be changed without changing the original."""
    copy = _copy(value)
    equip(copy)
    return copy


def _copy(value: Value) -> Value:
    if isinstance(value, ListValue):
        return ListValue(value.items.copy())
    if isinstance(value, HashValue):
        hash_copy = HashValue(value.fields.copy(), None if value.deadlines is None else value.deadlines.copy())
        hash_copy.large = value.large
        return hash_copy
    if isinstance(value, SetValue):
        set_copy = SetValue(value.members.copy())
        set_copy.large = value.large
        return set_copy
    if isinstance(value, SortedSetValue):
        zset_copy = SortedSetValue(value.scores.copy())
        zset_copy.large = value.large
        return zset_copy
    if isinstance(value, StreamValue):
        return _stream_copy(value)
    return value


def _stream_copy(value: StreamValue) -> StreamValue:
    copy = value.copy()
    copy.groups = {name: _group_copy(group) for name, group in value.groups.items()}
    return copy


def _group_copy(group: ConsumerGroup) -> ConsumerGroup:
    copy = ConsumerGroup(group.last_id, group.entries_read)
    for name, consumer in group.consumers.items():
        copy.consumers[name] = Consumer(consumer.name, consumer.seen_ms, consumer.active_ms)
    for entry_id, entry in group.pending.items():
        copy.assign(entry_id, copy.consumers[entry.consumer.name], entry.delivered_ms, entry.deliveries)
    return copy
