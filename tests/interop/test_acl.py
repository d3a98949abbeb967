"""ACL: the same rules, questions and refusals on a live server and on txrepl.

txrepl words refusals and shows rules as Redis 7.2 does, and so Valkey 9; Redis 7.0's own wording is brought into that
form before it is compared, and of its rules only what they allow is compared.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.interop.conftest import Run
from tests.interop.servers import RawClient, RealServer, ReplyError, start, wait_until
from tests.interop.test_command_metadata import plain

KINDS = ("redis70", "valkey9")
TIMEOUT_S = 20
_ADDRESSES = re.compile(r"(?:addr|laddr)=\S+|\bid=\d+|fd=-?\d+")
_NEWER_WORDS = (
    (re.compile(r"NOPERM this user has"), "NOPERM User u has"),
    (re.compile(r"^This user has"), "User u has"),
    (re.compile(r"NOPERM User \w+ has no permissions to access one of the (key|channel)s used as arguments"),
     r"NOPERM No permissions to access a \1"),
    (re.compile(r"the HELLO AUTH <user>"), "the HELLO <proto> AUTH <user>"),
    (re.compile(r"ERR The user executing the script can't run this command or subcommand"),
     "ERR ACL failure in script: User u has no permissions to run the 'set' command"),
    (re.compile(r"ERR The user executing the script can't access at least one of the keys mentioned in the command "
                r"arguments"), "ERR ACL failure in script: No permissions to access a key"),
    (re.compile(r"ERR The user executing the script can't publish to the channel mentioned in the command"),
     "ERR ACL failure in script: No permissions to access a channel"),
    (re.compile(r" script: (?:[0-9a-f]{40}, )?on @user_script"), " script: on @user_script"),
    (re.compile(r"(redis|server)(?=\.acl_check_cmd\(\))"), "redis"),
)  # fmt: skip


def newer(answer: Any) -> Any:
    """An answer as 7.2 words it, without what only Valkey knows or leaves out."""
    if isinstance(answer, ReplyError):
        return ["error", newer(str(answer))]
    if isinstance(answer, str):
        for old, new in _NEWER_WORDS:
            answer = old.sub(new, answer)
        return answer.replace(" sanitize-payload", "")
    if isinstance(answer, list):
        if answer[:1] == ["server"]:
            return "HELLO's answer"
        if "databases" in answer:
            at = answer.index("databases")
            answer = answer[:at] + answer[at + 2 :]
        return [newer(item) for item in answer if item != "sanitize-payload"]
    return answer


class Side:
    """One server, and its clients by name."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self._clients: dict[str, RawClient] = {}

    def say(self, line: str) -> Any:
        """The answer to `[client: ]words`; None when the server closed the connection."""
        words = shlex.split(line)
        name = words.pop(0) if words[0].endswith(":") else ""
        client = self._clients.get(name) or self.server.connect()
        self._clients[name] = client
        try:
            return newer(plain(client.execute(*words)))
        except ConnectionError:
            del self._clients[name]
            return "closed"

    def begin(self) -> None:
        """Forget all clients, users and entries."""
        for client in self._clients.values():
            client.close()
        self._clients = {}
        users = [name for name in self.say("ACL USERS") if name != "default"]
        if users:
            self.say("ACL DELUSER " + shlex.join(users))
        self.say("ACL LOG RESET")
        self.say("CONFIG RESETSTAT")
        self.say("FLUSHALL")


@pytest.fixture(scope="module")
def _sides() -> Iterator[dict[str, Side]]:
    with ExitStack() as stack:
        yield {kind: Side(stack.enter_context(start(kind))) for kind in (*KINDS, "txrepl")}


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, _sides: dict[str, Side]) -> tuple[Side, Side]:
    """Ours and a live server, both without users."""
    found = _sides["txrepl"], _sides[request.param]
    for side in found:
        side.begin()
    return found


