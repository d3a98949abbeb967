"""The dashboard's files: who gets them, how they are cached, and that they ask for nothing from elsewhere.

What the page does is shown by a browser, in tests/browser.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.admin.support import Answer, Bench
from txrepl.admin.openapi import ROUTES
from txrepl.admin.static_files import POLICY, files

ROOT = Path(__file__).resolve().parents[2]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
NAMES = sorted(files())


def source(name: str) -> str:
    """A file as text."""
    return files()[name].body.decode()


def scripts() -> str:
    """All scripts."""
    return "\n".join(source(name) for name in NAMES if name.endswith(".js"))


@pytest.mark.parametrize("accept", [BROWSER["Accept"], "text/html", "text/plain;q=0.5, text/html"])
def test_browsers_get_the_dashboard(accept: str) -> None:
    """Whoever likes HTML better than text."""
    answer = Bench().get("/", headers={"Accept": accept})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert answer.text == source("index.html")


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/plain, text/html;q=0.9", "application/json"])
def test_others_get_the_text(accept: str | None) -> None:
    """curl, and whoever does not ask for HTML."""
    answer = Bench().get("/", headers={} if accept is None else {"Accept": accept})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def served(bench: Bench, name: str, **more: str) -> Answer:
    """The answer to a request for a file."""
    return bench.get(f"/static/{name}", headers=more)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_with_a_strict_policy(name: str) -> None:
    """Its type, its ETag, and a policy that lets a browser load and reach nothing else."""
    answer = served(Bench(), name)
    assert answer.status == 200
    assert answer.body == files()[name].body
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY


def test_a_file_that_the_client_has_is_not_sent_again() -> None:
    """304 without a body for its ETag; any other gets the file."""
    bench = Bench()
    for path, headers in (("/", BROWSER), ("/static/dashboard.js", {})):
        first = bench.get(path, headers=headers)
        again = bench.get(path, headers={**headers, "If-None-Match": first.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        other = bench.get(path, headers={**headers, "If-None-Match": '"other"'})
        assert (other.status, other.body) == (200, first.body)


def test_the_dashboard_needs_no_token_and_everything_else_does() -> None:
    """A browser cannot send one with its first request; the files are the same for every node and tell nothing."""
    bench = Bench(token="t")
    assert bench.get("/", headers=BROWSER).status == 200
    for name in NAMES:
        assert served(bench, name).status == 200
    for path in ("/v1/live", "/v1/replication", "/watch", "/syncs.txt", "/static", "/staticx/a"):
        assert bench.get(path, headers=BROWSER).refuses(401)
    assert bench.get("/", headers={"Accept": "text/plain"}).refuses(401)
    assert bench.ask("POST", "/", headers=BROWSER).refuses(401)
    assert bench.ask("DELETE", "/static/dashboard.js").refuses(401)


def test_a_page_under_a_name_that_is_not_ours_is_refused() -> None:
    """Without a token, a name re-bound to our address gets nothing, not even the page."""
    assert Bench().get("/", headers={**BROWSER, "Host": "evil.example"}).refuses(403)


@pytest.mark.parametrize("name", ["nothing.js", "..", "%2e%2e%2fsite.py", "..%2f..%2fnode.py", "%00", "index.html%00"])
def test_there_are_no_other_files(name: str) -> None:
    """Names are looked up, never made a path."""
    assert Bench().get(f"/static/{name}").refuses(404)


def test_all_that_the_page_names_is_there() -> None:
    """Its style, its scripts and what they import."""
    page = source("index.html")
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', page) + re.findall(r'from "\./([^"]+)"', scripts())
    assert "dashboard.js" in named
    assert {*named, "index.html"} == set(NAMES)


def test_every_file_is_installed_with_the_package() -> None:
    """`static/` is no package, so setup.py names its files as those of the package that it lies in."""
    tree = ast.walk(ast.parse((ROOT / "setup.py").read_text("utf-8")))
    (named,) = (one.value for one in tree if isinstance(one, ast.keyword) and one.arg == "package_data")
    package = ROOT / "txrepl" / "admin"
    patterns = ast.literal_eval(named)["txrepl.admin"]
    installed = {found.relative_to(package).as_posix() for pattern in patterns for found in package.glob(pattern)}
    assert installed == {f"static/{name}" for name in NAMES}


def test_the_page_has_nothing_inline_and_names_no_other_place() -> None:
    """What the policy would refuse is not there: inline scripts, styles and handlers, other origins."""
    page = source("index.html")
    assert re.findall(r"<script[^>]*>(?!</script>)", page) == []
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    for name in NAMES:
        places = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", source(name)))
        assert places <= {SVG_NAMESPACE}, name


def test_every_element_that_the_scripts_look_for_is_in_the_page() -> None:
    """By its id; and no id is there twice."""
    ids = re.findall(r'\sid="([^"]+)"', source("index.html"))
    assert len(set(ids)) == len(ids)
    wanted = set(re.findall(r'(?:\bat|getElementById)\("([^"]+)"\)', scripts()))
    assert len(wanted) > 10
    assert wanted <= set(ids)


def test_every_request_of_the_scripts_is_in_the_contract() -> None:
    """Method and path, where a `${…}` stands for a parameter."""
    routes = {(route.method.upper(), re.sub(r"{\w+}", "*", route.path)) for route in ROUTES}
    found = re.findall(r'"(GET|POST|PATCH|DELETE)", ["`](/[^"`?]+)', scripts())
    asked = {(method, re.sub(r"\${\w+}", "*", path)) for method, path in found}
    assert {("POST", "/v1/replicaof"), ("DELETE", "/v1/replicas/*"), ("GET", "/v1/live")} < asked
    assert asked <= routes


def test_every_action_on_the_page_can_be_done() -> None:
    """What a button names is something that `actions.js` knows, and the other way round."""
    named = set(re.findall(r'\bbutton\("([\w-]+)"', source("panels.js")))
    named |= set(re.findall(r'"data-act": "([\w-]+)"', source("tree.js")))
    known = set(re.findall(r'^  async "?([\w-]+)"?\(', source("actions.js"), re.MULTILINE))
    assert named == known
