"""What the hash commands share: which fields are there to be seen, and setting one as Redis's `hashTypeSet` does.

A field whose deadline has passed is hidden from every command; it stays in the hash until active expiry, or a
write over it, takes it away (Valkey's rule, by which reading never writes). While the primary's stream is
applied, time does not count: everything is seen.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.expire_options import is_past
from txrepl.commands.session import Session
from txrepl.keyspace.database import Event, Expiry, Keyspace
from txrepl.keyspace.scan import INDEXED_FROM, ScanIndex
from txrepl.keyspace.values import HashValue

HASH: Final = int(Event.HASH)
GENERIC: Final = int(Event.GENERIC)

KEEP: Final = -1
"""In place of a deadline: the field keeps the one that it has."""


def is_hidden(keyspace: Keyspace, value: HashValue, field: bytes) -> bool:
    """Whether the field's deadline has passed."""
    deadlines = value.deadlines
    if deadlines is None or keyspace.expiry == Expiry.IGNORE:
        return False
    deadline_ms = deadlines.get(field)
    return deadline_ms is not None and deadline_ms < keyspace.now_ms


def visible(keyspace: Keyspace, value: HashValue, field: bytes) -> bytes | None:
    """What the field holds; None if it is absent or its deadline has passed."""
    if value.deadlines is not None and is_hidden(keyspace, value, field):
        return None
    return value.fields.get(field)


def hidden_fields(keyspace: Keyspace, value: HashValue) -> set[bytes]:
    """All fields whose deadline has passed; empty in the usual case without looking at any."""
    deadlines = value.deadlines
    if deadlines is None or keyspace.expiry == Expiry.IGNORE:
        return set()
    now_ms = keyspace.now_ms
    earliest_ms = value.earliest()
    if earliest_ms is None or earliest_ms >= now_ms:
        return set()
    return {field for field, deadline_ms in deadlines.items() if deadline_ms < now_ms}


def made(s: Session, key: bytes) -> HashValue:
    """The hash for a command that will add to it, made if there was none.

    Raises:
        CommandError: WRONGTYPE.
    """
    value = s.db.write_hash(key)
    if value is None:
        value = HashValue()
        s.db.put(key, value)
    return value


def put_field(keyspace: Keyspace, value: HashValue, field: bytes, text: bytes) -> None:
    """Set a field, whatever it held; its deadline stays."""
    fields = value.fields
    if value.index is not None and field not in fields:
        value.index.added(field)
    fields[field] = text
    if not value.large:
        limits = keyspace.limits
        longest = limits.hash_value
        if len(text) > longest or len(field) > longest or len(fields) > limits.hash_entries:
            value.large = True
    elif value.index is None and len(fields) == INDEXED_FROM:
        value.index = ScanIndex(fields)


def set_field(
    s: Session, key: bytes, value: HashValue, field: bytes, text: bytes, *, deadline_ms: int | None = None
) -> tuple[bool, bool]:
    """Set a field of a hash that has deadlines or gets one (`hashTypeSet`).

    Parameters:
        deadline_ms: the field's deadline from now on, None for none, or `KEEP`.

    Returns:
        Whether the field is new, and whether it is so because the one that was there had expired.
    """
    old_ms = None if value.deadlines is None else value.deadlines.get(field)
    overwritten = old_ms is not None and is_past(s.keyspace, old_ms)
    new = overwritten or field not in value.fields
    put_field(s.keyspace, value, field, text)
    if deadline_ms == KEEP:
        deadline_ms = None if overwritten else old_ms
    if deadline_ms is not None:
        if deadline_ms != old_ms:
            set_deadline(s, key, value, field, deadline_ms)
    elif old_ms is not None:
        drop_deadline(s, key, value, field)
    return new, overwritten


def set_deadline(s: Session, key: bytes, value: HashValue, field: bytes, deadline_ms: int) -> None:
    """Let a field that is there expire: the hash is a hash table from now on."""
    value.set_deadline(field, deadline_ms)
    value.large = True
    s.db.heed(key, value)


def drop_deadline(s: Session, key: bytes, value: HashValue, field: bytes) -> bool:
    """Let a field last; False if it did so already."""
    if not value.drop_deadline(field):
        return False
    if value.deadlines is None:
        s.db.heed(key, value)
    return True


def delete_field(s: Session, key: bytes, value: HashValue, field: bytes) -> bool:
    """Delete a field; False if it is absent or hidden. An emptied hash stays for the caller (`hashTypeDelete`)."""
    if value.deadlines is not None:
        if is_hidden(s.keyspace, value, field):
            return False
        drop_deadline(s, key, value, field)
    return value.fields.pop(field, None) is not None


def expired_over(s: Session, key: bytes, count: int) -> None:
    """So many fields that had expired were written over: they count as expired, and as one event."""
    if count:
        s.keyspace.expired_fields += count
        s.db.notify(HASH, b"hexpired", key)


def delete_if_empty(s: Session, key: bytes, value: HashValue) -> None:
    """Delete the key of a hash that has no field left, with the event for it."""
    if not value.fields:
        s.db.remove(key)
        s.db.notify(GENERIC, b"del", key)