def same(pair: tuple[Side, Side], script: str) -> None:
    """Run the lines on both sides and compare every answer."""
    ours, theirs = pair
    for line in filter(None, map(str.strip, script.splitlines())):
        mine, live = ours.say(line), theirs.say(line)
        if theirs.server.kind == "redis70":  # which says "this user"
            mine, live = (json.loads(re.sub(r"\bUser \w+ has", "User u has", json.dumps(one))) for one in (mine, live))
        assert mine == live, f"{line}: ours {mine!r}, {theirs.server.kind} {live!r}"


# -- words and errors -------------------------------------------------------------------------------------------


def test_the_subcommands_answer_the_same(pair: tuple[Side, Side]) -> None:
    """All of them, and with wrong words."""
    same(
        pair,
        r"""
        ACL LIST
        ACL USERS
        ACL WHOAMI
        ACL GETUSER default
        ACL GETUSER nobody
        ACL SETUSER u
        ACL GETUSER u
        ACL SETUSER u on nopass >pw ~a* %R~b* %RW~c &ch &* resetchannels &ch (~x +get) (%W~y +@all)
        ACL GETUSER u
        ACL LIST
        ACL USERS
        ACL DELUSER u nobody
        ACL DELUSER u
        ACL DELUSER default
        ACL CAT
        ACL CAT nope
        ACL CAT read write
        ACL GENPASS 0
        ACL GENPASS 4097
        ACL GENPASS x
        ACL GENPASS 1 2
        ACL LOG
        ACL LOG x
        ACL LOG -1
        ACL LOG 1 2
        ACL LOG reset
        ACL DRYRUN nobody get x
        ACL DRYRUN default
        ACL DRYRUN default nope
        ACL DRYRUN default config nope
        ACL DRYRUN default get
        ACL DRYRUN default acl
        ACL DRYRUN default acl setuser
        ACL DRYRUN default get x
        ACL NOPE
        ACL
        ACL WHOAMI x
        ACL SETUSER
        ACL DELUSER
        ACL LOAD x
        ACL SETUSER 'a b' on
        ACL SETUSER '' on
        ACL LIST
        """,
    )
    ours, theirs = pair
    for side in pair:
        assert [len(side.say(f"ACL GENPASS {bits}")) for bits in (1, 4, 5, 256, 4096)] == [1, 1, 2, 64, 1024]
    assert ours.say("ACL HELP")[0] == theirs.say("ACL HELP")[0]


def test_categories_hold_the_same_commands(pair: tuple[Side, Side]) -> None:
    """Of the commands that both servers have; WAIT is a blocking one since 7.2."""
    ours, theirs = pair
    both = _arities(ours).keys() & _arities(theirs).keys()
    for category in ours.say("ACL CAT"):
        mine, live = (both & set(side.say(f"ACL CAT {category}")) for side in pair)
        assert mine - {"wait"} == live - {"wait"}, category


def test_wrong_rules_are_refused_in_the_same_words(pair: tuple[Side, Side]) -> None:
    """And the user stays as it was."""
    same(
        pair,
        r"""
        ACL SETUSER u on +get
        ACL SETUSER u off nope
        ACL SETUSER u off ~* ~b
        ACL SETUSER u off &* &b
        ACL SETUSER u off %~a
        ACL SETUSER u off %X~a
        ACL SETUSER u off %RR~a
        ACL SETUSER u off %
        ACL SETUSER u off +nope
        ACL SETUSER u off +
        ACL SETUSER u off +@
        ACL SETUSER u off -get|x
        ACL SETUSER u off +@nope
        ACL SETUSER u off +config|nope
        ACL SETUSER u off +config|set|x
        ACL SETUSER u off +get|
        ACL SETUSER u off <pw
        ACL SETUSER u off !30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4
        ACL SETUSER u off #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170cX
        ACL SETUSER u off #abc
        ACL SETUSER u off (~a +get
        ACL SETUSER u off ((
        ACL SETUSER u off )
        ACL SETUSER u off (nope)
        ACL SETUSER u off (on)
        ACL SETUSER u off '~a b'
        ACL SETUSER u off '&a b'
        ACL SETUSER u off '+get x'
        ACL GETUSER u
        ACL SETUSER u %R ~ & () '(+get '"'"'x)' ''
        ACL GETUSER u
        """,
    )


