"""The HTTP API: every endpoint and every shape, as its OpenAPI document has them."""

from collections.abc import Iterator, Mapping
from typing import Any

from maestro.adapters.memory.backend import MemoryBackend
from maestro.budget.vector import BudgetVector
from maestro.continuation.envelope import Seal
from maestro.gateway.app import AS_USUAL, DOCUMENTED, inner
from maestro.runtime.verbs import Installation
from tests.reference.tables import code, opening, table

OPENING = """Made of `GET /openapi.json`. Who may ask, errors, pages, idempotency and streams are explained in
[the HTTP API](http-api.md)."""
Document = Mapping[str, Any]


def page() -> str:
    document = described()
    endpoints = [
        _endpoint(path, verb, told) for path, verbs in document["paths"].items() for verb, told in verbs.items()
    ]
    shapes = [_shape(name, told) for name, told in document.get("components", {}).get("schemas", {}).items()]
    return "\n".join(
        [opening("HTTP endpoints and shapes", OPENING), "## Endpoints\n", *endpoints, "## Shapes\n", *shapes]
    )


def described() -> Document:
    """The OpenAPI document."""
    at = Installation(MemoryBackend(), Seal(b"nothing is opened with it, and none"), BudgetVector({}))
    document: Document = inner(at, AS_USUAL).openapi()
    return document


def _endpoint(path: str, verb: str, told: Document) -> str:
    rows = [
        (code(given["name"]), given["in"], _type(given.get("schema", {})), given.get("description", ""))
        for given in told.get("parameters", ())
    ]
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    lines = [f"### {verb.upper()} {path}\n", *_sentences(told, body)]
    if rows:
        lines.append(table(("parameter", "in", "type", "meaning"), rows))
    return "\n".join(lines)


def _sentences(told: Document, body: Document | None) -> Iterator[str]:
    about = told.get("description") or told.get("summary")
    if about:
        yield f"{' '.join(str(about).split())}\n"
    if body is not None:
        yield f"Asks {_type(body)}.\n"
    answers = [
        f"{status} {_type(_schema_of(answer))}"
        for status, answer in told.get("responses", {}).items()
        if not (status.isdecimal() and int(status) in DOCUMENTED)
    ]
    yield f"Answers {' · '.join(answers)}.\n"


def _schema_of(answer: Document) -> Document:
    """Of the first form that it has."""
    forms: list[Document] = list(answer.get("content", {}).values())
    schema: Document = forms[0].get("schema", {}) if forms else {}
    return schema


def _shape(name: str, told: Document) -> str:
    needed = set(told.get("required", ()))
    rows = [
        (code(field), _type(shape), "" if field in needed else "may be left out", shape.get("description", ""))
        for field, shape in told.get("properties", {}).items()
    ]
    about = " ".join(told.get("description", "").split())
    lines = [f"### {name}\n", *([f"{about}\n"] if about else [])]
    if "enum" in told:
        lines.append(f"One of {', '.join(code(value) for value in told['enum'])}.\n")
    return "\n".join([*lines, table(("field", "type", "", "meaning"), rows) if rows else ""])


def _type(schema: Document) -> str:
    """In a word; a shape of ours is a link to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return " or ".join(code(value) for value in schema.get("enum", (schema.get("const"),)))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("type") or "any")
