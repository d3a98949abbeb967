"""What differs by version: the one list of it, each line with the version that brought it and whom txrepl follows.

txrepl follows Redis 7.2: of what 7.2 brought it is with Valkey 9, of what Valkey changed since with Redis 7.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.interop.grammar import Words, called
from tests.interop.replies import Value, parse, without_now

if TYPE_CHECKING:
    from tests.interop.instep import Seen

REDIS: Final = "redis70"
VALKEY: Final = "valkey9"
When = Callable[[Words, Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Line:
    """A difference between the live servers.

    Attributes:
        version: since when.
        follows: `REDIS` or `VALKEY`, whom txrepl does as.
        what: in words.
        names: of the commands, blank: any.
        redis, valkey: patterns that the text of the replies matches; None: anything.
        when: more than that: whether the command and what of the replies is compared (Redis's first) are this.
        forks: the data differ afterwards.
    """

    version: str
    follows: str
    what: str
    names: str = ""
    redis: bytes | None = None
    valkey: bytes | None = None
    when: When = lambda words, redis, valkey: True
    forks: bool = False

    def explains(self, words: Words, redis: Any, valkey: Any) -> bool:
        """Whether the replies (what of them is compared) are this difference."""
        return (
            (not self.names or words[0].upper().decode("latin-1") in self.names.split())
            and (self.redis is None or re.match(self.redis, _text(redis), re.DOTALL) is not None)
            and (self.valkey is None or re.match(self.valkey, _text(valkey), re.DOTALL) is not None)
            and self.when(words, redis, valkey)
        )


def _text(value: Any) -> bytes:
    kind, payload = value
    return kind + payload if isinstance(payload, bytes) else kind + b"%d" % len(payload)


def explain(words: Words, redis: Any, valkey: Any) -> Line | None:
    """The line that explains why the live servers answer this command differently."""
    inner = called(words)
    return next(
        (line for line in LINES if line.explains(words, redis, valkey) or line.explains(inner, redis, valkey)), None
    )


_NUMBER = re.compile(rb"-?(\d+(\.\d*)?(e[+-]?\d+)?|inf)\Z")


def _rounded(value: Any) -> Any:
    """Every number that a text or a double gives, as a number without a sign of zero."""
    kind, payload = value
    if isinstance(payload, tuple):
        return kind, tuple(_rounded(item) for item in payload)
    if kind in b"$," and _NUMBER.match(payload):
        return kind, float(payload) + 0.0
    return value


def _same_scores(words: Words, redis: Any, valkey: Any) -> bool:
    return bool(_rounded(redis) == _rounded(valkey))


_ACTIVITY = (b"inactive", b"active-time")


def _without_activity(value: Value) -> Value:
    kind, payload = value
    if not isinstance(payload, tuple):
        return value
    items = list(payload)
    for position in reversed(range(len(items))):
        if items[position][1] in _ACTIVITY:
            del items[position : position + 2]
    return kind, tuple(_without_activity(item) for item in items)


def _but_for_activity(words: Words, redis: Any, valkey: Any) -> bool:
    return _without_activity(redis) == _without_activity(valkey)


def _without_counters(value: Value) -> Value:
    kind, payload = value
    if not isinstance(payload, tuple):
        return value
    items = list(payload)
    for position in range(1, len(items)):
        if items[position - 1][1] in (b"entries-read", b"lag"):
            items[position] = (b":", b"<counter>")
    return kind, tuple(_without_counters(item) for item in items)


def _but_for_counters(words: Words, redis: Any, valkey: Any) -> bool:
    return _without_counters(_without_activity(redis)) == _without_counters(_without_activity(valkey))


def _odd_cursor(words: Words, redis: Any, valkey: Any) -> bool:
    cursor = words[1 if words[0].upper() == b"SCAN" else 2]
    return not cursor.isdigit()


def _has_blank(words: Words, redis: Any, valkey: Any) -> bool:
    return any(word[:1] == b" " for word in words)


_NOT_FLOAT = rb"-ERR (min or max is|value is|weight value is|.*) not a .*float"
_SYNTAX = rb"-ERR syntax error"
_NOT_INTEGER = rb"-ERR value is not an integer"
_ARITY = rb"-ERR wrong number of arguments"

LINES: Final = (
    Line(
        "7.2",
        VALKEY,
        "arguments are read before the key is looked for",
        "BITCOUNT BITPOS",
        rb":|-",
        rb"-ERR",
        forks=True,
    ),
    Line("7.2", VALKEY, "ZRANK and ZREVRANK take WITHSCORE", "ZRANK ZREVRANK", _ARITY, forks=True),
    Line("7.2", VALKEY, "scores are printed in the shortest form", "", when=_same_scores),
    Line("7.2", VALKEY, "consumers have a time of activity", "XINFO", when=_but_for_activity),
    Line(
        "7.2",
        VALKEY,
        "COMMAND GETKEYS takes commands without arguments",
        "COMMAND",
        rb"-ERR (wrong|Invalid) number of arg",
        forks=True,
    ),
    Line("later", VALKEY, "commands whose keys 7.0 cannot tell", "COMMAND", rb"-ERR Invalid command specified"),
    Line("7.2.6", VALKEY, "a group's reads are counted anew when some were deleted", "XINFO", when=_but_for_counters),
    Line("7.2", VALKEY, "cursors are read strictly", "SCAN HSCAN SSCAN ZSCAN", when=_odd_cursor, forks=True),
    Line(
        "7.2",
        VALKEY,
        "a timeout can be out of range",
        "",
        rb"-ERR timeout is negative",
        rb"-ERR timeout is out of range",
    ),
    Line(
        "7.2", VALKEY, "the error names the command as it is spelled", "", rb"-ERR Unbalanced X", rb"-ERR Unbalanced 'x"
    ),
    Line(
        "7.2",
        VALKEY,
        "XSETID is checked against deleted ids",
        "XSETID",
        valkey=rb"-ERR The ID .*max_deleted",
        forks=True,
    ),
    Line("7.2", VALKEY, "small sets and lists are listpacks", "OBJECT", rb"\$(hashtable|quicklist)", rb"\$listpack"),
    Line(
        "7.2",
        VALKEY,
        "the smallest count is refused",
        "LREM LPOS",
        None,
        rb"-ERR value is out of range, value must",
        forks=True,
    ),
    Line("later", VALKEY, "commands that 7.0 does not have", "", rb"-ERR unknown (sub)?command", forks=True),
    Line(
        "Valkey 8",
        REDIS,
        "some commands are refused inside a transaction",
        "",
        None,
        rb"-ERR Command '.*' not allowed inside",
        forks=True,
    ),
    Line(
        "Valkey 9",
        REDIS,
        "the error names the member that does not exist",
        "",
        rb"-ERR could not decode",
        rb"-ERR member .* does not",
    ),
    Line(
        "Valkey 9", REDIS, "what is stored in is OW", "COMMAND", when=lambda w, *_: w[1].upper() == b"GETKEYSANDFLAGS"
    ),
    Line("Valkey 9", REDIS, "a count of keys is read leniently", "COMMAND", rb"-ERR Invalid arguments", rb"\*"),
    Line(
        "Valkey 8.1",
        VALKEY,
        "XREAD takes the id +",
        "XREAD",
        rb"-ERR Invalid stream ID",
        when=lambda w, *_: b"+" in w,
        forks=True,
    ),
    Line(
        "7.2",
        VALKEY,
        "a script may read with BLOCK",
        "XREAD XREADGROUP",
        rb"-ERR [Xx].* is not allowed with BLOCK",
        forks=True,
    ),
    Line(
        "7.2",
        VALKEY,
        "scripts may call blocking commands, and those that are new",
        "EVAL",
        rb"-ERR (This Redis|Unknown Redis|Wrong number of args calling Redis) command|-ERR Wrong number of args",
        rb"(?!-ERR (This|[Uu]nknown|Wrong number of args) )",
        forks=True,
    ),
    Line("Valkey 9", REDIS, "NX and XX are looked at before the deadline", "HSETEX", rb"-ERR", rb":0"),
    Line(
        "Valkey 9",
        REDIS,
        "nothing stands behind the fields",
        "HEXPIRE HPEXPIRE HEXPIREAT HPEXPIREAT",
        rb"\*",
        rb"-ERR numfields",
        forks=True,
    ),
    Line(
        "Valkey 8",
        REDIS,
        "errors of scripts are worded otherwise",
        "EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO FUNCTION SCRIPT",
        rb"-",
        rb"-",
    ),
    Line(
        "Valkey 9",
        REDIS,
        "BYPOLYGON",
        "",
        rb"-ERR exactly one of BYRADIUS and BYBOX",
        rb"-ERR exactly one of BYRADIUS, BYBOX and",
    ),
    Line("Valkey 8", REDIS, "longer strings are embedded", "OBJECT", rb"\$raw", rb"\$embstr"),
    Line("Valkey 9", REDIS, "which error comes first", "HSETEX HGETEX", rb"-ERR", rb"-ERR"),
    Line("Valkey 9", REDIS, "small integers are not shared", "OBJECT", rb":2147483647", rb":[0-9]+"),
    Line("Valkey 9", REDIS, "a float has no leading blanks", "", None, _NOT_FLOAT, forks=True, when=_has_blank),
    Line(
        "Valkey 9",
        REDIS,
        "an element to sort by has no leading blanks",
        "SORT SORT_RO",
        None,
        rb"-ERR One or more scores",
        forks=True,
    ),
    Line(
        "Valkey 9",
        REDIS,
        "the deadline is read before the key is looked for",
        "GETEX",
        rb"_|\$-1|-WRONG",
        rb"-ERR",
        forks=True,
    ),
    Line("Valkey 9", REDIS, "an unknown type is an error", "SCAN", None, rb"-ERR unknown type name"),
    Line(
        "Valkey 9",
        REDIS,
        "an offset below 0 is none",
        "ZRANGEBYLEX ZREVRANGEBYLEX ZRANGE",
        when=lambda w, *_: b"LIMIT" in [x.upper() for x in w],
    ),
    Line("Valkey 9", REDIS, "indexes are cut to 32 bits", "LSET LINDEX", rb"-ERR index out|\$-1|_", None, forks=True),
)


_OUT_OF_RANGE: Final = frozenset((b"1e400", b"1e-400", b"5e-324", b"(5e-324"))


def promised(commands: Sequence[Words]) -> list[Words]:
    """The commands without those whose answer nobody promises, although the live servers may agree on it.

    BITCOUNT with one bound: Redis 7.0 looks for the key before it refuses it, Valkey 8 accepts it.
    SORT behind a float out of range: it takes the C library's error of that for its own.
    RANDOMKEY where a key has expired: whether it deletes that one is a matter of luck.
    WAIT in a script: nobody says whose writes it waits for.
    COPY where fields have expired: Valkey 9 can make an empty hash of it.
    SCAN by type where a key has expired: before 7.2 it deletes that one even when it is of another type.
    """
    kept: list[Words] = []
    out_of_range = False
    expired = fields_expired = False
    for command in commands:
        words = called(command)
        name = words[0].upper()
        if (
            (name == b"BITCOUNT" and len(words) == 3)
            or (out_of_range and name in (b"SORT", b"SORT_RO"))
            or (fields_expired and name == b"COPY")
            or (name == b"WAIT" and words is not command)
            or (expired and (name == b"RANDOMKEY" or (name == b"SCAN" and b"TYPE" in words)))
        ):
            continue
        fields_expired = fields_expired or (name == b"HPEXPIRE" and words[2:3] == [b"1"])
        expired = expired or (name == b"PEXPIRE" and words[2:3] == [b"1"])
        out_of_range = out_of_range or not _OUT_OF_RANGE.isdisjoint(words)
        kept.append(command)
    return kept


def has_stable_digest(commands: Sequence[Words]) -> bool:
    """Whether digests compare: Valkey 9 leaves fields that have expired out, which Redis 8 and txrepl count."""
    return not any(words[0].upper() == b"HPEXPIRE" and words[2:3] == [b"1"] for words in map(called, commands))


def encodings(seen: Seen, kind: str) -> dict[tuple[int, bytes], str]:
    """Type and encoding of every key, in the words of a version."""
    if kind != REDIS:
        return {place: _EMBEDDED.get(name, name) for place, name in seen.encodings.items()}
    return {place: _BEFORE_72.get(name, name.split()[0]) for place, name in seen.encodings.items()}


_EMBEDDED: Final = {
    "string raw": "string",
    "string embstr": "string",
    "string int": "string",
    "list quicklist": "list",
    "list listpack": "list",
    "set intset": "small set",
    "set listpack": "small set",
}
"""Valkey 8: longer strings are embedded."""
_BEFORE_72: Final = {name: name for name in ("string int", "string raw", "string embstr")}
"""The names that mean the same before 7.2: small lists are quicklists and small sets hash tables there, and a sorted
set or hash is converted by what it holds instead of what it is given."""


def stream(seen: Seen, kind: str) -> list[Words]:
    """The commands of the stream, as far as the version has to agree with txrepl.

    7.2.6: a group's reads are counted anew when some were deleted.
    7.2: the position of a group goes into the stream behind what was read from it.
    7.2: SELECT belongs to the first write of a transaction, not to MULTI before it.
    Valkey 7.3: SET with PXAT is passed on as it is; before, as SET key value PXAT deadline.
    Valkey 9: SET with IFEQ and HGETDEL are passed on as they are, where txrepl tells what every replica knows.
    Valkey 8: GETDEL is DEL even where the key is freed in the background.
    Valkey 8: commands that are made, not passed on, are in capitals.
    """
    commands = _counted([[without_now(word) for word in words_of(command)] for command in seen.stream])
    if kind == VALKEY:
        commands = _unwrapped(commands)
        return [_without_options(words) for words in commands]
    commands = [[*words[:-1], b"<counter>"] if words[:2] == [b"XGROUP", b"SETID"] else words for words in commands]
    commands = _unwrapped([words for number, words in enumerate(commands) if not _is_position(commands, number)])
    for position in range(len(commands) - 1):
        if commands[position][0].upper() == b"SELECT" and commands[position + 1] == [b"MULTI"]:
            commands[position], commands[position + 1] = commands[position + 1], commands[position]
    return [_without_options(words) if words[0].upper() == b"SET" else words for words in commands]


def _without_options(words: Words) -> Words:
    """SET with PXAT without other options, DEL for UNLINK, HDEL for HGETDEL, and SET without its condition.

    Of HSETEX only what it sets: what it was given stays in it beside what became of that.
    """
    words = [words[0].upper(), *words[1:]]
    options = [word.upper() for word in words]
    if words[0] == b"SET" and b"IFEQ" in options[3:]:
        at = options.index(b"IFEQ", 3)
        words = [*words[:at], *words[at + 2 :]]
        options = [word.upper() for word in words]
    if words[0] == b"SET" and b"PXAT" in options[3:]:
        return [*words[:3], b"PXAT", words[options.index(b"PXAT", 3) + 1]]
    if words[0] == b"HSETEX" and b"FIELDS" in options:
        return [*words[:2], *words[options.index(b"FIELDS") + 1 :]]
    if words[0] in (b"HGETDEL", b"HDEL"):
        return [b"HDEL", words[1]]
    return [b"DEL", *words[1:]] if words[0] == b"UNLINK" else words


def _is_position(commands: list[Words], number: int) -> bool:
    """Whether the command is the XGROUP SETID behind the XCLAIM of what was read, in Redis 7.2."""
    words, before = commands[number], commands[number - 1] if number else []
    return words[:2] == [b"XGROUP", b"SETID"] and before[:1] == [b"XCLAIM"] and before[1:3] == words[2:4]


def _counted(commands: list[Words]) -> list[Words]:
    """SREMs of one key joined and their members counted only: SPOP took them by chance.

    Before 7.2 each member has an SREM of its own.
    """
    kept: list[Words] = []
    for words in commands:
        if words[0].upper() != b"SREM":
            kept.append(words)
        elif kept and kept[-1][0] == b"SREM" and kept[-1][1] == words[1]:
            kept[-1] = [*kept[-1][:2], b"%d" % (int(kept[-1][2]) + len(words) - 2)]
        else:
            kept.append([b"SREM", words[1], b"%d" % (len(words) - 2)])
    return kept


def _unwrapped(commands: list[Words]) -> list[Words]:
    """The commands without MULTI and EXEC around a single one."""
    kept: list[Words] = []
    for words in commands:
        kept.append(words)
        if words == [b"EXEC"] and kept[-3:-2] == [[b"MULTI"]]:
            kept[-3:] = [kept[-2]]
    return kept


def words_of(command: bytes) -> Words:
    """The words of a command of the stream."""
    _, words = parse(command)
    return [payload for _, payload in words]


def events(seen: Seen, kind: str) -> list[tuple[bytes, bytes]]:
    """The events; misses in a row in one order, since SORT looks keys up in the order of a set.

    Valkey 9: a deadline in the past is `expired` instead of `del`.
    """
    found: list[tuple[bytes, bytes]] = []
    misses: list[tuple[bytes, bytes]] = []
    for event in seen.events:
        channel, key = event
        if channel.endswith(b":keymiss"):
            misses.append(event)
        else:
            found += [*sorted(misses), (channel.replace(b":expired", b":del") if kind == VALKEY else channel, key)]
            misses = []
    return found + sorted(misses)
