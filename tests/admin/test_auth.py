"""Who may ask: exposure, token, Host and Origin."""

from __future__ import annotations

import re

import pytest

from tests.admin.support import Bench
from txrepl.admin import check_exposure, endpoint_host
from txrepl.admin.auth import OPEN_PATHS, is_loopback
from txrepl.admin.openapi import ROUTES
from txrepl.admin.static_files import FOLDER
from txrepl.errors import ConfigError

FOLLOW = {"host": "10.0.0.9", "port": 6379}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.1", "localhost", "LOCALHOST", "::1", "[::1]", "::ffff:127.0.0.1"]
)
def test_loopback_needs_no_token(host: str) -> None:
    """An address that only this machine reaches may be served without a token."""
    check_exposure(host, "")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "10.0.0.1", "node.example", "localhost.example", "::ffff:10.0.0.1"]
)
def test_any_other_address_needs_a_token(host: str) -> None:
    """Whatever others can reach is refused without a token, and served with one."""
    with pytest.raises(ConfigError, match="http-token"):
        check_exposure(host, "")
    check_exposure(host, "secret")


def test_a_name_that_merely_looks_local_is_not_loopback() -> None:
    """Names that begin like loopback addresses belong to strangers."""
    assert not is_loopback("127.0.0.1.evil.example")
    assert not is_loopback("localhost.evil.example")
    assert not is_loopback("")


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("tcp:8379:interface=127.0.0.1", "127.0.0.1"),
        ("tcp6:8379:interface=\\:\\:1", "::1"),
        ("tcp:8379", ""),
        ("tcp:port=8379:backlog=5", ""),
        ("ssl:8379:interface=10.0.0.1:privateKey=k.pem", "10.0.0.1"),
        ("unix:/run/txrepl.sock", "localhost"),
        ("systemd:domain=INET:index=0", ""),
        ("fd:interface=127.0.0.1", ""),
    ],
)
def test_an_endpoint_string_tells_what_it_binds_to(endpoint: str, host: str) -> None:
    """What cannot be told counts as every interface, so that it needs a token."""
    assert endpoint_host(endpoint) == host


# -- token --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [None, "", "secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer s\u00e9cret"],
)
def test_without_the_right_token_nothing_is_told(given: str | None) -> None:
    """401 with a challenge, for every kind of wrong header, on paths that exist and on those that do not."""
    bench = Bench(token="secret")
    headers = {} if given is None else {"Authorization": given.encode()}
    for path in ("/", "/v1/replication", "/openapi.json", "/nowhere"):
        answer = bench.get(path, headers=headers)
        assert answer.refuses(401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "secret'" not in answer.text


def test_the_right_token_opens_every_path() -> None:
    """The scheme's case does not matter; the token's does."""
    bench = Bench(token="secret")
    for scheme in ("Bearer", "bearer"):
        assert bench.get("/v1/replication", headers={"Authorization": f"{scheme} secret"}).status == 200
    assert bench.get("/v1/replication", headers={"Authorization": "Bearer SECRET"}).status == 401


def test_two_authorization_headers_are_refused() -> None:
    """Which one counts must not be a matter of taste."""
    bench = Bench(token="secret")
    assert bench.get("/", headers={"Authorization": ["Bearer secret", "Bearer other"]}).refuses(401)


def test_probes_need_neither_token_nor_host() -> None:
    """An orchestrator's probe knows no token, and comes by an address of its own."""
    bench = Bench(token="secret", bound_host="0.0.0.0")
    for path in ("/healthz", "/readyz"):
        assert bench.get(path, headers={"Host": "172.17.0.9:8379"}).status == 200


def test_a_write_without_token_changes_nothing() -> None:
    """The role stays what it was."""
    bench = Bench(token="secret")
    assert bench.post("/v1/replicaof", FOLLOW).refuses(401)
    assert bench.node.link.host == ""


# -- Host ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8379", "[::1]:8379", "LocalHost:8379"])
def test_loopback_hosts_may_write(host: str) -> None:
    """Every loopback name and address, with any port, is ours."""
    bench = Bench()
    assert bench.post("/v1/replicaof", FOLLOW, headers={"Host": host}).status == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8379", "127.0.0.1.evil.example", "10.1.1.1"])
def test_a_foreign_host_may_not_write(host: str) -> None:
    """A name re-bound to our address is refused, with a token too, and nothing changes."""
    for bench, headers in ((Bench(), {}), (Bench(token="t"), {"Authorization": "Bearer t"})):
        assert bench.post("/v1/replicaof", FOLLOW, headers={**headers, "Host": host}).refuses(403)
        assert bench.ask("DELETE", "/v1/replicas/1", headers={**headers, "Host": host}).refuses(403)
        assert bench.node.link.host == ""


def test_without_a_token_a_foreign_host_may_not_even_read() -> None:
    """A page under a re-bound name could read the answer; with a token it cannot know it."""
    assert Bench().get("/v1/replication", headers={"Host": "evil.example"}).refuses(403)
    bench = Bench(token="t")
    assert bench.get("/v1/replication", headers={"Host": "node.example", "Authorization": "Bearer t"}).status == 200


def test_the_bound_address_is_ours() -> None:
    """What we are bound to may be named, by its name or address, in any case."""
    bench = Bench(token="t", bound_host="Node.example")
    for host in ("node.example", "NODE.example:8379"):
        headers = {"Host": host, "Authorization": "Bearer t"}
        assert bench.post("/v1/replicaof", FOLLOW, headers=headers).status == 202


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "user@localhost", "[::1", "localhost:port", "localhost:999999", "\xe9"]
)
def test_a_host_that_is_none_is_malformed(host: str) -> None:
    """Even for probes: it would end up in URLs."""
    assert Bench().get("/healthz", headers={"Host": host.encode("latin-1")}).refuses(400)


