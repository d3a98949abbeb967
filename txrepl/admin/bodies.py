"""What a request carries: query and body, read and checked field by field, pure.

A request that cannot be read is a `MalformedError`; one that can be read and makes no sense is an `InvalidError` and
names the field. Unknown fields are refused: a misspelt `no_noe=true` must not be taken for something else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from txrepl.admin.problems import InvalidError, MalformedError, UnsupportedTypeError

BODY_MAX_BYTES: Final = 64 * 1024
FIELDS_MAX: Final = 64
WAIT_MAX_S: Final = 3600
OFFSET_MAX: Final = 2**63 - 1
DECISIONS: Final = ("accept", "promote")
HOST_PATTERN: Final = r"[A-Za-z0-9._:%-]{1,255}"
_FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Follow:
    """Be a replica of host:port; a primary if host is empty."""

    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class DelayOrder:
    """What a delayed replica is to do.

    Attributes:
        stop_before: hold before this offset; None = leave the stop as it is.
        resume: lift the stop.
        apply_now: do not wait for the age of what has come so far.
    """

    stop_before: int | None
    resume: bool
    apply_now: bool


def read_query(query: bytes, known: Collection[str]) -> dict[str, str]:
    """The query's parameters.

    Parameters:
        query: what follows the `?`.
        known: the names that the path understands.

    Raises:
        MalformedError: it is no query.
        InvalidError: a parameter is unknown or given twice.
    """
    return _once(_pairs(query, "query"), known, "parameter")


def read_info_query(query: bytes) -> list[str]:
    """The INFO sections that are asked for, in lower case; `section` may be repeated or hold a list with commas.

    Raises:
        MalformedError, InvalidError: it is refused.
    """
    wanted: list[str] = []
    for name, value in _pairs(query, "query"):
        if name != "section":
            raise InvalidError(shown_name(name), "unknown parameter; known: section")
        wanted += [word.strip().lower() for word in value.split(",") if word.strip()]
    return wanted


def preferred(accept: str, *offered: str) -> str:
    """The media type that an Accept header likes best of those offered; the first one where it does not care."""
    liked = dict.fromkeys(offered, 0.0)
    for part in accept.split(","):
        media, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if re.fullmatch(r"q=[01](\.\d{0,3})?", parameter):
                weight = float(parameter[2:])
        if media in liked:
            liked[media] = max(liked[media], weight)
    return max(offered, key=lambda media: liked[media])


def prefers_text(accept: str) -> bool:
    """Whether an Accept header would rather have plain text than JSON; JSON where it does not care."""
    return preferred(accept, _JSON, "text/plain") == "text/plain"


def read_wait(query: dict[str, str]) -> float:
    """`wait`: how long to wait for the outcome, in seconds; 0 = not at all.

    Raises:
        InvalidError: it is no number from 0 to 3600.
    """
    text = query.get("wait", "0")
    number = re.fullmatch(r"\d{1,20}(\.\d{1,40})?([eE][+-]?\d{1,3})?", text, re.ASCII)
    seconds = float(text) if number else math.nan
    if not 0 <= seconds <= WAIT_MAX_S:
        raise InvalidError("wait", f"a number of seconds from 0 to {WAIT_MAX_S} is needed")
    return seconds


def read_follow(content_type: str, body: bytes) -> Follow:
    """The body of `/v1/replicaof`.

    Parameters:
        content_type: the value of the header, with its parameters; empty if there is none.

    Raises:
        MalformedError, InvalidError, UnsupportedTypeError: it is refused.
    """
    given, is_form = _fields(content_type, body, _FOLLOW_FIELDS)
    return _follow(given, _form_port, _form_flag) if is_form else _follow(given, _json_port, _json_flag)


def read_decision(content_type: str, body: bytes) -> str:
    """The body of `/v1/guard`: `accept` or `promote`. Parameters and errors as in `read_follow`."""
    given, _ = _fields(content_type, body, frozenset({"decision"}))
    decision = given.get("decision")
    if decision not in DECISIONS:
        raise InvalidError("decision", f"one of {', '.join(DECISIONS)} is needed")
    return str(decision)


def read_delay_order(content_type: str, body: bytes) -> DelayOrder:
    """The body of `/v1/delay`. Parameters and errors as in `read_follow`."""
    given, is_form = _fields(content_type, body, frozenset({"stop_before", "resume", "apply_now"}))
    read_flag, read_offset = (_form_flag, _form_offset) if is_form else (_json_flag, _json_offset)
    flags = {name: read_flag(given.get(name, "false" if is_form else False)) for name in ("resume", "apply_now")}
    for name, flag in flags.items():
        if flag is None:
            raise InvalidError(name, "true or false is needed")
    stop_before = None
    if "stop_before" in given:
        stop_before = read_offset(given["stop_before"])
        if stop_before is None or not 0 < stop_before <= OFFSET_MAX:
            raise InvalidError("stop_before", "an offset is needed: a whole number from 1 on")
        if flags["resume"]:
            raise InvalidError("resume", "cannot be given together with stop_before")
    if stop_before is None and not any(flags.values()):
        raise InvalidError("stop_before", "missing: give stop_before, resume=true or apply_now=true")
    return DelayOrder(stop_before, bool(flags["resume"]), bool(flags["apply_now"]))


def read_whole(query: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    """A parameter that is a whole number.

    Raises:
        InvalidError: it is none, or out of bounds.
    """
    if name not in query:
        return default
    text = query[name]
    number = int(text) if re.fullmatch(r"\d{1,19}", text, re.ASCII) else -1
    if not least <= number <= most:
        raise InvalidError(name, f"a whole number from {least} to {most} is needed")
    return number


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a body.

    Attributes:
        given: by name.
        is_form: the values are texts.
    """

    given: dict[str, Any]
    is_form: bool

    def whole(self, name: str, least: int, most: int) -> int | None:
        """A whole number; None if it is not given.

        Raises:
            InvalidError: it is none, or out of bounds.
        """
        if name not in self.given:
            return None
        value = self.given[name]
        found = _form_offset(value) if self.is_form else _json_whole(value)
        if found is None or not least <= found <= most:
            raise InvalidError(name, f"a whole number from {least} to {most} is needed")
        return found

    def flag(self, name: str) -> bool:
        """True or false; false if it is not given.

        Raises:
            InvalidError: it is neither.
        """
        if name not in self.given:
            return False
        found = _form_flag(self.given[name]) if self.is_form else _json_flag(self.given[name])
        if found is None:
            raise InvalidError(name, "true or false is needed")
        return found

    def host(self, name: str) -> str | None:
        """A host name or an address; None if it is not given.

        Raises:
            InvalidError: it is neither.
        """
        if name not in self.given:
            return None
        found = self.given[name]
        if not isinstance(found, str) or not re.fullmatch(HOST_PATTERN, found):
            raise InvalidError(name, "a host name or an address is needed")
        return found

    def text(self, name: str, most: int) -> str | None:
        """A text; None if it is not given.

        Raises:
            InvalidError: it is none, or longer than `most` characters.
        """
        if name not in self.given:
            return None
        found = self.given[name]
        if not isinstance(found, str) or len(found) > most or not _is_utf8(found):
            raise InvalidError(name, f"a text of at most {most} characters is needed")
        return found


