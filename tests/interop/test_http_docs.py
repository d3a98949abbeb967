"""docs/http.md says the truth: each of its curl lines is run, and answers what the page shows; no path is left out."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.interop.http_docs import PAGE, answered, differences, examples
from txrepl.admin.openapi import ROUTES


def test_every_path_has_an_example() -> None:
    """A curl line for each method of each path of the contract."""
    shown = set()
    for example in examples(PAGE.read_text("utf-8")):
        method = re.search(r"-X (\w+)", example.command)
        path = re.search(r"localhost:8379([^\s'?]*)", example.command)
        assert path is not None, example.command
        name = re.sub(r"(/v1/replicas)/\d+", r"\1/{id}", path[1] or "/")
        name = re.sub(r"(/v1/compare)/\d+", r"\1/{number}", name)
        name = re.sub(r"(/static)/.+", r"\1/{name}", name)
        name = re.sub(r"(/v1/config)/.+", r"\1/{name}", name)
        shown.add(((method[1] if method else "GET").lower(), name))
    assert {(route.method, route.path) for route in ROUTES} <= shown


def test_every_example_answers_what_the_page_shows() -> None:
    """In live scenes, among real servers; numbers, ids and times may be others."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    wrong = []
    for example, answer in answered(PAGE.read_text("utf-8")):
        found = differences(example.answer, answer)
        if found:
            wrong.append(f"{example.command}\n  {found}\n{answer[:600]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("documented", "real"),
    [
        ('{"a": 1}', '{"b": 1}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": true}', '{"a": 1}'),
        ('{"status": 409}', '{"status": 422}'),
        ('{"detail": "no such x"}', '{"detail": "no such y"}'),
        ('[{"a": 1}]', '[{"a": 1, "b": 2}]'),
        ("HTTP/1.1 200 OK\nServer: txrepl", "HTTP/1.1 503 Service Unavailable\nServer: txrepl"),
        ("role  primary\n", "state  primary\n"),
        ("event: link_up\n…", "data: 1\n"),
    ],
)
def test_the_comparison_sees_what_is_wrong(documented: str, real: str) -> None:
    """A field that is not there, another type, another status, another line."""
    assert differences(documented, real)
    assert not differences(documented, documented)
