"""The dashboard in a real browser, before real servers: what it shows, live, and what it does.

After each test nothing stands in the browser's console, and it has asked nobody but the node.
"""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chrome import DESKTOP, PHONE, SCREENSHOTS, WITHIN_S, Browser
from tests.interop.conftest import Run
from tests.interop.fake_primary import FakePrimary, Talk, full_resync
from tests.interop.servers import RealServer, free_port, wait_until
from tests.interop.test_bad_primaries import rdb_around, string_key

CONTRAST_LEAST = 4.5
SCREENS = {"desktop": DESKTOP, "phone": PHONE}


def http_port(node: RealServer) -> int:
    """Where a node's dashboard is."""
    return int(str(node.directives["http-port"]))


def name_of(server: RealServer) -> str:
    """A server as the page names it."""
    return f"127.0.0.1:{server.port}"


def started(run: Run, **directives: Any) -> RealServer:
    """txrepl with a dashboard."""
    return run("txrepl", http_port=free_port(), **directives)


def in_sync(primary: RealServer, replicas: int = 1) -> None:
    """Wait until so many replicas are online."""
    wait_until(
        lambda: (
            [primary.info("replication").get(f"slave{n}", "").count("state=online") for n in range(replicas)]
            == [1] * replicas
        ),
        WITHIN_S,
        "the replicas are online",
    )


@pytest.fixture
def chain(run: Run) -> tuple[RealServer, RealServer, RealServer]:
    """A Redis, txrepl behind it, a Redis behind that; some data."""
    above = run("redis70")
    above.command("SET", "key", "value")
    node = started(run, replicaof=("127.0.0.1", above.port))
    below = run("redis70", replicaof=("127.0.0.1", node.port))
    in_sync(node)
    return above, node, below


# -- what it shows ------------------------------------------------------------------------------------------------


def test_the_page_shows_the_tree_and_the_ids(
    browser: Browser, chain: tuple[RealServer, RealServer, RealServer]
) -> None:
    """This node in its place, the others around it; the same ids as INFO has."""
    above, node, below = chain
    browser.open(http_port(node))
    browser.until("#asked", "as asked at")
    assert name_of(above) in browser.text(".tree > li > .node")
    assert browser.text(".tree .node.self").split("\n")[0] == name_of(node)
    assert name_of(below) in browser.until(".tree .node.self + ul", "version 7.0")
    assert browser.text(".tree .node.self + ul .edge").startswith("online · ")
    shown = browser.text("#identity")
    info = node.info("replication")
    assert info["master_replid"] in shown
    assert "Shared with the primary" in shown
    assert f"replica of {name_of(above)}" in browser.text("#summary")
    decisions = browser.text("#syncs")
    assert f"to {name_of(below)}" in decisions and f"from {name_of(above)}" in decisions
    assert "first_sync" in decisions
    assert browser.count("#charts svg") == 5


def test_a_lag_is_seen_growing_and_vanishing(browser: Browser, run: Run) -> None:
    """While a replica hangs its edge, its cursor and its line in the chart fall behind, without a reload."""
    node = started(run)
    below = run("redis70", replicaof=("127.0.0.1", node.port))
    in_sync(node)
    browser.open(http_port(node))
    browser.until(".tree .edge", "online · 0 B · 0 ms")
    browser.until("#backlog .legend", "at the end")
    below.pause()
    node.command("SET", "key", "x" * 20_000)
    browser.until(".tree .edge", "KiB")
    browser.until(".tree .edge", " s")  # from a second on
    browser.until("#backlog .legend", "19.6 KiB behind")
    browser.until("#charts .legend", " s")
    wait_until(lambda: browser.count(".tree .edge.busy") == 1, WITHIN_S, "an edge that says late")
    below.resume()
    browser.until(".tree .edge", "online · 0 B · 0 ms")
    assert browser.count(".tree .edge.good") == 1


