"""What a server tells of itself and of its clients' commands, against a node without IO and a clock that stands."""

from __future__ import annotations

import random
from collections import deque

import pytest

from tests.commands.test_server_families import NOW_MS, World, error
from txrepl.commands import dispatch, durations, latency, observations
from txrepl.commands.lolwut import draw
from txrepl.commands.monitor import LINES_MAX, Monitors, monitor_line
from txrepl.config.quoting import split_words
from txrepl.directives import follow_directives
from txrepl.resp.replies import encode

# -- cluster, modules, the picture ------------------------------------------------------------------------------


def test_a_module_is_refused_first_by_the_directive_and_then_for_what_it_is() -> None:
    """Without enable-module-command nobody may ask; with it, the log says why there are no modules."""
    world = World()
    refused = world.client().say("MODULE LOAD /x.so a")
    assert refused.startswith(b"-ERR MODULE command not allowed.")
    world.node.config.assign("enable-module-command", "local")
    assert world.client("10.1.1.1:5").say("MODULE LOAD /x.so a") == refused, "not local"
    client = world.client()
    failed = error("ERR Error loading the extension. Please check the server logs.")
    assert client.say("MODULE LOAD /x.so a") == client.say("MODULE LOADEX /x.so CONFIG a b") == failed
    assert client.say("MODULE UNLOAD x") == error("ERR Error unloading module: no such module with that name")
    assert world.lines == ["Module /x.so failed to load: txrepl cannot run modules made for Redis"] * 2


def test_lolwut_draws_a_tree_of_the_size_asked_for_and_ends_with_the_version() -> None:
    """The primary is the one filled dot, every row keeps within the columns, the last line names the version."""
    picture, _, last = World().client().say("LOLWUT VERSION 5 40 3").partition(b"\r\n")[2].decode().rpartition("\n\n")
    assert picture.count("●") == 1
    assert len(picture.splitlines()) <= 5
    assert last.endswith("Redis ver. 7.2.4\n\r\n")


@pytest.mark.parametrize("columns", [1, 2, 7, 66, 1000])
def test_every_tree_fits_and_every_server_has_a_line_from_above(columns: int) -> None:
    """Whatever the chance, no row is wider than asked, and below each line ends a server."""
    for seed in range(50):
        rows = draw(random.Random(seed), columns, 8).splitlines()
        assert max(map(len, rows)) <= columns
        for above, below in zip(rows[1::2], rows[2::2], strict=False):
            assert [at for at, sign in enumerate(below) if sign == "○"] == [
                at for at, sign in enumerate(above) if sign in "┌┐┬┼│├┤"
            ]


# -- durations --------------------------------------------------------------------------------------------------


def test_every_duration_lies_in_its_bucket_and_no_bucket_is_wide() -> None:
    """Buckets meet without a gap, and each is at most 1/128 wider than its shortest duration."""
    for duration in (*range(70_000), *(int(1.17**n) for n in range(1, 132))):
        number = durations.bucket(duration)
        low, high = durations.lowest_ns(number), durations.longest_ns(number)
        assert low <= duration <= high and high - low <= duration / 128
        assert durations.lowest_ns(number + 1) == high + 1
    assert [*durations.BUCKETS] == [durations.bucket(duration) for duration in range(len(durations.BUCKETS))]


def test_percentiles_and_doubling_are_those_of_redis() -> None:
    """The longest durations of the buckets, in the numbers that Redis 7.0 gives for the same durations."""
    histogram: list[int] = []
    for us in (1, 2, 2, 5, 76, 140, 600_000, 1_100_000):
        durations.count(histogram, us * 1000)
    found = durations.percentiles_ns(histogram, (0, 12.5, 25, 50, 62, 75, 100))
    assert found == [1000, 1003, 2007, 5023, 76_287, 140_287, 1_002_438_655]
    assert list(durations.doubling(histogram)) == [(1, 1), (2, 3), (8, 4), (132, 5), (264, 6), (1_073_741, 8)]
    durations.uncount(histogram, 2_000_000_000)
    assert list(durations.doubling(histogram))[-1] == (1_073_741, 7)
    assert durations.percentiles_ns([], (0, 50)) == [0, 0] and list(durations.doubling([])) == []


