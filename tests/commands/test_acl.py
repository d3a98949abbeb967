"""Users and their rules, and who is refused what, without a network."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.commands.test_server_families import Client, World, error
from txrepl.commands.access.checks import Reason, check
from txrepl.commands.access.loading import Declared, UserLinesError, file_text, users_of_file
from txrepl.commands.access.record import Record
from txrepl.commands.access.rules import RuleError, UnmatchedError, merge_selectors
from txrepl.commands.access.users import User, Users
from txrepl.commands.acl import user_lines
from txrepl.commands.registry import build_table
from txrepl.commands.session import RESTRICTED, SLOW_PATH
from txrepl.config import Config
from txrepl.config.quoting import quote_word, split_words, to_bytes

TABLE = build_table()
HASH = hashlib.sha256(b"pw").hexdigest()


def quoted_pattern(pattern: bytes) -> bytes:
    """A key pattern as a rule inside parentheses."""
    return quote_word(b"~" + pattern).encode()


def new_users(warnings: list[str] | None = None) -> Users:
    """A server's users before anything was configured."""
    return Users(TABLE, [].append if warnings is None else warnings.append)


def user_of(rules: str) -> User:
    """A user made by rules separated by blanks."""
    return new_users().staged(b"u", merge_selectors(rules.encode().split(b" ")))


# -- rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "shown"), [
    ("", "off resetchannels -@all"),
    ("on nopass", "on nopass resetchannels -@all"),
    (">pw on", f"on #{HASH} resetchannels -@all"),
    (f">pw #{HASH} >pw", f"off #{HASH} resetchannels -@all"),
    (">pw <pw", "off resetchannels -@all"),
    (f">pw !{HASH} nopass", "off nopass resetchannels -@all"),
    ("nopass >pw", f"off #{HASH} resetchannels -@all"),
    (">pw nopass", "off nopass resetchannels -@all"),
    ("nopass resetpass", "off resetchannels -@all"),
    ("ON +@ALL AllKeys ALLCHANNELS", "on ~* &* +@all"),
    ("~a %R~b %W~c %RW~d %wr~e", "off ~a %R~b %W~c ~d ~e resetchannels -@all"),
    ("%R~a %W~a", "off ~a resetchannels -@all"),
    ("~a ~* resetkeys ~b", "off ~b resetchannels -@all"),
    ("&a &b &a", "off resetchannels &a &b -@all"),
    ("&a &* resetchannels &b", "off resetchannels &b -@all"),
    ("+get +GET -get", "off resetchannels -@all -get"),
    ("+get +@read -@write +config|get", "off resetchannels -@all +get +@read -@write +config|get"),
    ("+config|get +config|set -config", "off resetchannels -@all -config"),
    ("+@all -get", "off resetchannels +@all -get"),
    ("+get +@all +set -@all", "off resetchannels -@all"),
    ("+select|0 +select|1 +select|0", "off resetchannels -@all +select|1 +select|0"),
    ("skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"),
    ("on >pw ~a &b +get (+set) reset", "off sanitize-payload resetchannels -@all"),
    ("(~a +get) (%R~b &c +@all -set)", "off resetchannels -@all (~a resetchannels -@all +get) "
     "(%R~b resetchannels &c +@all -set)"),
    ("(~a +get ) (~b) clearselectors ( +set )", "off resetchannels -@all (resetchannels -@all +set)"),
])  # fmt: skip
def test_rules_make_the_user_that_is_shown(rules: str, shown: str) -> None:
    """What a user is shown as, in ACL LIST; that makes the same user again."""
    user = user_of(rules)
    assert user.shown().decode() == shown
    assert user_of(shown).shown() == user.shown()


@pytest.mark.parametrize(("rules", "reason"), [
    ("nope", "Syntax error"),
    ("~* ~b", "Adding a pattern after the * pattern (or the 'allkeys'"),
    ("&* &b", "Adding a pattern after the * pattern (or the 'allchannels'"),
    ("%~a", "Syntax error"),
    ("%RR~a", "Syntax error"),
    ("%X~a", "Syntax error"),
    ("%", "Syntax error"),
    ("+nope", "Unknown command"),
    ("-get|x", "Unknown command"),
    ("+@nope", "Unknown command or category"),
    ("+config|nope", "Unknown command"),
    ("+config|set|x", "Allowing first-arg of a subcommand"),
    ("+get|", "Syntax error"),
    ("<pw", "The password you are trying to remove"),
    ("#abc", "The password hash must be"),
    (f"#{HASH.upper()}", "The password hash must be"),
    ("(~a nope)", "Syntax error"),
    ("(on)", "Syntax error"),
])  # fmt: skip
def test_a_wrong_rule_says_why_and_leaves_the_user_alone(rules: str, reason: str) -> None:
    """Rules before and behind it have no effect either."""
    users = new_users()
    users.add(users.staged(b"u", [b"on", b"+get"]))
    with pytest.raises(RuleError, match="^" + reason.replace("(", r"\(").replace("*", r"\*")):
        users.staged(b"u", merge_selectors(f"off {rules} +set".encode().split(b" ")))
    found = users.find(b"u")
    assert found is not None and found.shown() == b"on resetchannels -@all +get"