def test_the_handshake_lights_up_step_by_step(browser: Browser, run: Run) -> None:
    """Each step as it is reached: a primary that holds an answer back is seen doing so; then all are done."""
    go_on = threading.Event()

    def slow(talk: Talk) -> None:
        talk.until("capa")
        assert go_on.wait(WITHIN_S)
        talk.send(b"+OK\r\n")
        talk.until("psync")
        rdb = rdb_around(string_key(b"key", b"value"))
        talk.send(full_resync() + b"$%d\r\n" % len(rdb) + rdb)
        talk.until_closed()

    with FakePrimary(slow) as primary:
        node = started(run, replicaof=("127.0.0.1", primary.port))
        browser.open(http_port(node))
        wait_until(lambda: browser.text(".steps [aria-current=step] .step-name") == "Capabilities", WITHIN_S, "a step")
        assert "AUTH\nnot needed" in browser.text(".steps")
        assert browser.count(".steps .done") == 3
        go_on.set()
        browser.until(".steps .done:last-child", "up")
        assert browser.count(".steps [aria-current]") == 0
        browser.find("#transcript summary").click()
        assert "REPLCONF capa" in browser.until("#handshakes", "+PONG")


def test_a_full_sync_is_followed_by_its_progress_bar(browser: Browser, run: Run) -> None:
    """Bytes, share and rate while a bulk comes piece by piece; then the bar goes and the data is there."""
    steps = threading.Semaphore(0)
    rdb = rdb_around(b"".join(string_key(b"key:%d" % number, b"x" * 40) for number in range(20_000)))
    piece = len(rdb) // 4

    def trickle(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + b"$%d\r\n" % len(rdb))
        for number in range(4):
            assert steps.acquire(timeout=WITHIN_S)
            talk.send(rdb[number * piece : (number + 1) * piece if number < 3 else len(rdb)])
        talk.until_closed()

    with FakePrimary(trickle) as primary:
        node = started(run, replicaof=("127.0.0.1", primary.port))
        browser.open(http_port(node))
        for percent in (25, 50, 75):
            steps.release()
            words = browser.until("#sync-words", f"({percent}.0 %)")
            bar = browser.find("#sync-progress")
            assert float(str(bar.get_attribute("value"))) == pytest.approx(percent, abs=0.1)
            assert bar.accessible_name == "Full sync"
            assert "/s" in words and "left" in words
            assert browser.text(".steps [aria-current=step] .step-name") == "Full sync"
        browser.picture("full-sync-desktop")
        steps.release()
        browser.until("#link", "Up")
        assert browser.count("#sync-progress") == 0
        browser.until("#syncs", "loaded")
        assert node.command("DBSIZE") == 20_000


# -- what it does -------------------------------------------------------------------------------------------------


def test_a_node_is_pointed_at_another_primary(browser: Browser, run: Run) -> None:
    """The dialog asks once; the outcome is told in words; the tree has the new primary."""
    one, other = run("redis70"), run("redis70")
    other.command("SET", "key", "other")
    node = started(run, replicaof=("127.0.0.1", one.port))
    in_sync(one)
    browser.open(http_port(node))
    browser.until(".tree > li > .node", name_of(one))
    browser.press("Replicate from…")
    browser.fill("Host", "127.0.0.1")
    browser.fill("Port", str(other.port))
    browser.key(Keys.ENTER)
    assert browser.until("#outcome", "link is up") == f"This node follows {name_of(other)}, and the link is up."
    browser.until(".tree > li > .node", name_of(other))
    assert node.command("GET", "key") == b"other"
    assert f"from {name_of(other)}" in browser.text("#syncs")


def test_what_cannot_be_done_is_told_in_the_servers_words(browser: Browser, run: Run) -> None:
    """The title and the detail of the problem; the role stays."""
    node = started(run)
    browser.tolerated = ("409 (Conflict)",)
    browser.open(http_port(node))
    browser.press("Replicate from…")
    browser.fill("Host", "127.0.0.1")
    browser.fill("Port", str(node.port))
    browser.press("Replicate")
    expected = "The node's state does not allow it: a node cannot be its own primary"
    assert browser.until("#outcome", "own primary") == expected
    assert node.info("replication")["role"] == "master"


