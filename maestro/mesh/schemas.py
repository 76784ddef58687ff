"""The schemas of events: what a payload of a type and version must be, where somebody has said so.

Invariants:
- pure, and an event is checked where it becomes public: at publish, where it is refused, or at the relay, where what a
  committed tick sent becomes a dead letter with the cause;
- a type that nobody described is free, unless the register is closed; of a described type no version but the described
  ones exists, and a payload is as its model says, nothing converted and nothing more.

Several versions of a type live side by side: a publisher says which it speaks, a subscriber reads it in the event.

Source: spec/04 section 2; PROMISES B76.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson
from pydantic import BaseModel, ValidationError

from maestro.errors import InvalidInput, UnfitEvent
from maestro.mesh.event import Event, check_name


@dataclass(frozen=True, slots=True)
class EventTypes:
    """Which payloads events may have: (type, version) -> the model of the payload."""

    models: Mapping[tuple[str, int], type[BaseModel]] = field(default_factory=dict)
    closed: bool = False
    """True: a type that is not described is refused."""

    def __post_init__(self) -> None:
        for name, version in self.models:
            check_name(name)
            if version < 1:
                raise InvalidInput(f"version {version} of {name}", field="version", hint="count versions from 1")

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.models)

    def check(self, event: Event) -> Event:
        """`event`, whose payload is as its type says.

        Raises:
            UnfitEvent: its type or version is unknown, or its payload other than described.
        """
        model = self.models.get((event.type, event.version))
        if model is None:
            if event.type in self.names or self.closed:
                raise UnfitEvent(
                    f"no events of type {event.type} version {event.version} are known",
                    field="type",
                    hint=f"known: {', '.join(self._known(event.type)) or 'none'}",
                )
            return event
        try:
            model.model_validate_json(orjson.dumps(event.payload), strict=True, extra="forbid")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "payload"
            raise UnfitEvent(
                f"the payload is no {event.type} version {event.version}: {where}: {first['msg']}",
                field=f"payload.{where}",
                hint=f"see {model.__module__}.{model.__qualname__}",
            ) from None
        return event

    def and_(self, other: "EventTypes") -> "EventTypes":
        """These and the other's.

        Raises:
            InvalidInput: both describe the same version of a type, differently.
        """
        for key in self.models.keys() & other.models.keys():
            if self.models[key] is not other.models[key]:
                raise InvalidInput(
                    f"version {key[1]} of {key[0]} is described twice",
                    field="event_types",
                    hint="give one a new version",
                )
        return EventTypes({**self.models, **other.models}, self.closed or other.closed)

    def _known(self, name: str) -> Iterable[str]:
        return sorted(f"{type_} {version}" for type_, version in self.models if type_ == name)


OPEN = EventTypes()
"""Nothing is described: every event is taken."""