def test_patterns_cannot_hold_what_would_end_a_rule() -> None:
    """Blanks, line breaks and NULs: such a pattern could not be written into a file."""
    for rule in (b"~a b", b"~a\n", b"&a\tb", b"~a\0b", b"+select|a b"):
        with pytest.raises(RuleError, match="Syntax error"):
            user_of("on").apply(rule)


def test_words_end_at_a_nul_but_passwords_do_not() -> None:
    """As C strings do; a password is taken whole."""
    user = user_of("on")
    for rule in (b"off\0x", b"+get\0x", b">p\0w"):
        user.apply(rule)
    assert not user.enabled and "get" in user.root.commands
    user.apply(b"on")
    assert user.accepts(b"p\0w") and not user.accepts(b"p")


def test_a_selector_may_stretch_over_words() -> None:
    """From the word that opens it to the word that closes it; what is never closed is named."""
    assert merge_selectors([b"on", b"(~a", b"(b", b"+get)", b"off"]) == [b"on", b"(~a (b +get)", b"off"]
    with pytest.raises(UnmatchedError) as caught:
        merge_selectors([b"on", b"(~a", b"+get"])
    assert caught.value.at == 1


def test_new_users_and_selectors_have_the_channels_that_the_directive_says() -> None:
    """`acl-pubsub-default`, at the time when they are made; a reset asks again."""
    users = new_users()
    users.new_may_use_all_channels = True
    user = users.staged(b"u", [b"(+get)"])
    assert user.shown() == b"off &* -@all (&* -@all +get)"
    users.new_may_use_all_channels = False
    user.apply(b"reset")
    assert user.shown() == b"off sanitize-payload resetchannels -@all"


def test_the_form_with_a_first_argument_is_warned_of() -> None:
    """As deprecated, with the rule."""
    warnings: list[str] = []
    new_users(warnings).staged(b"u", [b"+select|0"])
    assert warnings == [
        "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may get "
        "disabled in the future (offender: +select|0)"
    ]


@pytest.mark.parametrize(("rules", "given", "right"), [
    ("on >pw >other", b"pw", True),
    ("on >pw >other", b"other", True),
    ("on >pw", b"", False),
    ("on >pw", HASH.encode(), False),
    ("on", b"", False),
    ("on nopass", b"anything", True),
    ("off nopass", b"anything", False),
    ("off >pw", b"pw", False),
])  # fmt: skip
def test_a_password_is_accepted_or_not(rules: str, given: bytes, right: bool) -> None:
    """Nobody logs in as a user that is off."""
    assert user_of(rules).accepts(given) is right


