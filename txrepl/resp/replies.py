"""Replies as values, and their bytes in RESP2 and RESP3.

A command answers with a plain Python value; which bytes that makes depends on the client's protocol:

    value               RESP2                   RESP3
    bytes               bulk string             bulk string
    str                 simple string           simple string
    int                 integer                 integer
    float               bulk string             double
    DoubleText          bulk string             double
    BigNumber           bulk string             big number
    bool                integer 1 or 0          boolean
    None                null bulk string        null
    NULL_ARRAY          null array              null
    list, tuple         array                   array
    dict                flat array              map
    SetReply            array                   set
    Pairs               flat array              array of two-element arrays
    Keyed               array of pairs          map
    Verbatim            bulk string             verbatim string
    Push                array                   push
    Attributed          the reply alone         attributes, then the reply
    CommandError        error                   error
    NO_REPLY            nothing                 nothing
    Many                each reply in a row     each reply in a row
    Wire                the bytes as they are   the bytes as they are
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import Final

from txrepl.errors import CommandError
from txrepl.keyspace.numbers import format_double


class NullArray:
    """The type of `NULL_ARRAY`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NULL_ARRAY"


class NoReply:
    """The type of `NO_REPLY`."""

    __slots__ = ()


class SetReply(list["Reply"]):
    """An unordered collection of replies, without repeats."""


class Pairs(list[tuple["Reply", "Reply"]]):
    """Pairs that RESP2 flattens (WITHSCORES, WITHVALUES)."""


class Keyed(list[tuple["Reply", "Reply"]]):
    """What RESP3 gives as a map, keys repeated or not, and RESP2 as an array of pairs (XREAD)."""


class Push(list["Reply"]):
    """An out-of-band message (pub/sub)."""


class Many(list["Reply"]):
    """Several replies in a row, each on its own: SUBSCRIBE confirms every channel."""


class Wire:
    """A reply whose bytes are made already, for the protocol of the client that gets it (a script's).

    Parameters:
        data: the bytes.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class DoubleText:
    """A double that is printed in a form of its own (`addReplyHumanLongDouble`).

    Parameters:
        text: the number.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class BigNumber:
    """An integer of any size, as its decimal digits.

    Parameters:
        text: the digits.
    """

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


class Attributed:
    """A reply with facts beside it, which only RESP3 can tell.

    Parameters:
        attributes: the facts.
        reply: the reply.
    """

    __slots__ = ("attributes", "reply")

    def __init__(self, attributes: dict[Reply, Reply], reply: Reply) -> None:
        self.attributes = attributes
        self.reply = reply


class Verbatim:
    """Text for people (INFO): a bulk string that RESP3 marks with its format.

    Parameters:
        text: the text.
        form: three bytes, `txt` or `mkd`.
    """

    __slots__ = ("form", "text")

    def __init__(self, text: bytes, form: bytes = b"txt") -> None:
        self.text = text
        self.form = form


Reply = (
    bytes
    | str
    | int
    | float
    | None
    | list["Reply"]
    | tuple["Reply", ...]
    | dict["Reply", "Reply"]
    | SetReply
    | Pairs
    | Keyed
    | Push
    | Many
    | DoubleText
    | BigNumber
    | Attributed
    | Verbatim
    | Wire
    | CommandError
    | NullArray
    | NoReply
)

NULL_ARRAY: Final = NullArray()
NO_REPLY: Final = NoReply()
OK: Final = "OK"
QUEUED: Final = "QUEUED"

_FEW: Final = 4
"""Up to so many elements of a list are encoded one by one."""
_bulk_head: Final = [b"$%d\r\n" % n for n in range(1024)].__getitem__
_INTEGERS: Final[list[bytes]] = [b":%d\r\n" % n for n in range(1024)]


def encode(reply: Reply, proto: int) -> bytes:
    """The bytes of a reply.

    Parameters:
        reply: the value.
        proto: 2 or 3.
    """
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    if reply is OK:
        return b"+OK\r\n"
    if type(reply) is int:
        return _INTEGERS[reply] if 0 <= reply < 1024 else b":%d\r\n" % reply
    if reply is None:
        return b"$-1\r\n" if proto == 2 else b"_\r\n"
    out: list[bytes] = []
    _encode_into(out, reply, proto)
    return b"".join(out)


def encode_error(message: bytes) -> bytes:
    """The bytes of an error; line breaks in the message become blanks, as in Redis."""
    return b"-" + message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\r\n"