def test_refusals_are_the_same(pair: tuple[Side, Side]) -> None:
    """Commands, keys by how they are used, channels; while queueing and in EXEC; SORT's patterns."""
    same(
        pair,
        """
        ACL SETUSER u on >p +@all -set ~k* %R~r* %W~w* &c*
        b: AUTH u p
        b: GET k
        b: GET x
        b: GET w1
        b: SET k v
        b: MSET k 1 x 2
        b: COPY r1 w1
        b: COPY w1 r1
        b: PUBLISH c1 x
        b: PUBLISH d x
        b: SUBSCRIBE d
        b: SSUBSCRIBE c1 d
        b: PSUBSCRIBE c1*
        b: PSUBSCRIBE c*
        b: RESET
        b: ACL WHOAMI
        b: AUTH u p
        b: MULTI
        b: GET x
        b: EXEC
        b: MULTI
        b: GET k
        b: GET k1
        b: PUBLISH c1 x
        b: LLEN k
        ACL SETUSER u -llen resetkeys ~k resetchannels
        b: EXEC
        ACL SETUSER u +llen ~k*
        b: SORT k BY w*
        b: SORT k BY nosort
        b: SORT k GET #
        b: SORT_RO k GET w*
        ACL SETUSER u %R~*
        b: SORT k BY w* GET x
        b: SORT k BY w* STORE r2
        ACL SETUSER u +set %W~w*
        b: BITFIELD r1 GET u8 0
        b: BITFIELD r1 SET u8 0 1
        b: BITFIELD r1 GET u8
        b: SET w1 v
        b: SET w1 v GET
        b: SET r1 v
        b: ZUNIONSTORE w1 2 r1 r2
        b: ZUNIONSTORE r3 2 r1 r2
        b: XREAD STREAMS r1 w1 0 0
        b: CLIENT KILL USER nobody
        CLIENT KILL USER u
        b: PING
        """,
    )
    wanted = ("acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel")
    counted = [[side.server.info("stats").get(name) for name in wanted] for side in pair]
    assert counted[0] == counted[1] or pair[1].server.kind == "redis70", counted  # which has no such fields yet


def test_refusals_inside_scripts_are_the_same(pair: tuple[Side, Side]) -> None:
    """A script has the rights of who runs it; the log has them under `lua`, with the client that it was."""
    same(
        pair,
        """
        ACL SETUSER u on nopass +@all -set ~k* &c*
        b: CLIENT SETNAME me
        b: AUTH u x
        b: EVAL "return redis.call('set','k','v')" 0
        b: EVAL "return redis.call('get','x')" 0
        b: EVAL "return redis.call('get','k')" 0
        b: EVAL "return redis.pcall('publish','d','v')" 0
        b: EVAL "return {redis.pcall('get','x'), redis.pcall('get','k')}" 0
        b: EVAL "local ok, err = pcall(redis.call,'get','x') return err" 0
        b: EVAL "return redis.call('sort','k','by','w*')" 0
        b: EVAL "return redis.acl_check_cmd('set','k','v')" 0
        b: EVAL "return redis.acl_check_cmd('get','k')" 0
        b: EVAL "return redis.acl_check_cmd('nope','k')" 0
        b: EVAL "return 1" 1 x
        b: EVAL "return 1" 1 k
        """,
    )
    shown = [
        [[entry[at] for at in (1, 3, 5, 7, 9)] + re.findall(r"(?:name|cmd|user)=\S+", entry[13]) for entry in entries]
        for entries in (side.say("ACL LOG") for side in pair)
    ]
    assert shown[0] == shown[1]
    assert [entry[:4] for entry in shown[0][1:]] == [
        [3, "key", "lua", "x"],
        [1, "channel", "lua", "d"],
        [1, "command", "lua", "set"],
    ]


