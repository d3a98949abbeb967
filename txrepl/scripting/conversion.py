"""Replies as Lua values (`redisProtocolToLuaType`).

Python containers here become Lua tables at once, by the machine; `None` is nil.
"""

from __future__ import annotations

from typing import Any

from txrepl.errors import CommandError
from txrepl.keyspace.numbers import format_double
from txrepl.resp.replies import DoubleText, Keyed, NoReply, NullArray, Pairs, Reply, SetReply, Verbatim

LuaValue = Any
"""bytes, int, float, bool, None, or a list or dict of such."""

ITEM_BYTES = 64
"""What an element of a table takes at most, beside its text."""


def error_table(error: CommandError) -> dict[bytes, LuaValue]:
    """What redis.pcall returns of an error: counted already, so not to be counted again when the script returns it."""
    message = error.message.strip(b"\r\n")
    return {b"err": message if b" " in message else b"ERR " + message, b"ignore_error_stats_update": True}


def lua_value(reply: Reply, resp: int) -> LuaValue:
    """The Lua value of a reply.

    Parameters:
        reply: what a command answered.
        resp: the protocol that the script has chosen, 2 or 3.
    """
    if isinstance(reply, bytes):
        return reply
    if isinstance(reply, bool):
        return reply if resp == 3 else int(reply)
    if isinstance(reply, int):
        return reply
    if reply is None or isinstance(reply, NullArray | NoReply):
        return None if resp == 3 else False
    if isinstance(reply, str):
        return {b"ok": reply.encode()}
    if isinstance(reply, float | DoubleText):
        text = format_double(reply) if isinstance(reply, float) else reply.text
        return {b"double": float(text)} if resp == 3 else text
    if isinstance(reply, CommandError):
        return error_table(reply)
    if isinstance(reply, Verbatim):
        if resp == 3:
            return {b"verbatim_string": {b"string": reply.text, b"format": reply.form}}
        return reply.text
    return _collection(reply, resp)


def _collection(reply: Any, resp: int) -> LuaValue:
    if isinstance(reply, dict):
        return _map(list(reply.items()), resp) if resp == 3 else _flat(list(reply.items()), resp)
    if isinstance(reply, Pairs):
        if resp == 3:
            return [[lua_value(first, resp), lua_value(second, resp)] for first, second in reply]
        return _flat(reply, resp)
    if isinstance(reply, Keyed):
        if resp == 3:
            return _map(reply, resp)
        return [[lua_value(first, resp), lua_value(second, resp)] for first, second in reply]
    if isinstance(reply, SetReply) and resp == 3:
        return {b"set": {lua_value(item, resp): True for item in reply if item is not None}}
    return [item if item.__class__ is bytes else lua_value(item, resp) for item in reply]


def _map(items: list[tuple[Reply, Reply]], resp: int) -> LuaValue:
    return {b"map": {lua_value(key, resp): lua_value(value, resp) for key, value in items if key is not None}}


def _flat(items: list[tuple[Reply, Reply]], resp: int) -> LuaValue:
    return [lua_value(item, resp) for pair in items for item in pair]


def size_bytes(value: LuaValue) -> int:
    """About how many bytes a value takes in Lua, at most."""
    if isinstance(value, bytes):
        return len(value) + ITEM_BYTES
    if isinstance(value, list):
        return ITEM_BYTES * (len(value) + 2) + sum(
            len(item) if item.__class__ is bytes else size_bytes(item) for item in value
        )
    if isinstance(value, dict):
        return ITEM_BYTES * 2 * (len(value) + 2) + sum(size_bytes(k) + size_bytes(v) for k, v in value.items())
    return ITEM_BYTES
