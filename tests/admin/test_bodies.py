"""Queries and bodies: what is read, and that everything else is refused by name."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admin.schemas import faults
from txrepl.admin.bodies import Follow, prefers_text, read_follow, read_info_query, read_query, read_wait
from txrepl.admin.openapi import SCHEMAS
from txrepl.admin.problems import InvalidError, MalformedError, RefusedError, UnsupportedTypeError

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

HOSTS = st.from_regex(r"[A-Za-z0-9._:%-]{1,255}", fullmatch=True)
PORTS = st.integers(1, 65535)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
ALMOST = st.dictionaries(st.sampled_from(["host", "port", "no_one"]) | st.text(), HOSTS | PORTS | VALUES, max_size=4)


def field_of(error: InvalidError) -> str:
    name: str = error.members["errors"][0]["field"]
    return name


@given(HOSTS, PORTS)
def test_json_and_form_mean_the_same(host: str, port: int) -> None:
    """Every host and port, in both spellings."""
    as_json = read_follow(JSON, json.dumps({"host": host, "port": port}).encode())
    as_form = read_follow(f"{FORM}; charset=utf-8", urlencode({"host": host, "port": port}).encode())
    assert as_json == as_form == Follow(host, port)


@given(st.binary(max_size=200), st.sampled_from([JSON, FORM, "", "text/plain", "application/x+json", "\u2028"]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    """No bytes whatever raise anything but a refusal."""
    try:
        assert isinstance(read_follow(content_type, body), Follow)
    except RefusedError as refused:
        assert refused.detail


@given(ALMOST | VALUES)
def test_json_is_accepted_as_the_contract_says(value: Any) -> None:
    """What the schema allows is read; what it does not allow is refused; nothing lies between."""
    try:
        body = json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return
    parsed = json.loads(body)
    if isinstance(parsed, dict) and isinstance(parsed.get("port"), float) and parsed["port"].is_integer():
        parsed["port"] = int(parsed["port"])
    allowed = not faults(parsed, SCHEMAS["Follow"], SCHEMAS)
    try:
        read_follow(JSON, body)
    except InvalidError:
        assert not allowed
    else:
        assert allowed


@given(st.dictionaries(st.sampled_from(["host", "port", "no_one", "x"]), st.text(max_size=20), max_size=4))
def test_any_form_is_read_or_refused(fields: dict[str, str]) -> None:
    """A form of any texts gives a target that is in range, or names a field."""
    try:
        target = read_follow(FORM, urlencode(fields).encode())
    except InvalidError as error:
        assert field_of(error) in {"host", "port", "no_one", "x"}
    else:
        assert target == Follow() or 0 < target.port < 65536


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "host"),
        ({"host": "h"}, "port"),
        ({"port": 1}, "host"),
        ({"host": 1, "port": 1}, "host"),
        ({"host": "", "port": 1}, "host"),
        ({"host": "a b", "port": 1}, "host"),
        ({"host": "http://a/", "port": 1}, "host"),
        ({"host": "a\n", "port": 1}, "host"),
        ({"host": "a" * 256, "port": 1}, "host"),
        ({"host": "h", "port": 0}, "port"),
        ({"host": "h", "port": 65536}, "port"),
        ({"host": "h", "port": -1}, "port"),
        ({"host": "h", "port": "6379"}, "port"),
        ({"host": "h", "port": True}, "port"),
        ({"host": "h", "port": 1.5}, "port"),
        ({"host": "h", "port": None}, "port"),
        ({"no_one": "true"}, "no_one"),
        ({"no_one": None}, "no_one"),
        ({"no_one": True, "host": "h"}, "host"),
        ({"no_one": True, "port": 1}, "port"),
        ({"no_noe": True}, "no_noe"),
        ({"host": "h", "port": 1, "x": 1}, "x"),
        ([], "body"),
        ("host", "body"),
        (None, "body"),
    ],
)
def test_a_wrong_field_is_named(body: Any, field: str) -> None:
    """422 says which field is wrong."""
    with pytest.raises(InvalidError) as caught:
        read_follow(JSON, json.dumps(body).encode())
    assert field_of(caught.value) == field


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b'{"port": NaN}', b'{"port": Infinity}', b"[" * 60000, b"1" * 60000,
     b'{"host": "a", "host": "b", "port": 1}', b"{'host': 'a'}"],
)  # fmt: skip
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """Broken, too deep, too long a number, NaN, a name given twice."""
    with pytest.raises(MalformedError):
        read_follow(JSON, body)


@pytest.mark.parametrize("body", [b"host", b"host=%ff&port=1", b"\xff=1", b"&".join([b"a=1"] * 100)])
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    """Not pairs, not UTF-8, too many."""
    with pytest.raises(MalformedError):
        read_follow(FORM, body)


def test_a_form_field_given_twice_is_refused() -> None:
    """Which one counts must not be a matter of taste."""
    with pytest.raises(InvalidError, match="host: given twice"):
        read_follow(FORM, b"host=a&host=b&port=1")


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data; boundary=x", "json", "image/json"])
def test_other_types_are_not_read(content_type: str) -> None:
    """A form that a browser may send across origins without asking is not taken for JSON."""
    with pytest.raises(UnsupportedTypeError):
        read_follow(content_type, b'{"no_one": true}')


@pytest.mark.parametrize(
    "content_type", ["APPLICATION/JSON", "application/json;charset=utf-8", "application/vnd.x+json"]
)
def test_json_has_many_names(content_type: str) -> None:
    """Case and parameters of the type do not matter."""
    assert read_follow(content_type, b'{"no_one": true}') == Follow()


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("1", 1), ("0.5", 0.5), ("3600", 3600)])
def test_wait_is_seconds(text: str, seconds: float) -> None:
    """Whole or with a fraction."""
    assert read_wait({"wait": text}) == seconds


@pytest.mark.parametrize("text", ["", "-1", "3600.1", "1e4", "inf", "nan", "1s", " 1", "9" * 400, "\u0661x"])
def test_a_wait_that_is_none_is_refused(text: str) -> None:
    """Bounded, and decimal."""
    with pytest.raises(InvalidError, match="wait"):
        read_wait({"wait": text})


@given(st.binary(max_size=60))
def test_any_query_is_read_or_refused(query: bytes) -> None:
    """No bytes whatever raise anything but a refusal."""
    for read in (lambda: read_query(query, ("wait",)), lambda: read_info_query(query)):
        try:
            read()
        except RefusedError as refused:
            assert refused.detail.isprintable()


def test_sections_come_repeated_or_with_commas() -> None:
    """Both spellings of a list, in lower case."""
    assert read_info_query(b"section=Server,Clients&section=memory") == ["server", "clients", "memory"]
    assert read_info_query(b"") == []


@pytest.mark.parametrize(
    ("accept", "plain"),
    [
        ("text/plain", True),
        ("text/plain, */*;q=0.1", True),
        ("application/json;q=0.5, text/plain", True),
        ("text/plain;q=0.5, application/json", False),
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("text/plain;q=0", False),
        ("text/plain;q=x", True),
    ],
)
def test_text_only_where_it_is_preferred(accept: str, plain: bool) -> None:
    """JSON is what is given where the client does not care."""
    assert prefers_text(accept) is plain