def test_the_log_of_denials_has_the_same_entries(pair: tuple[Side, Side]) -> None:
    """Reason, context, object, name and count, in the same order, with the client that it was."""
    same(
        pair,
        """
        ACL SETUSER u on nopass +@all -set ~k &c
        b: CLIENT SETNAME me
        b: AUTH u x
        b: SET k v
        b: SET k v
        b: GET a
        b: PUBLISH d x
        b: MULTI
        b: CONFIG GET x
        b: GET a
        b: DISCARD
        b: MULTI
        b: GET k
        b: AUTH nobody x
        ACL SETUSER u resetkeys
        b: EXEC
        b: AUTH u2 x
        b: HELLO 3 AUTH u3 x
        b: GET a
        b: ACL SETUSER
        """,
    )
    shown: list[list[Any]] = []
    for side in pair:
        entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in side.say("ACL LOG 20")]
        names = ("count", "reason", "context", "object", "username")
        line = r"name=me .*\bcmd=(\S+) user=(\S+)"
        shown.append(
            [[*(entry[name] for name in names), re.search(line, entry["client-info"])[0]] for entry in entries]
        )
        assert all(0 <= float(entry["age-seconds"]) < TIMEOUT_S for entry in entries)
        if "entry-id" in entries[0]:
            numbers = sorted(entry["entry-id"] for entry in entries)
            assert numbers == list(range(numbers[0], numbers[0] + len(entries)))
            assert all(entry["timestamp-created"] <= entry["timestamp-last-updated"] for entry in entries)
        side.say("CONFIG SET acllog-max-len 2")
        side.say("b: AUTH u9 x")
        assert [entry[9] for entry in side.say("ACL LOG")] == ["u9", entries[0]["username"]]
        side.say("CONFIG SET acllog-max-len 128")
    mine, live = ([[*entry[:5], re.sub(r" age=.* cmd", " cmd", entry[5])] for entry in one] for one in shown)
    assert mine == live


def test_logins_are_the_same(pair: tuple[Side, Side]) -> None:
    """One word and two, HELLO, who must log in, and `requirepass` beside the default user's passwords."""
    same(
        pair,
        """
        AUTH x
        AUTH a b c
        AUTH default x
        AUTH nobody x
        HELLO 2 AUTH nobody x
        ACL SETUSER u on >one >two +acl|whoami
        b: AUTH u three
        b: AUTH u two
        b: ACL WHOAMI
        b: PING
        b: AUTH u one
        b: HELLO 2 AUTH default x
        b: ACL WHOAMI
        ACL SETUSER u off
        c: AUTH u one
        ACL SETUSER default >pw
        d: PING
        d: HELLO 2
        d: AUTH wrong
        d: AUTH pw
        d: ACL WHOAMI
        CONFIG GET requirepass
        CONFIG SET requirepass foo
        CONFIG GET requirepass
        ACL LIST
        e: AUTH pw
        e: AUTH foo
        e: RESET
        e: PING
        ACL SETUSER default nopass
        e: PING
        CONFIG GET requirepass
        CONFIG SET requirepass foo
        e: PING
        CONFIG SET requirepass ''
        ACL SETUSER default off
        e: PING
        f: AUTH foo
        f: AUTH default foo
        f: QUIT
        ACL SETUSER default on -@all +acl ~*
        PING
        ACL WHOAMI
        ACL SETUSER default +@all &*
        PING
        """,
    )


def test_connections_end_with_their_users_rights(pair: tuple[Side, Side]) -> None:
    """A deleted user's connections, and those that listen to what is not allowed any more."""
    same(
        pair,
        """
        ACL SETUSER u on nopass +@all ~* &c* &d
        b: AUTH u p
        b: SUBSCRIBE c1
        p: AUTH u p
        p: PSUBSCRIBE c*
        s: AUTH u p
        s: SSUBSCRIBE c2
        ACL SETUSER u &e
        b: PING
        p: PING
        ACL SETUSER u resetchannels &c*
        b: PING
        p: PING
        s: PING
        ACL SETUSER u resetchannels &c?
        b: PING
        p: PING
        s: PING
        ACL SETUSER u allchannels
        q: AUTH u p
        q: SUBSCRIBE zz
        ACL SETUSER u resetchannels
        q: PING
        n: AUTH u p
        n: PING
        k: AUTH u p
        k: ACL DELUSER u
        k: PING
        n: PING
        """,
    )


