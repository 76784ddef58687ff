"""What steering is asked for and answers: the verbs, one by one and in bulk (see `maestro.gateway.shapes`)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, StringConstraints

from maestro.gateway.shapes import (
    MAX_BULK,
    MAX_PAGE,
    Amounts,
    Cid,
    Group,
    Label,
    Problem,
    Shape,
    Share,
    Sort,
    SteeringVerb,
    Text,
    Words,
)


class Ending(Shape):
    """kill, cancel."""

    children: Literal["stop", "orphan", "adopt"] | None = None


class Freezing(Shape):
    """freeze, thaw."""

    tree: bool = False
    reason: Words = ""


class Rebudget(Shape):
    budget: Amounts


class Fork(Shape):
    at: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """After which tick; now, by default."""
    share: Share = 0.5


class ForkCost(Shape):
    """What a fork would take of what is free; nothing has happened."""

    id: str
    at: int
    grant: dict[str, int]
    """Resource -> amount; usd in micro-dollars."""
    left: dict[str, int]
    ticks_not_repeated: int
    """Ticks that the copy has behind it: nothing of them is done or paid again."""


class Merge(Shape):
    ids: Annotated[list[Cid], Field(min_length=1, max_length=100)]
    into: Cid


class Migrate(Shape):
    to: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    stay: bool = False


class Send(Shape):
    body: JsonValue
    subject: Annotated[str, StringConstraints(max_length=200)] = ""


class Reply(Shape):
    text: Text


class Resume(Shape):
    """The spec's one door for answers: a reply, a word on an approval, or the result of an operation."""

    text: Text | None = None
    approval: Annotated[str, StringConstraints(max_length=100)] | None = None
    approved: bool | None = None
    operation: Annotated[str, StringConstraints(max_length=200)] | None = None
    payload: JsonValue = None


class Decide(Shape):
    """approve, deny."""

    approval: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    binding: Annotated[str, StringConstraints(max_length=128)] | None = None
    """The hash of what was shown; refused where something else would be approved. A browser always sends it."""
    edited: JsonValue = None
    """For approve: the arguments in place of those that were asked."""


class Snooze(Shape):
    for_s: Annotated[int, Field(ge=60, le=30 * 86_400)]


class Delegate(Shape):
    to: Label
    """The name of a token, or of whoever is told otherwise."""
    words: Words = ""


class Done(Shape):
    """A verb was accepted: what it orders is durable."""

    id: str
    done: str
    mail: str | None = None
    made: str | None = None
    """Of a fork: the new continuation."""
    detail: dict[str, JsonValue] = Field(default_factory=dict)


class Filter(Shape):
    """Which continuations: all of these that are said."""

    group: Group | None = None
    state: Annotated[str, StringConstraints(max_length=40)] | None = None
    behaviour: Label | None = None
    parent: Cid | Literal["none"] | None = None
    """`none`: those that have no parent."""
    root: Cid | None = None
    q: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Literally in the id, the name, the goal or the reason, whatever the case."""


class Listing(Filter):
    """A page of rows, as a URL asks for it."""

    model_config = ConfigDict(strict=False)

    sort: Sort = "updated"
    order: Literal["asc", "desc"] = "desc"
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 50
    cursor: Annotated[str, StringConstraints(max_length=2_000)] | None = None

    @property
    def filter(self) -> Filter:
        """Which rows, without which page of them."""
        return Filter(**self.model_dump(include=set(Filter.model_fields)))


class Bulk(Shape):
    """One verb on many: by `ids` or by `filter`."""

    verb: SteeringVerb
    ids: Annotated[list[Cid], Field(max_length=MAX_BULK)] | None = None
    filter: Filter | None = None
    dry_run: bool = False
    """Only count; nothing happens."""
    expect: Annotated[int, Field(ge=0)] | None = None
    """How many a dry run said: the call is refused where it would be another number by now. Needed above ten."""
    budget: Amounts | None = None
    share: Share = 0.5
    into: Cid | None = None
    to: Annotated[str, StringConstraints(max_length=200)] | None = None
    tree: bool = False
    children: Literal["stop", "orphan", "adopt"] | None = None
    reason: Words = ""


class BulkItem(Shape):
    id: str
    ok: bool
    made: str | None = None
    error: Problem | None = None


class BulkDone(Shape):
    verb: SteeringVerb
    dry_run: bool
    count: int
    loses: dict[str, int]
    """What a kill or merge would end: `unread` mails, `children` that are alive, `free_usd_micros` that goes back."""
    ok: int
    failed: int
    items: list[BulkItem]
    """One for each, in the order of the ids; on a dry run the first 20, which are all `ok`."""