def test_a_replica_is_promoted_after_one_question(
    browser: Browser, chain: tuple[RealServer, RealServer, RealServer]
) -> None:
    """No means no, by the button as by Escape; yes makes it a primary, and the page says what the ids mean now."""
    _, node, below = chain
    before = node.info("replication")["master_replid"]
    browser.open(http_port(node))
    for refuse in (lambda: browser.press("Cancel"), lambda: browser.key(Keys.ESCAPE)):
        browser.press("Promote…")
        browser.until("#dialog", "Promote this node to primary")
        refuse()
        wait_until(lambda: not browser.find("#dialog").is_displayed(), WITHIN_S, "the dialog closes")
        assert browser.run("return document.activeElement.dataset.act") == "promote"
        assert node.info("replication")["role"] == "slave"
    browser.press("Promote…")
    browser.press("Promote")
    browser.until("#outcome", "This node is a primary now.")
    shown = browser.until("#identity", "The history before")
    assert before in shown and "Second offset" in shown
    assert browser.text(".tree > li > .node.self").split("\n")[:2] == [name_of(node), "primary"]
    in_sync(node)
    assert node.info("stats")["sync_partial_ok"] == "1"
    assert browser.until(".tree .edge", "online")
    assert below.info("replication")["master_link_status"] == "up"


def test_primary_and_replica_change_places(browser: Browser, run: Run) -> None:
    """A failover from the tree: its end is told, and the page shows the node under its former replica."""
    node = started(run)
    below = run("redis70", replicaof=("127.0.0.1", node.port))
    in_sync(node)
    browser.open(http_port(node))
    browser.press(f"Fail over to {name_of(below)}")
    assert browser.run("return document.getElementById('field-target').value") == name_of(below)
    browser.press("Fail over")
    assert browser.until("#outcome", "Failed over") == f"Failed over: this node follows {name_of(below)} now."
    browser.until(".tree > li > .node", name_of(below))
    assert below.info("replication")["role"] == "master"


def test_the_backlog_is_resized_and_a_replica_disconnected(browser: Browser, run: Run) -> None:
    """Both are shown as done; the replica comes back by itself."""
    node = started(run)
    below = run("redis70", replicaof=("127.0.0.1", node.port))
    in_sync(node)
    browser.open(http_port(node))
    browser.press("Resize backlog…")
    browser.fill("Size", "3")
    browser.press("Resize")
    assert browser.until("#outcome", "keeps") == "The backlog keeps 3.0 MiB now."
    browser.until("#backlog", "of 3.0 MiB")
    assert node.command("CONFIG", "GET", "repl-backlog-size")[1] == str(3 * 2**20).encode()
    browser.press(f"Disconnect {name_of(below)}")
    browser.press("Disconnect")
    browser.until("#outcome", f"{name_of(below)} was disconnected")
    browser.until("#syncs", "ended at")
    assert "partial" in browser.until("#syncs", "1 partial,")


def test_a_stopped_guard_asks_for_a_decision(browser: Browser, run: Run) -> None:
    """Loudly and with the reason; promoting keeps the data, and the alert is gone."""
    above = run("redis70")
    node = started(run, replica_empty_primary_guard="yes")
    node.command("SET", "key", "kept")
    browser.open(http_port(node))
    node.command("REPLICAOF", "127.0.0.1", str(above.port))
    assert "the primary is empty" in browser.until("#alerts", "The guard has stopped the link")
    browser.picture("guard-desktop")
    browser.press("Promote with the data kept here…")
    browser.press("Promote")
    browser.until("#outcome", "a primary with the data that it kept")
    wait_until(lambda: browser.text("#alerts") == "", WITHIN_S, "the alert is gone")
    assert node.command("GET", "key") == b"kept"


def test_a_delayed_replica_shows_what_waits(browser: Browser, run: Run) -> None:
    """How much, and how old; applied at once where somebody says so."""
    above = run("redis70", repl_ping_replica_period=3600)
    node = started(run, replicaof=("127.0.0.1", above.port), replica_delay=3600)
    wait_until(lambda: node.info("replication")["master_link_status"] == "up", WITHIN_S, "the link")
    browser.open(http_port(node))
    browser.until("#alerts", "Delayed by 1 h")
    above.command("SET", "key", "late")
    browser.until("#alerts", "received and not applied, the oldest")
    assert node.command("GET", "key") is None
    browser.press("Apply now…")
    browser.press("Apply")
    browser.until("#outcome", "What has come so far is applied.")
    assert node.command("GET", "key") == b"late"


