"""The OpenAPI description (3.1), made from the routes and the types that they name."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from coordinator.api.routes import PARAMETERS, Route
from coordinator.wire.errors import Error
from quorate.version import VERSION

_REF = "#/components/schemas/{name}"
_EVERYWHERE = (400, 429, 500, 503, 507)
_SAYS = {
    200: "Done",
    400: "What was sent isn't what this takes",
    401: "Not logged in, or the login was refused",
    403: "The role of the account doesn't allow it",
    404: "There is no such thing",
    408: "The body took too long",
    409: "A rule refused it; the instance is as it was",
    413: "The body is too long",
    415: "The body isn't application/json",
    429: "Too often; Retry-After says how many seconds to wait",
    500: "Our mistake",
    503: "Too busy just now; safe to try again",
    507: "No space left; nothing was stored",
}

Schema = dict[str, Any]


@cache
def document(routes: tuple[Route, ...]) -> Schema:
    """The whole description."""
    types = _types(routes)
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: Schema = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    schema: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Quorate coordinator",
            "version": VERSION,
            "description": "Operators' side of a coordinator. No account can sign anything.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _ecma(one) for name, one in sorted(components.items())},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
    return schema


def _types(routes: Sequence[Route]) -> list[type]:
    found: list[type] = [Error]
    for route in routes:
        found += [one for one in (route.answer, route.body) if one is not None]
    return list(dict.fromkeys(found))


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "operationId": route.name,
        "summary": route.says,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {str(status): _response(route, status) for status in _statuses(route)},
        "security": [] if route.right is None else [{"token": []}],
    }
    if route.right is not None:
        operation["description"] = f"Needs the right to {route.right}."
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.body)}
    if route.answer is None:
        operation["parameters"].append(
            {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}}
        )
    return operation


def _statuses(route: Route) -> list[int]:
    found = {200, *_EVERYWHERE, *route.refusals}
    if route.right is not None:
        found |= {401, 403}
    if route.body is not None:
        found |= {408, 413, 415}
    if route.parameters:
        found.add(404)
    return sorted(found)


def _response(route: Route, status: int) -> Schema:
    if status != 200:
        return {"description": _SAYS[status], "content": _json(Error)}
    if route.answer is None:
        return {"description": route.says, "content": {"text/event-stream": {"schema": {}}}}
    return {"description": _SAYS[status], "content": _json(route.answer)}


def _json(kind: type) -> Schema:
    return {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _in_path(route: Route) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _ecma(msgspec.json.schema(PARAMETERS[name])),
        }
        for name in route.parameters
    ]


def _in_query(route: Route) -> list[Schema]:
    if route.query is None:
        return []
    (_, components) = msgspec.json.schema_components([route.query], ref_template=_REF)
    own = components[route.query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in own["required"],
            "schema": _ecma(_inlined(_without_null(schema), components)),
        }
        for name, schema in own["properties"].items()
    ]


def _without_null(schema: Schema) -> Schema:
    """In a query nothing is null: it isn't there."""
    kept: list[Schema] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return kept[0] if len(kept) == 1 else schema


def _inlined(schema: Schema, components: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = components[reference.rpartition("/")[2]]
    return found


def _ecma(schema: Any) -> Any:
    r"""Patterns as JSON Schema has them: ^ and $ for Python's \A and \Z."""
    match schema:
        case dict():
            return {
                key: re.sub(r"\\A|\\Z", lambda found: "^" if found[0] == r"\A" else "$", value)
                if key == "pattern"
                else _ecma(value)
                for key, value in schema.items()
            }
        case list():
            return [_ecma(one) for one in schema]
        case _:
            return schema
