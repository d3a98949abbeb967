"""Each kind of reply in RESP2 and RESP3; every encoding is read back by hiredis."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txrepl.errors import CommandError
from txrepl.resp.replies import (
    NO_REPLY,
    NULL_ARRAY,
    OK,
    QUEUED,
    Attributed,
    BigNumber,
    DoubleText,
    Many,
    Pairs,
    Push,
    Reply,
    SetReply,
    Verbatim,
    encode,
    encode_error,
)

TABLE: list[tuple[Reply, bytes, bytes]] = [
    (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"a\r\nb", b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
    (OK, b"+OK\r\n", b"+OK\r\n"),
    ("".join(["O", "K"]), b"+OK\r\n", b"+OK\r\n"),
    (QUEUED, b"+QUEUED\r\n", b"+QUEUED\r\n"),
    (0, b":0\r\n", b":0\r\n"),
    (1023, b":1023\r\n", b":1023\r\n"),
    (1024, b":1024\r\n", b":1024\r\n"),
    (-1, b":-1\r\n", b":-1\r\n"),
    (2**63 - 1, b":9223372036854775807\r\n", b":9223372036854775807\r\n"),
    (BigNumber(b"-123456789012345678901"), b"$22\r\n-123456789012345678901\r\n", b"(-123456789012345678901\r\n"),
    (1.5, b"$3\r\n1.5\r\n", b",1.5\r\n"),
    (3.0, b"$1\r\n3\r\n", b",3\r\n"),
    (float("inf"), b"$3\r\ninf\r\n", b",inf\r\n"),
    (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
    (DoubleText(b"0.10000000000000001"), b"$19\r\n0.10000000000000001\r\n", b",0.10000000000000001\r\n"),
    (True, b":1\r\n", b"#t\r\n"),
    (False, b":0\r\n", b"#f\r\n"),
    (None, b"$-1\r\n", b"_\r\n"),
    (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
    (NO_REPLY, b"", b""),
    ([], b"*0\r\n", b"*0\r\n"),
    ([b"a", 1, None, [2]], b"*4\r\n$1\r\na\r\n:1\r\n$-1\r\n*1\r\n:2\r\n", b"*4\r\n$1\r\na\r\n:1\r\n_\r\n*1\r\n:2\r\n"),
    ((b"a", OK), b"*2\r\n$1\r\na\r\n+OK\r\n", b"*2\r\n$1\r\na\r\n+OK\r\n"),
    ({}, b"*0\r\n", b"%0\r\n"),
    ({b"a": 1, b"b": {b"c": None}}, b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n*2\r\n$1\r\nc\r\n$-1\r\n",
     b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n%1\r\n$1\r\nc\r\n_\r\n"),
    (SetReply([b"a", 1]), b"*2\r\n$1\r\na\r\n:1\r\n", b"~2\r\n$1\r\na\r\n:1\r\n"),
    (Pairs([(b"a", 1.0), (b"b", 2.5)]), b"*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\n2.5\r\n",
     b"*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,2.5\r\n"),
    (Push([b"message", b"ch", b"hi"]), b"*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n",
     b">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$2\r\nhi\r\n"),
    (Many([Push([b"a"]), 1, NO_REPLY]), b"*1\r\n$1\r\na\r\n:1\r\n", b">1\r\n$1\r\na\r\n:1\r\n"),
    (Verbatim(b"text"), b"$4\r\ntext\r\n", b"=8\r\ntxt:text\r\n"),
    (Verbatim(b"# x", b"mkd"), b"$3\r\n# x\r\n", b"=7\r\nmkd:# x\r\n"),
    (CommandError("ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
    ([CommandError("ERR a\r\nb")], b"*1\r\n-ERR a  b\r\n", b"*1\r\n-ERR a  b\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "resp2", "resp3"), TABLE, ids=lambda value: repr(value)[:40])
def test_a_reply_has_the_bytes_of_its_protocol(reply: Reply, resp2: bytes, resp3: bytes) -> None:
    """At the top and inside of an array."""
    assert encode(reply, 2) == resp2
    assert encode(reply, 3) == resp3
    if not isinstance(reply, Many) and reply is not NO_REPLY:
        assert encode([reply, 7], 2) == b"*2\r\n" + resp2 + b":7\r\n"
        assert encode([reply, 7], 3) == b"*2\r\n" + resp3 + b":7\r\n"


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    """A client's bytes quoted in an error cannot forge a second reply."""
    assert encode_error(b"ERR unknown 'a\r\n+OK\r\n'") == b"-ERR unknown 'a  +OK  '\r\n"
    assert CommandError("WRONGTYPE not this").code == "WRONGTYPE"


scalars = st.one_of(
    st.binary(max_size=20), st.integers(-(2**63), 2**63 - 1), st.none(), st.floats(allow_nan=False), st.booleans()
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.binary(max_size=5), inner, max_size=3),
        st.lists(st.integers(-9, 9), unique=True, max_size=4).map(SetReply),
    ),
    max_leaves=12,
)


def in_resp2(value: Any) -> Any:
    """What a RESP2 client sees of a value."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return [part for pair in value.items() for part in map(in_resp2, pair)]
    return [in_resp2(item) for item in value] if isinstance(value, list) else value


def in_resp3(value: Any) -> Any:
    """What hiredis makes of a value in RESP3; it gives sets as lists."""
    if isinstance(value, dict):
        return {key: in_resp3(item) for key, item in value.items()}
    if isinstance(value, list):
        return [in_resp3(item) for item in value]
    return value


def as_sent(value: Any, model: Any) -> Any:
    """hiredis's reply with the doubles that RESP2 sends as text made doubles again, where the model has them."""
    if isinstance(model, float) and isinstance(value, bytes):
        return float(value)
    if isinstance(model, list) and isinstance(value, list) and len(model) == len(value):
        return [as_sent(item, part) for item, part in zip(value, model, strict=True)]
    return value


@settings(deadline=None)
@given(values)
def test_a_client_reads_back_what_was_replied(value: Any) -> None:
    """hiredis takes every byte of it, and nothing is left over."""
    for proto, model in ((2, in_resp2(value)), (3, in_resp3(value))):
        reader = hiredis.Reader()
        reader.feed(encode(value, proto))
        assert as_sent(reader.gets(), model) == model
        assert reader.gets() is False
        assert not reader.has_data()


def test_attributes_come_before_their_reply_and_only_in_resp3() -> None:
    """Inside of other replies, too."""
    reply: Reply = [1, Attributed({b"ttl": 5}, b"v")]
    assert encode(reply, 2) == b"*2\r\n:1\r\n$1\r\nv\r\n"
    assert encode(reply, 3) == b"*2\r\n:1\r\n|1\r\n$3\r\nttl\r\n:5\r\n$1\r\nv\r\n"
