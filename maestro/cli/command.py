"""From a function to a command: what every verb has in common.

A verb is `async def verb(call, ...)`, or a plain `def` where Ray wants the main thread. Each gets `-o`; an async one
`--timeout-s`; one that takes an `id` may be told `--name N` instead.

Invariants: the store is opened at first use and closed in the end, whatever happened; text that is not UTF-8 reaches no
verb.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from inspect import Parameter, Signature
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from maestro import telemetry
from maestro.bootstrap import install
from maestro.cli.app import Flags
from maestro.cli.errors import reader_is_gone
from maestro.cli.output import Format, Output
from maestro.client import ContinuationHandle, Maestro
from maestro.errors import ContinuationNotFoundError, InvalidInput, TimedOut
from maestro.runtime.verbs import Installation
from maestro.settings import Settings

NAMED = "name:"
"""What `--name` puts before a name on its way to `Call.find`."""

Id = Annotated[str, typer.Argument(metavar="ID", help="A unique prefix of an id, or a name.")]
MaybeId = Annotated[
    str | None, typer.Argument(metavar="[ID]", help="A unique prefix of an id, or a name.", show_default=False)
]


Work = TypeVar("Work", bound=Callable[..., object])
_FUNDED: set[Callable[..., object]] = set()
"""The verbs that start something, for which an account may pay."""


class Call:
    """One call of a verb: settings, an open store, and where the answer goes."""

    def __init__(self, flags: Flags, format: Format) -> None:
        self.flags = flags
        self.out = Output(format)
        self.account: str | None = None
        """Which account lends what is started; None means as set."""
        self._settings: Settings | None = None
        self._maestro: Maestro | None = None

    @property
    def settings(self) -> Settings:
        """Flag > environment > maestro.toml > default."""
        if self._settings is None:
            flags = self.flags
            self._settings = Settings.load(
                home=flags.home, tenant=flags.tenant, redis_url=flags.redis_url, account=self.account
            )
            telemetry.configure("cli", "debug" if self._settings.log_level == "debug" else "error")
        return self._settings

    async def maestro(self) -> Maestro:
        """A client of this installation.

        Raises:
            StoreUnavailable: no store answers.
        """
        if self._maestro is None:
            self._maestro = Maestro(await install(self.settings, "cli"))
            telemetry.hide(self.settings.secret_values())
        return self._maestro

    async def at(self) -> Installation:
        return (await self.maestro()).installation

    async def find(self, text: str) -> ContinuationHandle:
        """The handle of an id, a unique prefix or a name; of a name alone where `--name` was said.

        Raises:
            ContinuationNotFoundError: none.
        """
        maestro = await self.maestro()
        if not text.startswith(NAMED):
            return await maestro.aget(text)
        name = text.removeprefix(NAMED)
        cid = await maestro.installation.backend.records.named(name)
        if cid is None:
            raise ContinuationNotFoundError(
                f"no continuation is named {name!r}", field="name", hint="see `maestro list`"
            )
        return ContinuationHandle(cid, maestro)

    async def close(self) -> None:
        if self._maestro is not None:
            await self._maestro.aclose()


class IdCommand(TyperCommand):
    """A command whose `--name N` takes the place of its ID."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_id = any(parameter.name == "id" for parameter in self.params)
        return super().parse_args(ctx, name_as_id(args) if takes_id else args)


def name_as_id(arguments: Iterable[str]) -> list[str]:
    """`--name N`, wherever it stands, as the first positional argument.

    >>> name_as_id(["--name", "scout", "hello"])
    ['name:scout', 'hello']
    """
    rest, words = [], iter(arguments)
    named: list[str] = []
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--name" and (value := next(words, None)) is not None:
            named.append(NAMED + value)
        elif word.startswith("--name="):
            named.append(NAMED + word.removeprefix("--name="))
        else:
            rest.append(word)
    return [*named, *rest]


def funded(work: Work) -> Work:
    """`work` takes `--account PATH` besides, which is `call.account`."""
    _FUNDED.add(work)
    return work


def as_command(work: Callable[..., object]) -> Callable[..., None]:
    """`work(call, ...)` as typer takes it: with what every verb has in common."""
    _, *own = inspect.signature(work, eval_str=True).parameters.values()
    is_async = inspect.iscoroutinefunction(work)

    def command(ctx: typer.Context, output: Format, timeout_s: float | None = None, **given: Any) -> None:
        given.pop("name", None) if "id" in given else None
        _require_text(given)
        call = Call(ctx.obj, output)
        call.account = given.pop("account", None) if work in _FUNDED else None
        try:
            if is_async:
                asyncio.run(_within(timeout_s, work(call, **given), call))  # type: ignore[arg-type]  # a coroutine
            else:
                work(call, **given)
        except BrokenPipeError:  # caught before typer sees it, and calls it a failure
            raise typer.Exit(reader_is_gone()) from None

    common = [_parameter("output", Format, typer.Option("-o", "--output", help="How to answer."), Format.TABLE)]
    if is_async:
        help_ = "Give up after so many seconds; what was accepted stays so."
        common.append(
            _parameter("timeout_s", float | None, typer.Option(min=0.0, help=help_, show_default=False), None)
        )
    if any(parameter.name == "id" for parameter in own):
        common.append(
            _parameter("name", str | None, typer.Option(help="A name, in place of ID.", show_default=False), None)
        )
    if work in _FUNDED:
        help_ = "Which account lends its budget, such as TENANT/KEY."
        common.append(
            _parameter("account", str | None, typer.Option(metavar="PATH", help=help_, show_default=False), None)
        )
    first = Parameter("ctx", Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [first, *(parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own), *common]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # where inspect looks first
    return command


def _parameter(name: str, kind: object, option: object, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


async def _within(timeout_s: float | None, work: Awaitable[object], call: Call) -> None:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            await work
    except TimeoutError:
        if limit.expired():
            raise TimedOut(f"not done within {timeout_s:g} s", hint="see `maestro status`, or give it longer") from None
        raise
    finally:
        await call.close()


def _require_text(given: dict[str, Any]) -> None:
    """Bytes of the command line that are no UTF-8 come as lone surrogates."""
    for name, value in given.items():
        for text in value if isinstance(value, list | tuple) else [value]:
            if isinstance(text, str) and not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
                raise InvalidInput(f"{name} is not text in UTF-8", field=name, hint="send UTF-8")