# -- Origin -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://localhost:3000", "http://localhost", "file://", "localhost:8379"],
)
def test_a_foreign_origin_may_not_write(origin: str) -> None:
    """A web page from elsewhere, another port of this machine included, may not re-point the node."""
    bench = Bench()
    assert bench.post("/v1/replicaof", FOLLOW, headers={"Origin": origin, "Host": "localhost:8379"}).refuses(403)
    assert bench.node.link.host == ""


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8379", "localhost:8379"),
        ("http://LOCALHOST:8379", "localhost:8379"),
        ("http://127.0.0.1", "127.0.0.1"),
        ("http://127.0.0.1:80", "127.0.0.1"),
        ("https://localhost", "localhost:443"),
    ],
)
def test_our_own_origin_may_write(origin: str, host: str) -> None:
    """A page that we served ourselves may act; default ports may be written or left out."""
    assert Bench().post("/v1/replicaof", FOLLOW, headers={"Origin": origin, "Host": host}).status == 202


def test_reading_ignores_the_origin() -> None:
    """Without CORS headers the browser keeps the answer from the page."""
    answer = Bench().get("/v1/replication", headers={"Origin": "http://evil.example"})
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


# -- every path of the contract -----------------------------------------------------------------------------------

PATHS = [(route.method.upper(), re.sub(r"{\w+}", "1", route.path)) for route in ROUTES]
GUARDED = [(method, path) for method, path in PATHS if path not in OPEN_PATHS]


@pytest.mark.parametrize(("method", "path"), [one for one in GUARDED if not one[1].startswith(FOLDER)])
def test_every_path_wants_the_token(method: str, path: str) -> None:
    """Streams, metrics and the contract itself, too; the answer tells nothing. Only the dashboard's files need none."""
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dDp0"}):
        assert Bench(token="t").ask(method, path, headers=headers).refuses(401)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_path_is_served_under_a_foreign_name(method: str, path: str) -> None:
    """A page whose name was re-bound to our address can neither read nor steer."""
    bench = Bench()
    assert bench.ask(method, path, headers={"Host": "evil.example:8379"}).refuses(403)
    assert not bench.host.asked


@pytest.mark.parametrize(("method", "path"), [one for one in PATHS if one[0] != "GET"])
def test_no_write_is_taken_from_a_foreign_page(method: str, path: str) -> None:
    """With or without a token; nothing happens."""
    for token in ("", "t"):
        bench = Bench(token=token)
        headers = {"Origin": "http://evil.example", "Authorization": f"Bearer {token}"}
        assert bench.ask(method, path, headers=headers, data={"no_one": "true"}).refuses(403)
        assert not bench.host.asked and bench.node.events.last_number == 0
