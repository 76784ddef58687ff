"""Which verb lives where, and how a command line becomes one call.

Invariant: `maestro --help` imports typer and this file, not even rich: 0.13 s here, where 0.3 s are promised. The one
lazy import of the command line is here: the module of the verb that is asked for, and of no other, is loaded by name.

What is not here: what the verbs do (look, steer, mesh, people, operate, history), and how errors are told (errors).
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

GLOBAL_OPTIONS = ("--home", "--tenant", "--redis-url")
"""Options before the verb; each takes a value."""
ALIASES = {"ps": "list", "tail": "watch", "journal": "log"}


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb is, and what the list of all verbs says of it."""

    place: str
    """`module:function` below maestro.cli."""
    panel: str
    help: str


VERBS: dict[str, Verb] = {
    "up": Verb("operate:up", "Operate", "Start what is missing. Return when ready."),
    "down": Verb("operate:down", "Operate", "Stop in order. What is stored stays, unless --purge."),
    "status": Verb("status:status", "Operate", "Store, Ray, queues, sources and supervisors at a glance."),
    "pools": Verb("status:pools", "Operate", "Who waits for an actor, for how long, and which actors there are."),
    "nodes": Verb("nodes:nodes", "Operate", "Which nodes there are, and why one takes no work."),
    "drain": Verb("nodes:drain", "Operate", "Let nothing run on a node; what runs there goes on elsewhere."),
    "undrain": Verb("nodes:undrain", "Operate", "Let a node take work again."),
    "doctor": Verb("doctor:doctor", "Operate", "Check every setting that a promise rests on."),
    "acl": Verb("acl:acl", "Operate", "Print the ACL file of a Redis that holds the store."),
    "rehearse": Verb("operate:rehearse", "Operate", "Try today's code on every sleeper; write nothing."),
    "demo": Verb("operate:demo", "Operate", "The main job, offline, from nothing, in under two minutes."),
    "chaos": Verb("chaos:chaos", "Operate", "Faults with an invariant checker, on an installation of its own."),
    "start": Verb("steer:start", "Steer", "Start a new root continuation and print its id."),
    "send": Verb("steer:send", "Steer", "Put a message into a mailbox."),
    "reply": Verb("steer:reply", "Steer", "Answer the question that a continuation asks."),
    "approve": Verb("steer:approve", "Steer", "Approve what a continuation asks for."),
    "deny": Verb("steer:deny", "Steer", "Deny what a continuation asks for."),
    "resolve": Verb("steer:resolve", "Steer", "Tell the outcome of an operation outside."),
    "wake": Verb("steer:wake", "Steer", "Make it tick once, whatever it waits for."),
    "merge": Verb("steer:merge", "Steer", "Merge continuations into one; conflicts become questions."),
    "rebudget": Verb("steer:rebudget", "Steer", "Change a budget, such as usd=+1.00."),
    "transfer": Verb("moneys:transfer", "Steer", "Move money inside a family, such as usd=0.50."),
    "refund": Verb("moneys:refund", "Steer", "Tell what a call has cost that was charged in full."),
    "fork": Verb("steer:fork", "Steer", "Branch off a copy, as it was after a tick."),
    "migrate": Verb("nodes:migrate", "Steer", "Let it go on at another node."),
    "freeze": Verb("steer:freeze", "Steer", "Let nothing wake it until it is thawed. Without an ID: all."),
    "thaw": Verb("steer:thaw", "Steer", "Let go of what is frozen or held. Without an ID: all."),
    "cancel": Verb("steer:cancel", "Steer", "End it before its next tick."),
    "kill": Verb("steer:kill", "Steer", "End it at once, in mid tick."),
    "list": Verb("look:list_", "Look", "All continuations, one line each (alias: ps)."),
    "show": Verb("look:show", "Look", "Everything about one continuation."),
    "why": Verb("look:why", "Look", "Why it is as it is, in one sentence."),
    "log": Verb("look:log", "Look", "Its committed ticks, one line each (alias: journal)."),
    "field": Verb("look:field", "Look", "What weighs most in its context."),
    "artifacts": Verb("artifacts:artifacts", "Look", "What its tools returned that is kept by its hash."),
    "wait": Verb("waiting:wait", "Look", "Until there is something for you; print it."),
    "watch": Verb("look:watch", "Look", "What happens, live, until Ctrl-C (alias: tail)."),
    "publish": Verb("mesh:publish", "Mesh", "Publish an event to all who subscribed."),
    "events": Verb("mesh:events", "Mesh", "The newest events, newest first."),
    "dead-letters": Verb("mesh:dead_letters", "Mesh", "What could not be delivered, and why. Deliver it again."),
    "sources": Verb("mesh:sources", "Mesh", "Feeds, folders, mail and schedules that are polled. Add or remove one."),
    "mcp": Verb("mcp:mcp", "Mesh", "MCP servers: list, check and approve their tools. Or serve Maestro's own verbs."),
    "waits": Verb("people:waits", "People and money", "What people are asked, and the command that answers."),
    "findings": Verb("people:findings", "People and money", "What was found, with its links."),
    "accounts": Verb("moneys:accounts", "People and money", "What accounts above continuations have. Grant one more."),
    "token": Verb("tokens:token", "People and money", "Tokens of the HTTP API: create, list, revoke."),
    "login": Verb("tokens:login", "People and money", "Print a link that logs a browser in, once."),
    "costs": Verb("costs:costs", "People and money", "What was spent, by tier, provider, day, account or whom."),
    "query": Verb("costs:query", "People and money", "Ask the warehouse in SQL, read-only."),
    "verify": Verb("history:verify", "History", "Check that logs are whole and unchanged."),
    "audit": Verb("audit:audit", "History", "Who steered or configured what. Verify that record."),
    "sweep": Verb("history:sweep", "History", "Drop what was kept for logs and is referred to no more."),
    "replay": Verb("history:replay", "History", "Rebuild a checkpoint from the log alone."),
    "whatif": Verb("history:whatif", "History", "Decide recorded model calls again, under another policy."),
    "policy": Verb("policies:policy", "History", "Check a policy file. Decide all recorded calls again under it."),
    "export": Verb("freight:export", "History", "Write a root and its family into one portable file."),
    "import": Verb("freight:import_file", "History", "Take in what an export holds."),
    "clock": Verb("history:clock", "History", "Show the store's clock, or advance a virtual one."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flags:
    """What was said before the verb; None means not said."""

    home: Path | None = None
    tenant: str | None = None
    redis_url: str | None = None


def run(arguments: Sequence[str]) -> int:
    """The exit status of that command line; its output is written, its error told on stderr."""
    from maestro.cli import errors  # light, but of no use to who only asks for help

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # LANG=C: show what it cannot write
    try:
        application = _application(verb_in(arguments))
        status = application(list(arguments) or ["--help"], prog_name="maestro", standalone_mode=False)
        sys.stdout.flush()
        return int(status or 0)
    except BaseException as error:  # noqa: BLE001 - every error ends as one line and a status, here and nowhere else
        return errors.told(error, arguments)


def verb_in(arguments: Sequence[str]) -> str | None:
    """The verb of a command line, by its first name; None where there is none that is known."""
    words = iter(arguments)
    for word in words:
        if word in GLOBAL_OPTIONS:
            next(words, None)
        elif not word.startswith("-"):
            known = ALIASES.get(word, word)
            return known if known in VERBS else None
    return None


def work_of(verb: str) -> Callable[..., object]:
    """The function that does the work of `verb`; its module is loaded now."""
    module, _, function = VERBS[verb].place.partition(":")
    work: Callable[..., object] = getattr(importlib.import_module(f"maestro.cli.{module}"), function)
    return work


def _application(verb: str | None) -> typer.Typer:
    """All verbs by name and first line; `verb` alone with its parameters and its work."""
    app = typer.Typer(
        name="maestro",
        help="Long-lived, resumable, budgeted computations: their truth in Redis, their actors on Ray.",
        epilog="Every verb takes -o table|json|jsonl. An ID may be a unique prefix or a name.",
        cls=_Verbs,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_flags)
    if verb is not None:
        from maestro.cli.command import IdCommand, as_command

        work = work_of(verb)
        for name in (verb, *(alias for alias, meant in ALIASES.items() if meant == verb)):
            app.command(name, cls=IdCommand, help=inspect.getdoc(work))(as_command(work))
    for name, known in VERBS.items():
        if verb is None:
            app.command(name, help=known.help)(_nothing)
    return app


class _Verbs(TyperGroup):
    """The list of all verbs, by panel."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for panel in dict.fromkeys(verb.panel for verb in VERBS.values()):
            with formatter.section(panel):
                formatter.write_dl([(name, verb.help) for name, verb in VERBS.items() if verb.panel == panel])


def _flags(
    ctx: typer.Context,
    home: Annotated[Path | None, typer.Option(help="State folder, else MAESTRO_HOME.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose continuations, else MAESTRO_TENANT.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="Store to use, else MAESTRO_REDIS_URL.")] = None,
) -> None:
    ctx.obj = Flags(home, tenant, redis_url)


def _nothing() -> None:
    """Stands for a verb where only its name is needed: in the list of all verbs."""