class Stopwatch:
    """The clock that commands are timed by; each reading is `step_ns` after the last."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.step_ns = 1000

    def __call__(self) -> int:
        """A reading."""
        self.now_ns += self.step_ns
        return self.now_ns


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Commands take as long as the test says."""
    stopwatch = Stopwatch()
    monkeypatch.setattr(dispatch, "perf_counter_ns", stopwatch)
    return stopwatch


def observed(**directives: str) -> World:
    """A node that follows its directives."""
    world = World(**directives)
    follow_directives(world.node)
    return world


def slow(world: World) -> list[tuple[int, int, tuple[bytes, ...]]]:
    """The slow log, the oldest first."""
    return [
        (entry.number, entry.duration_us, entry.words) for entry in reversed(world.node.observations.slow_log.entries)
    ]


# -- the slow log -----------------------------------------------------------------------------------------------


def test_a_command_enters_the_slow_log_from_the_threshold_on(watch: Stopwatch) -> None:
    """Shorter ones do not; the entry says when, how long, what, and whose; each is counted, of whichever path."""
    world = observed(slowlog_log_slower_than="50")
    client = world.client("10.0.0.1:7")
    client.say("CLIENT SETNAME me")
    watch.step_ns = 49_999
    client.say("SET k v")
    watch.step_ns = 50_000
    client.say("SET k w")
    client.say("CLIENT ID")
    assert slow(world) == [(0, 50, (b"SET", b"k", b"w")), (1, 50, (b"CLIENT", b"ID"))]
    watch.step_ns = 1
    at_s = NOW_MS // 1000
    assert client.say("SLOWLOG GET 1") == encode(
        [[1, at_s, 50, [b"CLIENT", b"ID"], b"10.0.0.1:7", b"me"]],  # the newest first
        2,
    )
    assert client.say("SLOWLOG LEN") == b":2\r\n"
    assert client.say("SLOWLOG RESET", "SLOWLOG LEN", "SLOWLOG GET") == b"+OK\r\n:0\r\n*0\r\n"


def test_nothing_is_slow_where_the_log_is_off(watch: Stopwatch) -> None:
    """A negative threshold, or no room for entries."""
    watch.step_ns = 10**9
    for directives in ({"slowlog_log_slower_than": "-1"}, {"slowlog_log_slower_than": "0", "slowlog_max_len": "0"}):
        world = observed(**directives)
        world.client().say("SET k v", "MULTI", "GET k", "EXEC")
        assert slow(world) == []


def test_the_slow_log_keeps_as_many_as_it_may_and_numbers_go_on(watch: Stopwatch) -> None:
    """The oldest go; RESET does not begin the numbers anew."""
    world = observed(slowlog_log_slower_than="0", slowlog_max_len="2")
    world.client().say("GET a", "GET b", "GET c")
    assert [number for number, _, _ in slow(world)] == [1, 2]
    world.client().say("SLOWLOG RESET")
    assert [(number, words) for number, _, words in slow(world)] == [(3, (b"SLOWLOG", b"RESET"))]


def test_a_transaction_shows_in_the_slow_log_as_its_commands(watch: Stopwatch) -> None:
    """EXEC itself does not, and neither does what is only queued; a refused command was never run."""
    world = observed(slowlog_log_slower_than="0")
    world.client().say("MULTI", "SET a 1", "INCR a", "EXEC", "NOSUCH", "GET")
    assert [words for _, _, words in slow(world)] == [(b"MULTI",), (b"SET", b"a", b"1"), (b"INCR", b"a")]