# -- the token, and the stream ------------------------------------------------------------------------------------


def test_the_token_is_asked_for_once_and_kept_in_the_tab_only(browser: Browser, run: Run) -> None:
    """A wrong one is asked for again; the right one is in sessionStorage and nowhere else; a reload asks no more."""
    node = started(run, http_token="the-token")
    browser.tolerated = ("401 (Unauthorized)",)
    browser.open(http_port(node), ready=False)
    browser.until("#dialog", "This node needs a token")
    assert browser.text("#identity") == ""
    browser.fill("Token", "wrong")
    browser.key(Keys.ENTER)
    browser.until("#dialog", "That token was not right")
    browser.fill("Token", "the-token")
    browser.key(Keys.ENTER)
    browser.until("#connection", "Live")
    assert browser.run("return Object.values(sessionStorage)") == ["the-token"]
    assert browser.run("return [localStorage.length, document.cookie, location.href]") == [0, "", f"{browser.origin}/"]
    assert "the-token" not in browser.run("return document.documentElement.outerHTML")
    browser.reload()
    browser.until("#connection", "Live")
    browser.press("Resize backlog…")
    browser.press("Resize")
    browser.until("#outcome", "The backlog keeps")


def test_a_stream_that_breaks_is_said_and_taken_up_again(browser: Browser, run: Run) -> None:
    """While the server is away the page says so; once it is back the page is live, with what is so then."""
    node = started(run)
    browser.tolerated = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET")
    browser.open(http_port(node))
    before = node.info("replication")["master_replid"]
    node.kill()
    browser.until("#connection", "Not live")
    node.start()
    browser.until("#connection", "Live")
    after = node.info("replication")["master_replid"]
    assert after != before
    browser.until("#identity", after)


# -- for everybody ------------------------------------------------------------------------------------------------

CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return { rgb: [r, g, b], alpha: a / 255 };
}
function behind(element) {
  if (element === null) {
    return [255, 255, 255];
  }
  const { rgb, alpha } = rgba(getComputedStyle(element).backgroundColor);
  if (alpha === 1) {
    return rgb;
  }
  const below = behind(element.parentElement);
  return rgb.map((value, index) => value * alpha + below[index] * (1 - alpha));
}
function luminance(rgb) {
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb.map((value) => linear(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if ((own || element.matches("input, select")) && element.checkVisibility()) {
    const [one, other] = [luminance(rgba(getComputedStyle(element).color).rgb), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    found.push([`${element.localName}.${element.className}: ${element.textContent.slice(0, 40)}`, ratio]);
  }
}
return found;
"""
NAMED = {"button", "link", "textbox", "spinbutton", "combobox", "checkbox", "image", "progressbar", "dialog", "list"}


@pytest.mark.parametrize("screen", SCREENS)
def test_everybody_can_read_it(browser: Browser, chain: tuple[RealServer, RealServer, RealServer], screen: str) -> None:
    """On both screens, light and dark: every text has contrast enough, and nothing is wider than the screen."""
    above, node, _ = chain
    above.command("SET", "key", "x" * 5000)
    browser.open(http_port(node))
    browser.until("#asked", "as asked at")
    browser.until("#charts .value", "/s")
    for dark in (False, True):
        browser.look(SCREENS[screen], dark=dark)
        ratios = browser.run(CONTRASTS)
        assert len(ratios) > 60
        assert [(what, ratio) for what, ratio in ratios if ratio < CONTRAST_LEAST] == []
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        browser.picture(f"{screen}-{'dark' if dark else 'light'}")
        browser.press("Resize backlog…")
        dialog = [(what, ratio) for what, ratio in browser.run(CONTRASTS) if ratio < CONTRAST_LEAST]
        assert dialog == []
        assert browser.run("return document.getElementById('dialog').getBoundingClientRect().right <= innerWidth")
        browser.key(Keys.ESCAPE)


def test_the_contrast_check_sees_a_text_that_is_too_pale(browser: Browser, run: Run) -> None:
    """It is no check that cannot fail."""
    browser.open(http_port(started(run)))
    browser.run("document.getElementById('title').style.color = '#999'")
    assert [what for what, ratio in browser.run(CONTRASTS) if ratio < CONTRAST_LEAST] == ["span.: txrepl"]


def test_everything_has_a_name_and_a_role(browser: Browser, chain: tuple[RealServer, RealServer, RealServer]) -> None:
    """What can be operated or seen is named for those who cannot see it, the fields of every dialog too."""
    _, node, below = chain
    browser.open(http_port(node))
    browser.until("#charts .legend", "ms")
    found = browser.accessible()
    assert [role for role, name in found if role in NAMED - {"list"} and not name.strip()] == []
    names = {name for _, name in found}
    assert {f"Disconnect {name_of(below)}", "Handshake", "Actions", "Topology", "Backlog"} <= names
    roles = [role for role, _ in found]
    assert roles.count("main") == roles.count("banner") == roles.count("contentinfo") == 1
    assert "status" in roles and "alert" in roles
    assert browser.count("h1") == 1 and browser.run("return document.documentElement.lang") == "en"
    for button in ("Replicate from…", "Promote…", "Resize backlog…"):
        browser.press(button)
        assert [role for role, name in browser.accessible() if role in NAMED - {"list"} and not name.strip()] == []
        browser.key(Keys.ESCAPE)


def test_it_is_used_by_keyboard(browser: Browser, chain: tuple[RealServer, RealServer, RealServer]) -> None:
    """Tab goes through all that can be operated, in the order of the page, and shows where it is."""
    _, node, _ = chain
    browser.open(http_port(node))
    browser.until("#asked", "as asked at")
    expected = browser.run(
        "return [...document.querySelectorAll('a[href], button:not([disabled]), summary')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.textContent.trim())"
    )
    seen = []
    for _ in expected:
        browser.key(Keys.TAB)
        text, outline = browser.run(
            "const at = document.activeElement, style = getComputedStyle(at);"
            "return [at.textContent.trim(), style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)]"
        )
        assert outline >= 2, text
        seen.append(text)
    assert seen == expected
    assert seen[:2] == ["Skip to the content", "Replicate from…"]


def test_focus_stays_where_it_is_while_states_come(
    browser: Browser, chain: tuple[RealServer, RealServer, RealServer]
) -> None:
    """The page is changed under it, not made anew."""
    above, node, _ = chain
    browser.open(http_port(node))
    browser.until("#asked", "as asked at")
    browser.run("document.querySelector('[data-act=disconnect]').focus()")
    before = browser.text("#identity")
    above.command("SET", "key", "x" * 1000)
    wait_until(lambda: browser.text("#identity") != before, WITHIN_S, "another state")
    assert browser.run("return document.activeElement.dataset.act") == "disconnect"


def test_pictures_are_made_where_the_environment_says_so(
    browser: Browser, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nowhere without it."""
    browser.open(http_port(started(run)))
    monkeypatch.delenv(SCREENSHOTS, raising=False)
    browser.picture("none")
    monkeypatch.setenv(SCREENSHOTS, str(tmp_path / "pictures"))
    browser.picture("one")
    assert os.listdir(tmp_path) == ["pictures"] and os.listdir(tmp_path / "pictures") == ["one.png"]


def test_the_page_shows_what_v1_live_says(browser: Browser, run: Run) -> None:
    """One source: the stream's state, in the page's words."""
    node = started(run)
    browser.open(http_port(node))
    live = urllib.request.Request(f"{browser.origin}/v1/live", headers={"Accept": "application/json"})
    with urllib.request.urlopen(live, timeout=10) as answer:
        state = json.load(answer)
    shown = browser.text("#identity")
    for sentence in state["meaning"].values():
        assert sentence in shown
    assert "none yet" in browser.text("#backlog")