# -- checks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "words", "denied"), [
    ("+@all ~* &*", "SET k v", None),
    ("-@all ~*", "GET k", ("COMMAND", b"get")),
    ("-@all ~*", "AUTH x", None),
    ("+@read ~*", "GET k", None),
    ("+@read ~*", "SET k v", ("COMMAND", b"set")),
    ("+config|get", "CONFIG GET x", None),
    ("+config|get", "CONFIG SET x y", ("COMMAND", b"config|set")),
    ("+config -config|set", "config Set x y", ("COMMAND", b"config|set")),
    ("+select|0", "SELECT 0", None),
    ("+select|0", "SELECT 1", ("COMMAND", b"select")),
    ("+@all ~a*", "MGET a1 a2 b1 b2", ("KEY", b"b1")),
    ("+@all %R~r %W~w", "COPY r w", None),
    ("+@all %R~r %W~w", "COPY w r", ("KEY", b"w")),
    ("+@all %W~w", "SET w v", None),
    ("+@all %W~w", "SET w v GET", ("KEY", b"w")),
    ("+@all %R~r", "BITFIELD r GET u8 0", None),
    ("+@all %R~r", "BITFIELD r OVERFLOW SAT GET u8 0", None),
    ("+@all %R~r", "BITFIELD r OVERFLOW SAT INCRBY u8 0 1", ("KEY", b"r")),
    ("+@all %R~r", "BITFIELD r GET u8", ("KEY", b"r")),
    ("+@all %R~r %W~w", "SORT r STORE w", None),
    ("+@all %R~r %W~w", "SORT r STORE w STORE r", ("KEY", b"r")),
    ("+@all %R~a", "EXISTS b", ("KEY", b"b")),
    ("+@all %R~r %W~w", "GEORADIUS r 1 1 1 m STORE w", None),
    ("+@all %R~r %W~w", "GEORADIUS r 1 1 1 m STORE w ASC STOREDIST x", ("KEY", b"x")),
    ("+@all %R~r %W~w", "GEORADIUSBYMEMBER r m 1 m STORE x STORE w", None),
    ("+@all &c*", "PUBLISH c1 x", None),
    ("+@all &c*", "PUBLISH d x", ("CHANNEL", b"d")),
    ("+@all &c*", "SUBSCRIBE c1 d c2", ("CHANNEL", b"d")),
    ("+@all &c*", "PSUBSCRIBE c*", None),
    ("+@all &c*", "PSUBSCRIBE c1*", ("CHANNEL", b"c1*")),
    ("+@all ~c* &c*", "SSUBSCRIBE d", ("CHANNEL", b"d")),
    ("+@all", "UNSUBSCRIBE d", None),
    ("+get ~a (+set ~b) (+set ~c)", "SET c v", None),
    ("+get ~a (+set ~b)", "SET a v", ("KEY", b"a")),
    ("+get ~a (+mset ~b) (+mset ~b ~c)", "MSET b 1 c 2 d 3", ("KEY", b"d")),
    ("(+publish &a) (+publish &b)", "PUBLISH c x", ("CHANNEL", b"c")),
    ("+@all ~a", "ZUNIONSTORE b nonsense a", None),
])  # fmt: skip
def test_what_is_denied_is_named(rules: str, words: str, denied: tuple[str, bytes] | None) -> None:
    """One selector must allow all of a request; of what several deny, the one that came furthest tells.

    The last one: words that name no keys are for the command itself to refuse, as in Redis.
    """
    argv = words.encode().split(b" ")
    command = TABLE.resolve(argv)
    assert command is not None
    denial = check(user_of(rules), command, argv)
    assert (None if denial is None else (denial.reason.name, denial.subject)) == denied


def test_who_has_no_user_may_do_everything() -> None:
    """The primary's stream."""
    assert check(None, TABLE.commands["flushall"], [b"FLUSHALL"]) is None


# -- sessions ---------------------------------------------------------------------------------------------------


def restricted(world: World, rules: str) -> Client:
    """A client of a user with these rules."""
    client = world.client()
    client.say(f"ACL SETUSER u on nopass {rules}")
    assert client.say("AUTH u x") == b"+OK\r\n"
    return client


def test_only_who_may_not_do_everything_is_checked() -> None:
    """The flag that takes a session off the fast path comes and goes with its user and with the user's rules."""
    world = World()
    admin, client = world.client(), world.client()
    assert not admin.session.flags & SLOW_PATH
    client.say("ACL SETUSER u on nopass +@all ~* &*", "AUTH u x")
    assert not client.session.flags & SLOW_PATH
    for rules, flag in (("-debug", RESTRICTED), ("+debug", RESTRICTED), ("+@all", 0), ("resetkeys", RESTRICTED)):
        admin.say(f"ACL SETUSER u {rules}")
        assert client.session.flags & SLOW_PATH == flag, rules
    client.say("RESET")
    assert not client.session.flags & SLOW_PATH


def test_a_refusal_is_worded_counted_and_kept() -> None:
    """NOPERM to the client; INFO, commandstats and ACL LOG know of it."""
    world = World()
    client = restricted(world, "+@all -set ~a")
    assert client.say("SET a 1") == error("NOPERM User u has no permissions to run the 'set' command")
    assert client.say("GET b") == error("NOPERM No permissions to access a key")
    assert client.say("PUBLISH c m") == error("NOPERM No permissions to access a channel")
    assert client.say("AUTH u2 x").startswith(b"-WRONGPASS")
    stats = world.node.stats
    assert stats.denials == {"auth": 1, "command": 1, "key": 1, "channel": 1}
    assert (stats.errors["NOPERM"], world.node.table.commands["set"].rejected) == (3, 1)
    entries = list(world.node.denials.newest(10))
    assert [(entry.reason.name, entry.subject, entry.username, entry.context) for entry in entries] == [
        ("AUTH", b"AUTH", b"u2", "toplevel"),
        ("CHANNEL", b"c", b"u", "toplevel"),
        ("KEY", b"b", b"u", "toplevel"),
        ("COMMAND", b"set", b"u", "toplevel"),
    ]
    assert b" cmd=set user=u " in entries[3].client and not entries[3].client.endswith(b"\n")


