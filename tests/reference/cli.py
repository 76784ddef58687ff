"""The command line: every verb with what it takes, as `maestro VERB --help` has it."""

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from maestro.cli.app import ALIASES, VERBS, _application
from tests.reference.tables import code, opening, table

OUTPUT = "-o"
EVERYWHERE = ("-o", "--timeout-s")
OPENING = """Before the verb: `--home` (else `MAESTRO_HOME`), `--tenant`, `--redis-url`. Every verb takes
`-o table|json|jsonl`; those that wait take `--timeout-s N`. An ID may be a unique prefix or a name; `--name N` says
that it is a name.

Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 the store or the cluster cannot be reached, 124 timed out, 130
interrupted."""


def page() -> str:
    parts = [opening("Command line", OPENING)]
    for panel in dict.fromkeys(verb.panel for verb in VERBS.values()):
        parts.append(f"## {panel}\n")
        parts += [_verb(name) for name, verb in VERBS.items() if verb.panel == panel]
    return "\n".join(parts)


def _verb(name: str) -> str:
    group: Any = typer.main.get_command(_application(name))
    command = group.commands[name]
    aliases = [alias for alias, meant in ALIASES.items() if meant == name]
    also = f" Also by the name {', '.join(code(alias) for alias in aliases)}." if aliases else ""
    rows = list(_rows(command))
    told = inspect.cleandoc(command.help or VERBS[name].help)
    return f"### maestro {name}\n\n{told}{also}\n" + (
        f"\n{table(('takes', 'default', 'meaning'), rows)}" if rows else ""
    )


def _rows(command: Any) -> Iterator[tuple[str, str, str]]:
    for parameter in command.params:
        if set(parameter.opts) & set(EVERYWHERE):
            continue
        many = " ..." if parameter.nargs == -1 or parameter.multiple else ""
        if parameter.param_type_name == "argument":
            called = (parameter.metavar or parameter.name.upper()).strip("[]")
            name = f"{called if parameter.required else f'[{called}]'}{many}"
        else:
            flag = " / ".join([*parameter.opts, *parameter.secondary_opts])
            name = flag if parameter.is_flag else f"{flag} {parameter.metavar or _word(parameter)}{many}"
        yield code(name), code(_default(parameter)), getattr(parameter, "help", None) or ""


def _word(parameter: Any) -> str:
    """What stands for the value of an option."""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(choice.value) for choice in kind)
    return "N" if kind in (int, float) else "PATH" if kind is Path else "TEXT"


def _default(parameter: Any) -> str:
    if parameter.required or parameter.default in (None, False, (), []) or callable(parameter.default):
        return ""
    default = parameter.default
    return str(getattr(default, "value", default))