# -- any rules --------------------------------------------------------------------------------------------------

_TABLE_WORDS = ("get", "set", "config", "config|get", "client|id", "select", "acl", "mget", "publish", "flushall")
_CATEGORY_NAMES = ("read", "write", "keyspace", "string", "admin", "dangerous", "fast", "slow", "connection", "all")
# "*" with rights to read and write is shown as all keys, where it was a pattern like any other.
_PATTERNS = ("a", "a*", "?", "[ab]", "")

_selector_rules = st.one_of(
    st.builds("{}{}".format, st.sampled_from("+-"), st.sampled_from([*_TABLE_WORDS, *map(str.upper, _TABLE_WORDS)])),
    st.builds("{}@{}".format, st.sampled_from("+-"), st.sampled_from(_CATEGORY_NAMES)),
    st.builds("+{}|{}".format, st.sampled_from(["select", "get", "config", "nope", "client"]), st.sampled_from("01x")),
    st.builds("{}{}".format, st.sampled_from("~&"), st.sampled_from(["*", *_PATTERNS])),
    st.builds("{}{}".format, st.sampled_from(["%R~", "%W~", "%rw~", "%"]), st.sampled_from(_PATTERNS)),
    st.sampled_from(["allkeys", "resetkeys", "allchannels", "resetchannels", "allcommands", "nocommands", "nope"]),
)
_rules = st.one_of(
    _selector_rules,
    st.sampled_from(["on", "off", "nopass", "resetpass", ">a", ">b", "<a", "reset", "clearselectors"]),
    st.builds("({})".format, st.lists(_selector_rules, max_size=3).map(" ".join)),
)


def quoted(rules: list[str]) -> str:
    return " ".join(map(shlex.quote, rules))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(_rules, min_size=1, max_size=6), min_size=1, max_size=4))
def test_any_rules_make_the_same_user(_sides: dict[str, Side], calls: list[list[str]]) -> None:
    """Refused in the same words; shown as Valkey 9 shows them; what is shown makes the same user on each server."""
    ours, redis70, valkey9 = (_sides[kind] for kind in ("txrepl", "redis70", "valkey9"))
    sides = (ours, redis70, valkey9)
    for side in sides:
        side.say("ACL DELUSER u again")
    for rules in calls:
        answers = [side.say(f"ACL SETUSER u {quoted(rules)}") for side in sides]
        assert answers[0] == answers[1] == answers[2], rules
    assert ours.say("ACL GETUSER u") == valkey9.say("ACL GETUSER u")
    lines = [line for line in ours.say("ACL LIST") if line.startswith("user u ")]
    assert lines == [line for line in valkey9.say("ACL LIST") if line.startswith("user u ")]
    for line in lines:
        redis70.say(f"ACL SETUSER again {quoted(merged(line.split(' ')[2:]))}")
        first, again = (rights(redis70.say(f"ACL GETUSER {name}")) for name in ("u", "again"))
        assert first == again, line


def rights(answer: list[Any]) -> list[Any]:
    """What ACL GETUSER tells; Redis 7.0 shows first arguments in the order in which they were first given."""
    return [sorted(item.split(" ")) if isinstance(item, str) else item for item in answer]


def merged(words: list[str]) -> list[str]:
    """The rules of a line, each selector as one."""
    return re.findall(r"\([^)]*\)|[^ ]+|(?<= )(?= )", " ".join(words))