def test_a_right_that_is_lost_between_queueing_and_exec_is_missed_there() -> None:
    """The other commands of the transaction run."""
    world = World()
    client = restricted(world, "+@all ~a ~b &c")
    client.say("MULTI", "SET a 1", "SET b 1", "PUBLISH c m", "GET a", "INCR a")
    world.client().say("ACL SETUSER u resetkeys ~a resetchannels -incr")
    lost = "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This "
    lost += "command is no longer allowed for the following reason: "
    assert client.say("EXEC") == b"".join(
        (
            b"*5\r\n+OK\r\n",
            error(lost + "no permission to touch the specified keys"),
            error(lost + "no permission to access one of the channels used as arguments"),
            b"$1\r\n1\r\n",
            error(lost + "no permission to execute the command or subcommand"),
        )
    )
    assert {entry.context for entry in world.node.denials.newest(10)} == {"multi"}


def test_a_refusal_while_queueing_aborts_the_transaction() -> None:
    """As any error there does."""
    client = restricted(World(), "+@all ~a")
    assert client.say("MULTI", "GET b", "EXEC") == b"+OK\r\n" + error("NOPERM No permissions to access a key") + error(
        "EXECABORT Transaction discarded because of previous errors."
    )


def test_who_waits_for_a_key_must_still_be_allowed_it_when_it_comes() -> None:
    """Rules that changed meanwhile end the waiting with the refusal, and the element stays."""
    world = World()
    client, admin = restricted(world, "+@all ~l"), world.client()
    client.say("BLPOP l 0")
    admin.say("ACL SETUSER u resetkeys")
    client.sent = b""
    admin.say("RPUSH l x")
    assert client.sent == error("NOPERM No permissions to access a key")
    assert admin.say("LRANGE l 0 -1") == b"*1\r\n$1\r\nx\r\n"
    assert (world.node.table.commands["blpop"].calls, world.node.table.commands["blpop"].rejected) == (1, 1)


def test_the_connections_of_a_deleted_user_are_closed() -> None:
    """At once; its own one after the answer. Whoever was never closed is nobody."""
    world = World()
    own, other, bystander = restricted(world, "+@all ~*"), world.client(), world.client()
    other.say("AUTH u x")
    assert own.say("ACL DELUSER u nobody") == b":1\r\n"
    assert (own.closed, other.closed, bystander.closed) == (True, False, None)
    assert own.session.must_log_in is False and own.session.user is world.node.users.default
    assert own.say("PING") == b""


def test_subscribers_of_what_is_not_allowed_any_more_are_closed() -> None:
    """Channels by matching, patterns by name; a user who may use all channels, or no fewer than before, stays."""
    world = World()
    admin = world.client()

    def subscribed(*lines: str) -> Client:
        client = restricted(world, "+@all resetchannels &a* &b*")
        client.say(*lines)
        return client

    kept = [subscribed("SUBSCRIBE a1"), subscribed("PSUBSCRIBE a*"), subscribed("SSUBSCRIBE a1"), subscribed()]
    lost = [subscribed("SUBSCRIBE a1 b1"), subscribed("PSUBSCRIBE a* b*"), subscribed("SSUBSCRIBE b1")]
    admin.say("ACL SETUSER u &c*", "ACL SETUSER u allchannels")
    assert {client.closed for client in kept + lost} == {None}
    admin.say("ACL SETUSER u resetchannels &a*")
    assert [client.closed for client in kept] == [None] * 4
    assert [client.closed for client in lost] == [False] * 3