def test_long_commands_are_trimmed_to_32_words_of_128_bytes() -> None:
    """The last word, and the end of a long one, say how much more there was."""
    assert observations.trimmed([b"a"] * 32) == (b"a",) * 32
    assert observations.trimmed([b"a"] * 33) == (b"a",) * 31 + (b"... (2 more arguments)",)
    assert observations.trimmed([b"x" * 128, b"x" * 129]) == (b"x" * 128, b"x" * 128 + b"... (1 more bytes)")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("AUTH secret", "AUTH *"),
        ("AUTH user secret", "AUTH * *"),
        ("HELLO 2 SETNAME n AUTH user secret", "HELLO 2 SETNAME n AUTH * *"),
        ("ACL SETUSER user >secret", "ACL SETUSER * *"),
        ("ACL GETUSER user", "ACL GETUSER *"),
        ("ACL DELUSER user", "ACL DELUSER *"),
        ("HELLO 2 AUTH user", "HELLO 2 AUTH user"),
        ("CONFIG SET hz 20 masterauth secret", "CONFIG SET hz 20 masterauth *"),
        ("CONFIG SET MASTERUSER user requirepass secret", "CONFIG SET MASTERUSER * requirepass *"),
        ("MIGRATE h 1 k 0 9 AUTH secret", "MIGRATE h 1 k 0 9 AUTH *"),
        ("MIGRATE h 1 k 0 9 COPY AUTH2 user secret REPLACE", "MIGRATE h 1 k 0 9 COPY AUTH2 * * REPLACE"),
        ("MIGRATE h 1 k 0 9 KEYS AUTH k", "MIGRATE h 1 k 0 9 KEYS AUTH k"),
        ("MIGRATE h 1 k 0 9 AUTH2 user", "MIGRATE h 1 k 0 9 AUTH2 *"),
    ],
)
def test_passwords_never_reach_the_slow_log(watch: Stopwatch, said: str, shown: str) -> None:
    """Whatever becomes of the command."""
    world = observed(slowlog_log_slower_than="0")
    world.client().say(said)
    assert slow(world)[0][2] == tuple(b"(redacted)" if word == "*" else word.encode() for word in shown.split())


def test_a_waiting_command_is_counted_once_with_the_time_it_was_at_work(watch: Stopwatch) -> None:
    """Not when it begins to wait; when it is served, times out or is unblocked."""
    world = observed(slowlog_log_slower_than="0")
    waiting, other = world.client(), world.client()
    blpop = world.node.table.commands["blpop"]
    waiting.say("BLPOP q 1")
    assert (blpop.calls, blpop.nanoseconds, sum(blpop.durations)) == (0, 0, 0)
    other.say("RPUSH q x")
    assert (blpop.calls, blpop.nanoseconds, sum(blpop.durations)) == (1, 2000, 1)
    waiting.say("BLPOP q 1")
    world.advance(1000)
    assert (blpop.calls, sum(blpop.durations)) == (2, 2)
    assert slow(world) == [
        (0, 1, (b"RPUSH", b"q", b"x")),
        (1, 2, (b"BLPOP", b"q", b"1")),
        (2, 1, (b"BLPOP", b"q", b"1")),
    ]


def test_what_ran_before_it_does_not_count_for_a_command(watch: Stopwatch) -> None:
    """In one batch: neither a command that took the long way, nor the serving of those who waited."""
    world = observed()
    get = world.node.table.commands["get"]
    client = world.client()
    client.say("DEBUG SLEEP 0", "GET k")
    assert get.nanoseconds == 1000


# -- the latency monitor ----------------------------------------------------------------------------------------


def test_spikes_are_kept_from_the_threshold_on_the_longest_of_each_second(watch: Stopwatch) -> None:
    """Fast commands and others apart; RESET forgets by name in any case; EXEC is no event, its commands are."""
    world = observed(latency_monitor_threshold="100")
    client = world.client()
    watch.step_ns = 99_999_999
    client.say("GET k", "KEYS *")
    assert client.say("LATENCY LATEST") == b"*0\r\n"
    for ms, later_ms in ((100, 0), (300, 0), (200, 1000)):
        world.now_ms += later_ms
        watch.step_ns = ms * 1_000_000
        client.say("GET k")
        client.say("KEYS *")
    watch.step_ns = 1
    at_s = NOW_MS // 1000
    assert client.say("LATENCY LATEST") == encode(
        [[b"fast-command", at_s + 1, 200, 300], [b"command", at_s + 1, 200, 300]], 2
    )
    assert client.say("LATENCY HISTORY command") == encode([[at_s, 300], [at_s + 1, 200]], 2)
    assert client.say("LATENCY RESET Command none", "LATENCY HISTORY command") == b":1\r\n*0\r\n"
    assert client.say("LATENCY RESET", "LATENCY LATEST") == b":1\r\n*0\r\n"


def test_an_event_keeps_160_spikes() -> None:
    """And the longest of all, though it is gone."""
    event = observations.Event(deque(maxlen=observations.SAMPLES))
    for second in range(200):
        event.note(second or 500, second)
    assert len(event.samples) == 160 and event.samples[0] == (40, 40) and event.longest_ms == 500