def read_fields(content_type: str, body: bytes, known: Collection[str] | None) -> Fields:
    """The fields of a body, all of them known.

    Parameters:
        content_type: the value of the header, with its parameters; empty if there is none.
        known: the names that the path understands; None = any.

    Raises:
        MalformedError, InvalidError, UnsupportedTypeError: it is refused.
    """
    return Fields(*_fields(content_type, body, known))


def _fields(content_type: str, body: bytes, known: Collection[str] | None) -> tuple[dict[str, Any], bool]:
    """The body's fields, all of them known, and whether it is a form: then the values are texts."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return dict(_once(_pairs(body, "form"), known, "field")), True
    if kind == _JSON or (kind.startswith("application/") and kind.endswith("+json")):
        return _json_object(body, known), False
    raise UnsupportedTypeError(f"the body must be {_JSON} or {_FORM}")


# -- forms and queries ------------------------------------------------------------------------------------------


def _pairs(text: bytes, what: str) -> list[tuple[str, str]]:
    try:
        return (
            parse_qsl(
                text.decode("utf-8"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=FIELDS_MAX,
            )
            if text
            else []
        )
    except ValueError:
        raise MalformedError(
            f"the {what} is not name=value pairs in UTF-8, joined by &, at most {FIELDS_MAX}"
        ) from None


def _once(pairs: list[tuple[str, str]], known: Collection[str] | None, what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        if known is not None and name not in known:
            raise InvalidError(shown_name(name), f"unknown {what}; known: {', '.join(sorted(known)) or 'none'}")
        if name in found:
            raise InvalidError(shown_name(name), "given twice")
        found[name] = value
    return found


def shown_name(name: str) -> str:
    """An unknown name as it is shown back: bounded, and printable."""
    return ascii(name[:64])[1:-1]


def _is_utf8(text: str) -> bool:
    """Whether it has no half of a surrogate pair, which JSON can spell and nothing can send."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _form_port(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"\d{1,5}", value, re.ASCII) else None


def _form_offset(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"\d{1,19}", value, re.ASCII) else None


def _form_flag(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(value.lower())


# -- JSON -------------------------------------------------------------------------------------------------------


def _json_object(body: bytes, known: Collection[str] | None) -> dict[str, Any]:
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise InvalidError("body", "a JSON object is needed")
    for name in found:
        if known is not None and name not in known:
            raise InvalidError(shown_name(name), f"unknown field; known: {', '.join(sorted(known))}")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json_whole(value: Any) -> int | None:
    """JSON knows only numbers: 6379.0 is 6379."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_json_port = _json_offset = _json_whole


def _json_flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


# -- replicaof --------------------------------------------------------------------------------------------------

_FOLLOW_FIELDS: Final = frozenset({"host", "port", "no_one"})


def _follow(
    given: dict[str, Any], read_port: Callable[[Any], int | None], read_flag: Callable[[Any], bool | None]
) -> Follow:
    no_one = read_flag(given["no_one"]) if "no_one" in given else False
    if no_one is None:
        raise InvalidError("no_one", "true or false is needed")
    if no_one:
        for name in ("host", "port"):
            if name in given:
                raise InvalidError(name, "cannot be given together with no_one")
        return Follow()
    if "host" not in given:
        raise InvalidError("host", "missing: give host and port, or no_one=true")
    host = given["host"]
    if not isinstance(host, str) or not re.fullmatch(HOST_PATTERN, host):
        raise InvalidError("host", "a host name or an address is needed")
    if "port" not in given:
        raise InvalidError("port", "missing: give host and port, or no_one=true")
    port = read_port(given["port"])
    if port is None or not 0 < port < 65536:
        raise InvalidError("port", "a whole number from 1 to 65535 is needed")
    return Follow(host, port)