def test_the_default_user_decides_whether_connections_must_log_in() -> None:
    """Without a password and on: everybody is in; whoever logged in stays so."""
    world = World()
    early, admin = world.client(), world.client()
    admin.say("ACL SETUSER default >pw")
    late = world.client()
    assert early.say("PING") == b"+PONG\r\n"
    assert late.say("PING") == error("NOAUTH Authentication required.")
    admin.say("ACL SETUSER default nopass")
    assert late.say("PING") == b"+PONG\r\n"
    admin.say("ACL SETUSER default off")
    assert late.say("PING") == error("NOAUTH Authentication required.")
    assert late.say("AUTH default pw").startswith(b"-WRONGPASS")
    admin.say("ACL SETUSER default on -@all")
    assert late.say("PING") == error("NOPERM User default has no permissions to run the 'ping' command")


def test_requirepass_is_the_default_users_only_password() -> None:
    """What CONFIG GET shows is what CONFIG SET said, whatever ACL SETUSER did."""
    world = World(requirepass="first")
    client = world.client()
    assert client.say("AUTH first") == b"+OK\r\n"
    client.say("ACL SETUSER default >more", "CONFIG SET requirepass second")
    assert [client.say(f"AUTH {word}")[:1] for word in ("first", "more", "second")] == [b"-", b"-", b"+"]
    client.say("ACL SETUSER default nopass")
    assert client.say("CONFIG GET requirepass") == b"*2\r\n$11\r\nrequirepass\r\n$6\r\nsecond\r\n"
    assert world.client().say("PING") == b"+PONG\r\n"


def test_sort_by_and_get_want_the_right_to_read_every_key() -> None:
    """Which keys they read is in the data."""
    world = World()
    client = restricted(world, "+@all ~a %W~*")
    refused = "ERR %s option of SORT denied due to insufficient ACL permissions."
    assert client.say("SORT a BY w*") == error(refused % "BY")
    assert client.say("SORT_RO a GET #") == error(refused % "GET")
    assert client.say("SORT a BY nosort") == b"*0\r\n"
    world.client().say("ACL SETUSER u %R~*")
    assert client.say("SORT a BY w* GET #") == b"*0\r\n"


# -- the record of denials --------------------------------------------------------------------------------------


def test_alike_denials_within_a_minute_are_one_entry() -> None:
    """The newest first; an entry keeps its number and the time of its first denial."""
    record = Record()

    def add(subject: bytes, now_ms: int, context: str = "toplevel") -> None:
        record.add(Reason.KEY, context, subject, b"u", b"client", now_ms, most=3)

    def shown() -> list[tuple[int, bytes, int, int, int]]:
        return [
            (entry.number, entry.subject, entry.count, entry.created_ms, entry.updated_ms)
            for entry in record.newest(10)
        ]

    add(b"a", 1000)
    add(b"b", 2000)
    add(b"a", 61_000)
    assert shown() == [(0, b"a", 2, 1000, 61_000), (1, b"b", 1, 2000, 2000)]
    add(b"b", 62_001)
    add(b"b", 62_001, "multi")
    assert [entry[:3] for entry in shown()] == [(3, b"b", 1), (2, b"b", 1), (0, b"a", 2)]
    record.clear()
    add(b"c", 70_000)
    assert [entry[0] for entry in shown()] == [4]


def test_only_the_newest_entries_are_compared_with() -> None:
    """Ten of them: whoever makes many different denials makes many entries."""
    record = Record()
    for subject in (b"%d" % number for number in (*range(11), 0, 5)):
        record.add(Reason.KEY, "toplevel", subject, b"u", b"", 0, most=100)
    assert [(entry.subject, entry.count) for entry in record.newest(3)] == [(b"5", 2), (b"0", 1), (b"10", 1)]


def test_a_long_key_is_not_kept_whole() -> None:
    """Nobody fills memory with what is denied to them."""
    record = Record()
    record.add(Reason.KEY, "toplevel", b"x" * 100_000, b"y" * 100_000, b"", 0, most=10)
    (entry,) = record.newest(1)
    assert len(entry.subject) == len(entry.username) == 4096


# -- users from text --------------------------------------------------------------------------------------------


def test_an_acl_file_makes_the_users_that_it_was_made_of() -> None:
    """Written, read again and written: the same."""
    users = new_users()
    users.add(users.staged(b"alice", [b"on", b">pw", b"~a*", b"+@read", b"(+set %W~b)"]))
    text = file_text(users)
    assert text.splitlines()[1] == b"user default on nopass ~* &* +@all"
    again = new_users()
    gone = again.replace_all(users_of_file(again, text + b"\n \r\n", "users.acl"))
    assert gone == [] and file_text(again) == text