def test_what_else_keeps_clients_waiting_is_an_event() -> None:
    """A stalled loop, and whatever the node times."""
    world = observed(latency_monitor_threshold="100")
    world.node.stalled(0.25, 1.0)
    world.node.stalled(0.05, 2.0)
    with world.node.timed("fork") as elapsed:
        pass
    assert elapsed.microseconds < 100_000
    assert list(world.node.observations.latency.events) == ["event-loop"]
    assert world.node.stalls.longest_s == 0.25


def test_the_graph_and_its_labels() -> None:
    """Thirds of a row as signs, whole rows as bars, ages below; a new block after 80 columns."""
    event = observations.Event(deque(maxlen=observations.SAMPLES))
    for age, ms in ((90000, 100), (7200, 150), (61, 101), (5, 200)):
        event.note(ms, 100_000 - age)
    drawn = latency.graph("fork", event, 100_000)
    assert drawn.splitlines() == [
        "fork - high 200 ms, low 100 ms (all time high 200 ms)",
        "-" * 80,
        "   #",
        " _ |",
        " | |",
        "_|_|",
        "    ",
        "1215",
        "dhms",
    ]
    for second in range(100):
        event.note(1, 200_000 + second)
    lines = latency.graph("fork", event, 200_100).splitlines()[2:]
    between = lines.index("")
    assert {len(line) for line in lines[:between]} == {80} and {len(line) for line in lines[between + 1 :]} == {24}


def test_the_doctor_tells_what_was_seen_and_what_may_help() -> None:
    """Off, quiet, and with events; each advice once."""
    world = observed()
    client = world.client()
    assert b"latency-monitor-threshold" in client.say("LATENCY DOCTOR")
    client.say("CONFIG SET latency-monitor-threshold 5")
    assert b"Nothing has kept clients waiting for 5 ms" in client.say("LATENCY DOCTOR")
    for name in ("command", "eviction-cycle", "of-another-kind"):
        world.node.observations.latency.note(name, 7, world.now_ms)
    told = client.say("LATENCY DOCTOR").decode()
    assert "1. command: 1 latency spikes (average 7ms, mean deviation 0ms, period 1.00 sec)." in told
    assert "slowlog-log-slower-than 5000" in told and "3. of-another-kind" in told
    assert told.count("A large value") == 1


def test_histograms_and_percentiles_of_commands(watch: Stopwatch) -> None:
    """Subcommands under their own names, unknown commands left out, nothing while latency-tracking is off."""
    world = observed(latency_tracking_info_percentiles="50 99.9")
    client = world.client()
    watch.step_ns = 5000
    client.say("GET k")
    client.say("CLIENT ID")
    one = [b"calls", 1, b"histogram_usec", [8, 1]]
    assert client.say("LATENCY HISTOGRAM get client nosuch set") == encode([b"get", one, b"client|id", one], 2)
    assert client.say("LATENCY HISTOGRAM CLIENT|ID") == encode([b"client|id", one], 2)
    assert b"latency_percentiles_usec_get:p50=5.023,p99.9=5.023\r\n" in client.say("INFO latencystats")
    client.say("CONFIG SET latency-tracking no")
    assert client.say("INFO latencystats") == b"$16\r\n# Latencystats\r\n\r\n"
    client.say("GET k")
    assert client.say("LATENCY HISTOGRAM get") == encode([b"get", one], 2)
    client.say("CONFIG RESETSTAT")
    assert client.say("LATENCY HISTOGRAM get") == b"*0\r\n"


# -- monitoring -------------------------------------------------------------------------------------------------


def lines(data: bytes) -> list[bytes]:
    """Monitor lines without the time."""
    assert all(line.startswith(b"+1700000000.000000 ") for line in data.splitlines()), data
    return [line.partition(b" ")[2] for line in data.splitlines()]


def test_a_monitor_sees_what_runs_once_it_has_run() -> None:
    """With the database that is selected then, and the client's address; nothing that was refused, no admin's words."""
    world = World()
    monitor, client = world.client(), world.client("10.0.0.1:7")
    assert monitor.say("MONITOR") == b"+OK\r\n"
    client.say("SELECT 3", "LPUSH l x", "INCR l", "NOSUCH", "GET", "CONFIG GET x", "AUTH user secret", "BLPOP none 1")
    assert monitor.sent == b"+OK\r\n", "one write for all, later"
    monitor.sent = b""
    world.advance(0)
    assert lines(monitor.sent) == [
        b'[3 10.0.0.1:7] "SELECT" "3"',
        b'[3 10.0.0.1:7] "LPUSH" "l" "x"',
        b'[3 10.0.0.1:7] "INCR" "l"',
        b'[3 10.0.0.1:7] "AUTH" "(redacted)" "(redacted)"',
        b'[3 10.0.0.1:7] "BLPOP" "none" "1"',
    ]