_REQUEST_WORDS = ("a", "b", "1", "2", "0", "get", "set", "store", "by", "*", "streams", "keys", "u8", "limit", "x", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_of_any_command_has_the_same_answer(_sides: dict[str, Side], kind: str) -> None:
    """Every command that both servers have, for users who may do much, little and nothing, with many kinds of words."""
    ours, theirs = _sides["txrepl"], _sides[kind]
    users = {
        "keys": "on +@all %R~a* %W~b* &a",
        "reads": "on +@read +@connection ~a",
        "parts": "on -@all +select|0 +config|get +client|id (~b +@write) (~* +get)",
        "most": "on +@all -@dangerous allkeys allchannels",
    }
    for side in (ours, theirs):
        side.begin()
        for name, rules in users.items():
            side.say(f"ACL SETUSER {name} {rules}")
    arities = {side: _arities(side) for side in (ours, theirs)}
    common = sorted(name for name in arities[ours] if arities[ours][name] == arities[theirs].get(name))
    assert len(common) > 200
    number = 0
    lines: list[str] = []
    for name in common:
        arity = arities[ours][name]
        for extra in range(4 if arity < 0 else 1):
            words = [*name.split("|")]
            while len(words) < abs(arity) + extra:
                number += 7
                words.append(_REQUEST_WORDS[(number * number // 5) % len(_REQUEST_WORDS)])
            lines += [f"ACL DRYRUN {user} {shlex.join(words)}" for user in users]
    mine, live = (_all(side, lines) for side in (ours, theirs))
    different = [(line, a, b) for line, a, b in zip(lines, mine, live, strict=True) if a != b]
    # Redis takes a PFMERGE without sources for one whose keys cannot be told, and lets it write any key.
    assert [one for one in different if " pfmerge " not in one[0]] == []


def _arities(side: Side) -> dict[str, int]:
    """The arity of every command and subcommand of a server."""
    found: dict[str, int] = {}
    for entry in side.say("COMMAND"):
        found.update((one[0], one[1]) for one in (entry, *entry[9]) if not one[9])
    return found


def _all(side: Side, lines: list[str]) -> list[Any]:
    """The answers to many lines, sent at once."""
    with side.server.connect() as client:
        client.send(b"".join(_request(shlex.split(line)) for line in lines))
        answers = [newer(plain(client.read_reply())) for _ in lines]
    return [re.sub(r"User \w+ has", "User u has", answer) if isinstance(answer, str) else answer for answer in answers]


def _request(words: list[str]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)


# -- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_users_in_an_acl_file(kind: str, tmp_path: Path) -> None:
    """Loaded at start and by ACL LOAD, written by ACL SAVE; a wrong file changes nothing. The same on both sides."""
    first = "user alice on >pw ~* +@all\nuser default on nopass ~* &* +@all\nuser bob on nopass ~a +get &x*\n"
    seen: list[list[Any]] = []
    for one in (kind, "txrepl"):
        path = tmp_path / f"{one}.acl"
        path.write_text(first)
        with start(one, aclfile=str(path)) as server:
            side = Side(server)
            answers = [side.say("ACL LIST")]
            answers += [side.say(line) for line in ("a: AUTH alice pw", "x: AUTH bob x", "ACL SETUSER carol on >c")]
            answers += [side.say(line) for line in ("c: AUTH carol c", "ACL SETUSER bob off", "ACL SAVE")]
            saved = newer(path.read_text())
            path.write_text("user bob on foo +get|\n# c\nuser eve\nuser eve +nope +nope2\n\nuser x\ty\n")
            answers += [side.say("ACL LOAD"), side.say("ACL LIST"), saved]
            path.write_text("user default on nopass ~* +@all\nuser dora on nopass\n")
            answers += [side.say("ACL LOAD"), side.say("ACL LIST"), side.say("a: PING"), side.say("c: PING")]
            path.unlink()
            answers += [side.say("ACL LOAD"), side.say("PING")]
            seen.append([_in_file(answer, path) for answer in answers])
    for live, mine in zip(*seen, strict=True):
        assert mine == live


def _in_file(answer: Any, path: Path) -> Any:
    """An answer that names the file of one side, made alike; Redis 7.0 tells of unknown commands without the rule."""
    if isinstance(answer, list):
        return [_in_file(item, path) for item in answer]
    if not isinstance(answer, str):
        return answer
    answer = answer.replace(str(path), "FILE")
    answer = re.sub(r"Error in applying operation '[^']*': ", "", answer)
    return re.sub(r"(FILE:1: Syntax error\. )+", "FILE:1: Syntax error. ", answer)


def test_users_in_the_configuration_file(run: Run, tmp_path: Path) -> None:
    """They are made at start, and CONFIG REWRITE writes all of them as they are now, the default one too."""
    file = tmp_path / "txrepl.conf"
    file.write_text("user alice on >pw ~a* +get\n# mine\nrequirepass secret\nuser gone on\n")
    with start("txrepl", config_file=file) as server, RawClient(server.port, TIMEOUT_S) as client:
        assert isinstance(client.execute("PING"), ReplyError)
        assert client.command("AUTH", "alice", "pw") == "OK"
        assert client.command("GET", "a1") is None
        assert client.command("AUTH", "secret") == "OK"
        client.command("ACL", "SETUSER", "bob", "on", "nopass", "(%R~x +@read)")
        client.command("ACL", "DELUSER", "gone")
        before = client.command("ACL", "LIST")
        assert client.command("CONFIG", "REWRITE") == "OK"
    text = file.read_text()
    assert "# mine" in text and "user gone" not in text and ">pw" not in text
    assert sorted(re.findall("^user .*$", text, re.MULTILINE)) == sorted(line.decode() for line in before)
    file.write_text(re.sub("^dir .*\n", "", text, flags=re.MULTILINE))
    with start("txrepl", config_file=file) as server, RawClient(server.port, TIMEOUT_S) as client:
        assert client.command("AUTH", "secret") == "OK"
        assert newer(plain(client.command("ACL", "LIST"))) == newer(plain(before))


# -- replication ------------------------------------------------------------------------------------------------


def replica_user(primary: RealServer) -> None:
    """A user with the rights of a replica and no others; the default one is off."""
    primary.command("ACL", "SETUSER", "repl", "on", ">pw", "+psync", "+replconf", "+ping")
    primary.command("ACL", "SETUSER", "watcher", "on", "nopass", "+@all", "~*", "&*")
    client = primary.connect()
    client.command("AUTH", "watcher", "x")
    client.command("ACL", "SETUSER", "default", "off")
    client.close()


@pytest.mark.parametrize("kinds", [("txrepl", "txrepl"), ("txrepl", "redis70"), ("txrepl", "valkey9"),
                                   ("valkey9", "txrepl")], ids="-".join)  # fmt: skip
def test_a_replica_needs_three_commands(run: Run, kinds: tuple[str, str]) -> None:
    """A primary whose default user is off is followed as a user with psync, replconf and ping; writes arrive."""
    primary = run(kinds[0])
    replica_user(primary)
    replica = run(kinds[1], replicaof=("127.0.0.1", primary.port), masteruser="repl", masterauth="pw")
    with RawClient(primary.port, TIMEOUT_S) as client:
        client.command("AUTH", "watcher", "x")
        client.command("SET", "k", "v")
        wait_until(lambda: replica.command("GET", "k") == b"v", TIMEOUT_S, "the write arrives")
        (line,) = [line for line in client.command("CLIENT", "LIST", "TYPE", "replica").splitlines() if line]
        assert b" user=repl " in line
        assert client.command("WAIT", 1, TIMEOUT_S * 1000) == 1
        # The stream is applied whatever the replica's own users may do.
        replica.command("ACL", "SETUSER", "default", "-set")
        client.command("SET", "k", "w")
        wait_until(lambda: replica.command("GET", "k") == b"w", TIMEOUT_S, "the next write arrives")
        client.command("ACL", "DELUSER", "repl")
        wait_until(lambda: link(replica) == "down", TIMEOUT_S, "the link is cut with its user")
        client.command("ACL", "SETUSER", "repl", "on", ">pw", "+psync", "+replconf", "+ping")
        wait_until(lambda: link(replica) == "up", TIMEOUT_S, "the link is back with its user")


def link(replica: RealServer) -> str:
    return replica.info("replication")["master_link_status"]
