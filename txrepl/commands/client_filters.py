"""Which clients CLIENT LIST and CLIENT KILL mean: filters, all of which must hold.

Redis 7.2 has ID, TYPE, USER, ADDR, LADDR and SKIPME; the others are those of Redis 7.4 and Valkey 9, with their texts.
Most have an opposite of the same name with `NOT-` before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.commands.arguments import integer, integer_between
from txrepl.commands.client_lines import TYPES, client_type, flag_letters
from txrepl.commands.session import REDIRECTS, Session
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import parse_integer

Filter = Callable[[Session], bool]

_LONG_MAX: Final = 2**63 - 1
_FLAGS: Final = frozenset("AbBcdeIMNOPrRStTuUx")
_NEGATION: Final = b"not-"
_ONLY_POSITIVE: Final = frozenset((b"maxage", b"idle", b"skipme"))


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _type(s: Session, value: bytes) -> Filter:
    wanted = TYPES.get(value.lower())
    if wanted is None:
        raise CommandError(b"ERR Unknown client type '%b'" % value)
    return lambda client: client_type(client) == wanted


def _user(s: Session, value: bytes) -> Filter:
    user = s.server.users.find(value)
    if user is None:
        raise CommandError(b"ERR No such user '%b'" % value)
    return lambda client: client.user is user


def _address(s: Session, value: bytes) -> Filter:
    return lambda client: client.address == _text(value)


def _local_address(s: Session, value: bytes) -> Filter:
    return lambda client: client.local_address == _text(value)


def _ip(s: Session, value: bytes) -> Filter:
    return lambda client: client.address.rpartition(":")[0].strip("[]") == _text(value)


def _name(s: Session, value: bytes) -> Filter:
    return lambda client: client.name == value


def _library(s: Session, value: bytes) -> Filter:
    return lambda client: client.lib_name == value


def _library_version(s: Session, value: bytes) -> Filter:
    return lambda client: client.lib_version == value


def _flags(s: Session, value: bytes) -> Filter:
    wanted = set(_text(value))
    if not wanted <= _FLAGS:
        raise CommandError(b"ERR Unknown flags found in the provided filter: %b" % value)
    return lambda client: wanted <= set(flag_letters(client))


def _capabilities(s: Session, value: bytes) -> Filter:
    if not set(value) <= set(b"r"):
        raise CommandError(b"ERR Unknown capa found in the provided filter: %b" % value)
    return lambda client: not value or bool(client.flags & REDIRECTS)


def _database(s: Session, value: bytes) -> Filter:
    last = len(s.keyspace.databases) - 1
    number = integer(value, "ERR DB is not an integer or out of range")
    if not 0 <= number <= last:
        raise CommandError(f"ERR DB number should be between 0 and {last}")
    return lambda client: client.db.number == number


def _seconds(value: bytes, name: str) -> int:
    seconds = integer(value, f"ERR {name} is not an integer or out of range")
    if seconds <= 0:
        raise CommandError(f"ERR {name} should be greater than 0")
    return seconds


def _age(s: Session, value: bytes) -> Filter:
    seconds, now_ms = _seconds(value, "maxage"), s.keyspace.now_ms
    return lambda client: (now_ms - client.created_ms) // 1000 >= seconds


def _idle(s: Session, value: bytes) -> Filter:
    seconds, now_ms = _seconds(value, "idle"), s.keyspace.now_ms
    return lambda client: (now_ms - client.last_active_ms) // 1000 >= seconds


_FILTERS: Final[dict[bytes, Callable[[Session, bytes], Filter]]] = {
    b"type": _type,
    b"user": _user,
    b"addr": _address,
    b"laddr": _local_address,
    b"ip": _ip,
    b"name": _name,
    b"lib-name": _library,
    b"lib-ver": _library_version,
    b"flags": _flags,
    b"capa": _capabilities,
    b"db": _database,
    b"maxage": _age,
    b"idle": _idle,
}


def is_filter(word: bytes) -> bool:
    """Whether a word names a filter."""
    return word.lower().removeprefix(_NEGATION) in (*_FILTERS, b"id", b"skipme")


def parse_filters(s: Session, words: list[bytes], *, skip_me: bool) -> Filter:
    """What the words choose.

    Parameters:
        s: who asks.
        words: names of filters, each with its value; ID may have several.
        skip_me: whether `s` is left out where SKIPME does not say so.

    Raises:
        CommandError: a filter is unknown, or a value is none for it.
    """
    filters: list[Filter] = []
    at = 0
    while at < len(words):
        option = words[at].lower()
        if at + 1 == len(words):
            raise CommandError(SYNTAX)
        value = words[at + 1]
        at += 2
        name = option.removeprefix(_NEGATION)
        negated = name != option
        if negated and name in _ONLY_POSITIVE:
            raise CommandError(SYNTAX)
        if name == b"id":
            numbers = {integer_between(value, 1, _LONG_MAX, "ERR client-id should be greater than 0")}
            while at < len(words) and (number := parse_integer(words[at])) is not None:
                numbers.add(number)
                at += 1
            found = _numbered(numbers)
        elif name == b"skipme":
            if value.lower() not in (b"yes", b"no"):
                raise CommandError(SYNTAX)
            skip_me = value.lower() == b"yes"
            continue
        elif name in _FILTERS:
            found = _FILTERS[name](s, value)
        else:
            raise CommandError(SYNTAX)
        filters.append(_opposite(found) if negated else found)
    if skip_me:
        filters.append(lambda client: client is not s)
    return lambda client: all(holds(client) for holds in filters)


def _numbered(numbers: set[int]) -> Filter:
    return lambda client: client.number in numbers


def _opposite(holds: Filter) -> Filter:
    return lambda client: not holds(client)