def test_a_transaction_shows_when_it_runs_and_exec_last() -> None:
    """What is queued is not run yet; a served BLPOP does not show a second time."""
    world = World()
    monitor, client, waiting = world.client(), world.client("/run/x.sock:0"), world.client("h:1")
    monitor.say("MONITOR")
    waiting.say("BLPOP q 0")
    client.say("MULTI", "RPUSH q x", "CLIENT LIST")
    world.advance(0)
    client.say("EXEC")
    monitor.sent = b""
    world.advance(0)
    assert lines(monitor.sent) == [b'[0 unix:/run/x.sock] "RPUSH" "q" "x"', b'[0 unix:/run/x.sock] "EXEC"']


def test_bytes_that_do_not_print_are_escaped_for_monitors() -> None:
    """As `sdscatrepr` writes them, whatever the byte."""
    line = monitor_line([bytes(range(256))], 0, "h:1", 1_234_056)
    assert line.startswith(b'+1234.056000 [0 h:1] "\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\a\\b\\t\\n\\x0b\\x0c\\r\\x0e')
    assert b' !\\"#$' in line and b"[\\\\]" in line and b"}~\\x7f\\x80" in line and line.endswith(b'\\xff"\r\n')
    assert split_words(line.partition(b"] ")[2].removesuffix(b"\r\n")) == [bytes(range(256))]


def test_a_monitor_is_no_ordinary_client_until_reset() -> None:
    """It reads and writes no key, twice is once, CLIENT LIST marks it; RESET ends it, after what came until then."""
    world = World()
    monitor, client = world.client(), world.client()
    assert monitor.say("MONITOR", "MONITOR") == b"+OK\r\n"
    assert monitor.say("GET k") == monitor.say("SET k v") == error("ERR Replica can't interact with the keyspace")
    assert b" flags=O " in client.say("CLIENT LIST TYPE normal")
    client.say("PING")
    assert lines(monitor.say("RESET").removeprefix(b"+RESET\r\n")) == [b'[0 127.0.0.1:5000] "PING"']
    client.say("PING")
    monitor.sent = b""
    world.advance(0)
    assert monitor.sent == b"" and world.node.dispatcher.gate == 0
    assert monitor.say("GET k") == b"$-1\r\n"


def test_monitors_that_leave_leave_nothing_behind() -> None:
    """The gate closes with the last, whose lines are dropped with its connection."""
    world = World()
    monitor, client = world.client(), world.client()
    monitor.say("MONITOR")
    client.say("PING")
    assert world.node.dispatcher.gate
    world.node.close_session(monitor.session)
    monitor.sent = b""
    world.advance(0)
    assert monitor.sent == b"" and not world.node.dispatcher.gate and not world.node.dispatcher.monitors


def test_monitor_is_refused_in_a_transaction() -> None:
    """Its replies would come among others'."""
    client = World().client()
    refused = error("ERR MONITOR isn't allowed for DENY BLOCKING client")
    assert client.say("MULTI", "MONITOR", "EXEC") == b"+OK\r\n+QUEUED\r\n*1\r\n" + refused


def test_debug_protocol_pushes_to_resp3_alone() -> None:
    """The reply first, then the message."""
    client = World().client()
    assert client.say("DEBUG PROTOCOL push") == error("ERR RESP2 is not supported by this command")
    client.session.proto = 3
    pushed = b"$40\r\nSome real reply following the push reply\r\n>2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n"
    assert client.say("DEBUG PROTOCOL push") == pushed


def test_lines_for_monitors_do_not_pile_up() -> None:
    """A long transaction is written in parts, in order, before it is over."""
    written: list[bytes] = []
    woken: list[int] = []
    monitors = Monitors(lambda: woken.append(1))
    monitors.add(1, written.append)
    for number in range(2 * LINES_MAX + 5):
        monitors.tell(b"%d\r\n" % number)
    assert [data.count(b"\n") for data in written] == [LINES_MAX, LINES_MAX]
    monitors.flush()
    assert b"".join(written) == b"".join(b"%d\r\n" % number for number in range(2 * LINES_MAX + 5))
    monitors.flush()
    assert len(written) == len(woken) == 3
