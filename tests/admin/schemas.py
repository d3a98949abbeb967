"""A checker for the part of JSON Schema that the contract uses; an unknown keyword is an error."""

from __future__ import annotations

import re
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
NOTES = {"description", "default"}


def faults(value: Any, schema: dict[str, Any], schemas: dict[str, Any], at: str = "$") -> list[str]:
    """What of a value breaks a schema; empty if nothing."""
    found: list[str] = []
    for keyword, rule in schema.items():
        if keyword not in NOTES:
            found += [f"{at}: {fault}" for fault in _check(keyword, rule, value, schema)]
    if "$ref" in schema:
        found += faults(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, at)
    for keyword, wanted in (("anyOf", None), ("oneOf", 1)):
        fitting = sum(not faults(value, one, schemas, at) for one in schema.get(keyword, []))
        if keyword in schema and (fitting == 0 or (wanted and fitting != wanted)):
            found.append(f"{at}: fits {fitting} of {keyword}")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name, member in value.items():
            if name in properties:
                found += faults(member, properties[name], schemas, f"{at}.{name}")
            elif isinstance(others, dict):
                found += faults(member, others, schemas, f"{at}.{name}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += faults(item, schema["items"], schemas, f"{at}[{index}]")
    return found


def _check(keyword: str, rule: Any, value: Any, schema: dict[str, Any]) -> list[str]:
    match keyword:
        case "type":
            names = [rule] if isinstance(rule, str) else rule
            fits = any(_is(value, name) for name in names)
        case "enum":
            fits = value in rule
        case "const":
            fits = type(value) is type(rule) and value == rule
        case "pattern":
            fits = not isinstance(value, str) or re.search(rule, value) is not None
        case "minimum":
            fits = not _is(value, "number") or value >= rule
        case "maximum":
            fits = not _is(value, "number") or value <= rule
        case "minLength":
            fits = not isinstance(value, str) or len(value) >= rule
        case "maxLength":
            fits = not isinstance(value, str) or len(value) <= rule
        case "required":
            return [f"{name} is missing" for name in rule if name not in value] if isinstance(value, dict) else []
        case "additionalProperties":
            extra = set(value) - set(schema.get("properties", {})) if isinstance(value, dict) else set()
            return [f"{name} is not in the contract" for name in sorted(extra)] if rule is False else []
        case "$ref" | "anyOf" | "oneOf" | "properties" | "items":
            return []
        case _:
            raise AssertionError(f"unknown keyword {keyword}")
    return [] if fits else [f"{value!r} breaks {keyword} {rule!r}"]


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])