_AWKWARD = st.text("ab*()\"'\\|#~é\xff", max_size=5).map(lambda text: text.encode("latin-1"))
_AWKWARD_RULES = st.one_of(
    st.builds(b"%b%b".__mod__, st.tuples(st.sampled_from([b"~", b"%R~", b"&", b"+select|"]), _AWKWARD)),
    st.builds(b"(%b %b)".__mod__, st.tuples(st.sampled_from([b"~x", b"+get"]), _AWKWARD.map(quoted_pattern))),
)


@given(_AWKWARD.filter(bool), st.lists(_AWKWARD_RULES, max_size=4))
def test_users_of_any_letters_come_back_from_both_kinds_of_files(name: bytes, rules: list[bytes]) -> None:
    """Quotes and parentheses in names and patterns keep no server from starting."""
    users = new_users()
    try:
        staged = users.staged(name, rules)
    except RuleError:
        assume(False)  # an empty first argument
    users.add(staged)
    by_file, by_lines, declared = new_users(), new_users(), Declared()
    by_file.replace_all(users_of_file(by_file, file_text(users), "f"))
    assert file_text(by_file) == file_text(users)
    for line in user_lines(SimpleNamespace(users=users, config=Config())):
        words = split_words(to_bytes(line))
        assert words is not None
        declared.add(by_lines, words)
    declared.apply(by_lines)
    assert [user.shown() for user in (by_lines.find(name), users.find(name)) if user] == [staged.shown()] * 2


def test_a_file_without_the_default_user_gives_it_back_its_first_rights() -> None:
    """The object stays the same; the others are gone."""
    users = new_users()
    users.add(users.staged(b"alice", [b"on"]))
    alice, default = users.find(b"alice"), users.default
    default.apply(b"off")
    assert users.replace_all(users_of_file(users, b"user bob on\n", "f")) == [alice]
    assert users.default is users.find(b"default") is default and default.shown() == b"on nopass ~* &* +@all"
    assert [user.name for user in users.all()] == [b"bob", b"default"]


@pytest.mark.parametrize(("text", "reasons"), [
    (b"# comment", "f:1 should start with user keyword followed by the username. "),
    (b"\nuser", "f:2 should start with user keyword followed by the username. "),
    (b"user a\x0bb on", "'f:1: username 'a\x0bb' contains invalid characters. "),
    (b"user a on\nuser a on", "WARNING: Duplicate user 'a' found on line 2. "),
    (b"user a (~x", "f:1: Unmatched parenthesis in selector definition."),
    (b"user a foo +nope bar", "f:1: Syntax error. f:1: Error in applying operation '+nope': Unknown command or "
     "category name in ACL. "),
])  # fmt: skip
def test_all_that_is_wrong_in_an_acl_file_is_told_at_once(text: bytes, reasons: str) -> None:
    """With the line, in Redis's words, and nothing is changed."""
    users = new_users()
    with pytest.raises(UserLinesError) as caught:
        users_of_file(users, text, "f")
    assert str(caught.value) == (
        reasons + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    )


@pytest.mark.parametrize(("lines", "reason"), [
    (["a on >pw foo"], "Error in user declaration 'foo': Syntax error"),
    (["a on #nope"], "Error in user declaration '#nope': The password hash must be exactly"),
    (["a on <secret"], "Error in user declaration '<\\*\\*\\*': The password you"),
    (["a on (~x +get"], "Error in user declaration '\\(~x': Syntax error"),
    (["a on", "a off"], "Error in user declaration 'a': Duplicate user found"),
    (["a on +nope"], "Error loading ACL rule '\\+nope' for the user named 'a': Unknown command"),
    (["a\tb on"], "Spaces not allowed in ACL usernames"),
])  # fmt: skip
def test_a_wrong_user_line_is_named_but_no_password(lines: list[str], reason: str) -> None:
    """The rule that is wrong; Redis names another one."""
    users, declared = new_users(), Declared()
    with pytest.raises(UserLinesError, match=reason):
        for line in lines:
            declared.add(users, line.encode().split(b" "))
        declared.apply(users)


def test_user_lines_make_users_and_may_change_the_default_one() -> None:
    """It begins from nothing then; who is off is told."""
    users, declared = new_users(), Declared()
    declared.add(users, [b"default", b"on", b"nopass", b"+ping"])
    declared.add(users, [b"alice", b"(+get", b"~x)"])
    assert [user.name for user in declared.apply(users)] == [b"alice"]
    assert users.default.shown() == b"on nopass sanitize-payload resetchannels -@all +ping"
    assert users.all()[0].shown() == b"off resetchannels -@all (~x resetchannels -@all +get)"