def _encode_into(out: list[bytes], reply: Reply, proto: int) -> None:
    if type(reply) is list:  # the common kinds first, by one comparison each
        _encode_list(out, reply, b"*", proto)  # type: ignore[arg-type]
    elif isinstance(reply, bytes):
        out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
    elif isinstance(reply, bool):
        out.append((b"#t\r\n" if reply else b"#f\r\n") if proto == 3 else b":%d\r\n" % reply)
    elif isinstance(reply, int):
        out.append(b":%d\r\n" % reply)
    elif reply is None:
        out.append(b"$-1\r\n" if proto == 2 else b"_\r\n")
    elif isinstance(reply, str):
        out.append(b"+" + reply.encode() + b"\r\n")
    elif isinstance(reply, float):
        text = format_double(reply)
        out.append(b"," + text + b"\r\n" if proto == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
    elif isinstance(reply, DoubleText):
        text = reply.text
        out.append(b"," + text + b"\r\n" if proto == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
    elif isinstance(reply, BigNumber):
        out.append(b"(" + reply.text + b"\r\n" if proto == 3 else b"$%d\r\n%b\r\n" % (len(reply.text), reply.text))
    elif isinstance(reply, CommandError):
        out.append(encode_error(reply.message))
    elif isinstance(reply, Attributed):
        if proto == 3:
            out.append(b"|%d\r\n" % len(reply.attributes))
            for key, value in reply.attributes.items():
                _encode_into(out, key, proto)
                _encode_into(out, value, proto)
        _encode_into(out, reply.reply, proto)
    elif isinstance(reply, Verbatim):
        if proto == 3:
            out.append(b"=%d\r\n%b:%b\r\n" % (len(reply.text) + 4, reply.form, reply.text))
        else:
            out.append(b"$%d\r\n%b\r\n" % (len(reply.text), reply.text))
    elif isinstance(reply, Wire):
        out.append(reply.data)
    elif isinstance(reply, NullArray):
        out.append(b"*-1\r\n" if proto == 2 else b"_\r\n")
    elif not isinstance(reply, NoReply):
        _encode_collection(out, reply, proto)


def _encode_collection(
    out: list[bytes],
    reply: list[Reply] | tuple[Reply, ...] | dict[Reply, Reply] | SetReply | Pairs | Keyed | Push | Many,
    proto: int,
) -> None:
    if isinstance(reply, dict):
        out.append(b"%%%d\r\n" % len(reply) if proto == 3 else b"*%d\r\n" % (2 * len(reply)))
        for key, value in reply.items():
            _encode_into(out, key, proto)
            _encode_into(out, value, proto)
        return
    if isinstance(reply, Pairs):
        out.append(b"*%d\r\n" % (len(reply) if proto == 3 else 2 * len(reply)))
        for first, second in reply:
            if proto == 3:
                out.append(b"*2\r\n")
            _encode_into(out, first, proto)
            _encode_into(out, second, proto)
        return
    if isinstance(reply, Keyed):
        out.append(b"%b%d\r\n" % (b"%" if proto == 3 else b"*", len(reply)))
        for first, second in reply:
            if proto == 2:
                out.append(b"*2\r\n")
            _encode_into(out, first, proto)
            _encode_into(out, second, proto)
        return
    if isinstance(reply, Many):
        for item in reply:
            _encode_into(out, item, proto)
        return
    mark = b"*"
    if proto == 3:
        mark = b"~" if isinstance(reply, SetReply) else b">" if isinstance(reply, Push) else b"*"
    _encode_list(out, reply, mark, proto)


def _encode_list(out: list[bytes], reply: list[Reply] | tuple[Reply, ...], mark: bytes, proto: int) -> None:
    out.append(b"%b%d\r\n" % (mark, len(reply)))
    if len(reply) > _FEW and type(reply[-1]) is bytes:
        try:
            # Short texts and nothing else: no step of it is interpreted. Anything else cannot be joined.
            heads = map(_bulk_head, map(len, reply))  # type: ignore[arg-type]
            out.append(b"".join(chain.from_iterable(zip(heads, reply, repeat(b"\r\n")))))  # type: ignore[arg-type]
            return
        except (TypeError, IndexError):
            pass
    for item in reply:
        if type(item) is bytes:
            out.append(b"$%d\r\n%b\r\n" % (len(item), item))
        elif type(item) is float:
            text = format_double(item)
            out.append(b",%b\r\n" % text if proto == 3 else b"$%d\r\n%b\r\n" % (len(text), text))
        else:
            _encode_into(out, item, proto)
