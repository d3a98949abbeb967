"""`/v1/config`: the directives, shown with their secrets masked, and changed all together or not at all."""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import body_of, client_of, content_type_of, json_answer, query_of
from txrepl.admin.auth import is_loopback
from txrepl.admin.bodies import read_fields, shown_name
from txrepl.admin.contract import (
    FORM,
    JSON,
    ORDER_REFUSED,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    Schema,
    array,
    flag,
    or_null,
    record,
    ref,
    string,
)
from txrepl.admin.problems import ConflictError, InvalidError, NotFoundError, UnavailableError
from txrepl.config import TABLE, Spec, find
from txrepl.errors import ConfigError

_RELATED: Final = re.compile(r"ERR CONFIG SET failed \(possibly related to argument '(.*)'\) - (.*)", re.DOTALL)


class Configuration(Handlers):
    """The directives."""

    def all(self, request: Request) -> bytes:
        """Every directive and its value."""
        query_of(request)
        config = self.node.config
        return json_answer(request, {"config": {spec.name: _value(config.masked_text(spec.name)) for spec in TABLE}})

    def one(self, request: Request, name: str) -> bytes:
        """One directive, and what is known of it."""
        query_of(request)
        spec = find(name)
        if spec is None:
            raise NotFoundError("no such directive; GET /v1/config lists all")
        return json_answer(request, self._shown(spec))

    def change(self, request: Request) -> bytes:
        """CONFIG SET."""
        query_of(request)
        fields = read_fields(content_type_of(request), body_of(request), None)
        if not fields.given:
            raise InvalidError("body", "name at least one directive")
        changes = {name: _text(name, value) for name, value in fields.given.items()}
        for name in changes:
            self._check(name, is_local=_is_local(request))
        config = self.node.config
        try:
            changed = config.set_many(changes, is_local=_is_local(request), is_loading=self.node.loading is not None)
        except ConfigError as error:
            raise _refusal(str(error)) from None
        finally:
            for warning in config.take_warnings():
                self.node.log("warning", warning)
        if changed:
            self.node.log("notice", f"Changed {', '.join(changed)} (user request from '{client_of(request)}')")
        specs = [spec for spec in map(find, changes) if spec is not None]
        return json_answer(request, {"changed": changed, "directives": [self._shown(spec) for spec in specs]})

    def _check(self, name: str, *, is_local: bool) -> None:
        """Refuse what can be told before anything is tried, each in its own way."""
        spec = find(name)
        if spec is None:
            raise InvalidError(shown_name(name), "no such directive; GET /v1/config lists all")
        if not spec.mutable:
            raise ConflictError(f"{spec.name} cannot be changed while the server runs")
        if spec.protected and not self.node.config.allows("enable-protected-configs", is_local):
            raise ConflictError(f"{spec.name} is protected: start the server with enable-protected-configs")
        if spec.deny_loading and self.node.loading is not None:
            raise UnavailableError(f"loading the dataset: {spec.name} can be changed when that is done")

    def _shown(self, spec: Spec) -> views.Json:
        config = self.node.config
        return {
            "name": spec.name,
            "alias": spec.alias,
            "value": _value(config.masked_text(spec.name)),
            "default": spec.kind.show(spec.default),
            "is_default": config[spec.name] == spec.default,
            "mutable": spec.mutable,
            "protected": spec.protected,
            "secret": spec.secret,
            "honoured": spec.honoured,
            "note": spec.note or None,
        }


def _value(text: str) -> str:
    return views.printable(text)


def _text(name: str, value: Any) -> str:
    """A value as CONFIG SET takes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and "\0" not in value:
        try:
            value.encode()
            return value
        except UnicodeEncodeError:
            pass
    raise InvalidError(shown_name(name), "a text, a whole number, true or false is needed")


def _refusal(error: str) -> InvalidError:
    match = _RELATED.fullmatch(error)
    if match is None:
        return InvalidError("body", views.printable(error))
    return InvalidError(shown_name(match[1]), views.printable(match[2]))


def _is_local(request: Request) -> bool:
    address = request.getClientAddress()
    return is_loopback(address.host) if isinstance(address, IPv4Address | IPv6Address) else True


_CHANGES: Final[Schema] = {
    "type": "object",
    "description": "New values by the name of their directive, old names too; true and false mean yes and no.",
    "additionalProperties": {"type": ["string", "integer", "boolean"]},
}

FEATURE: Final = Feature(
    Configuration,
    (
        Route(
            Configuration.all,
            "get",
            "/v1/config",
            "config",
            "facts",
            "All directives and their values.",
            {JSON: "Config"},
            "Values are texts, as CONFIG GET gives them; a secret that is set is `***`.",
            refusals=QUERY_REFUSED,
        ),
        Route(
            Configuration.one,
            "get",
            "/v1/config/{name}",
            "directive",
            "facts",
            "One directive, and what is known of it.",
            {JSON: "Directive"},
            refusals={404: "There is no such directive.", **QUERY_REFUSED},
            parameters=(
                {
                    "name": "name",
                    "in": "path",
                    "required": True,
                    "description": "Its name; old ones are understood too.",
                    "schema": {"type": "string"},
                },
            ),
        ),
        Route(
            Configuration.change,
            "patch",
            "/v1/config",
            "change_config",
            "actions",
            "Change directives, all of them or none.",
            {JSON: "ConfigChanged"},
            "What CONFIG SET does. It lasts until the server ends; CONFIG REWRITE writes it to the file.",
            {200: "All are changed."},
            {
                409: "A directive cannot be changed while the server runs, or is protected.",
                503: "The dataset is being loaded.",
                **ORDER_REFUSED,
            },
            body={"required": True, "content": {JSON: {"schema": ref("Changes")}, FORM: {"schema": ref("Changes")}}},
        ),
    ),
    {
        "Config": record(
            "The directives.",
            config={
                "type": "object",
                "description": "Values by name.",
                "additionalProperties": {"type": "string"},
            },
        ),
        "Directive": record(
            "A directive.",
            name=string("Its name."),
            alias=or_null(string("Its old name.")),
            value=string("Its value; `***` for a secret that is set."),
            default=string("The value where nobody sets it."),
            is_default=flag("It has that value."),
            mutable=flag("It can be changed while the server runs."),
            protected=flag("Only with `enable-protected-configs`."),
            secret=flag("Its value is shown nowhere but by CONFIG GET."),
            honoured=flag("It has an effect here."),
            note=or_null(string("What its lack of effect means.")),
        ),
        "ConfigChanged": record(
            "What a change did.",
            changed=array({"type": "string"}, "Directives whose value became another one."),
            directives=array(ref("Directive"), "All that were named, as they are now."),
        ),
        "Changes": _CHANGES,
    },
)
