"""What every supervisor answers to people and programs: its tree, and OTP's functions by their own names.

Each change waits its turn in the mailbox; a refusal arrives as an error whose fact `otp` is OTP's own word.
"""

from functools import partial

from pydantic import JsonValue

from actors import children, tree
from actors.lifecycle import Lifecycle
from actors.names import actor_name
from actors.supervising import Supervising
from maestro.errors import Conflict
from maestro.supervision import requests
from maestro.supervision.spec import ChildSpec, child_spec


class Administered:
    """Mixed into an actor that has a spec, a life, and supervises."""

    _spec: ChildSpec
    _life: Lifecycle
    _supervising: Supervising

    async def tree(self) -> dict[str, JsonValue]:
        """This supervisor and all below it: states, processes, restarts, last exits."""
        return await tree.whole(self._spec, self._life, self._supervising)

    async def which_children(self) -> list[JsonValue]:
        """Id, incarnation, type and state of every child, in start order."""
        return tree.flat(self._supervising)

    async def count_children(self) -> dict[str, int]:
        """How many specs, active children, supervisors and workers."""
        return tree.counts(self._supervising)

    async def start_child(self, spec_json: str) -> None:
        """The child that `spec_json` describes runs, as the last one; a failed start leaves nothing.

        Raises:
            Conflict: an actor of that name lives, here or elsewhere.
        """
        spec = child_spec(spec_json)
        ours = any(child.id == spec.id for child in self._supervising.state.children)  # the machine knows OTP's word
        if not ours and await children.is_taken(spec):
            hint = "actor names are unique: choose another id"
            raise Conflict(f"actor {actor_name(spec)!r} lives already", field="id", hint=hint, otp="already_started")
        await self._supervising.ask(partial(requests.start_child, spec=spec))

    async def spawn_child(self, args: dict[str, JsonValue]) -> None:
        """One more child, made from the template of this supervisor with these arguments, runs."""
        await self._supervising.ask(partial(requests.spawn_child, args=args))

    async def terminate_child(self, child_id: str) -> None:
        """The child is stopped and stays so."""
        await self._supervising.ask(partial(requests.terminate_child, child_id=child_id))

    async def restart_child(self, child_id: str) -> None:
        """A child that was stopped runs again."""
        await self._supervising.ask(partial(requests.restart_child, child_id=child_id))

    async def renew_children(self, child_ids: list[str]) -> None:
        """Those of them that run were stopped in order, and started again wherever there is a place now."""
        await self._supervising.ask(partial(requests.renew_children, child_ids=child_ids))

    async def delete_child(self, child_id: str) -> None:
        """A child that was stopped is forgotten."""
        await self._supervising.ask(lambda state: (requests.delete_child(state, child_id), ()))

    async def change_spec(self, spec_json: str) -> None:
        """The supervisor follows the new spec; no child is started or stopped by it."""
        spec = child_spec(spec_json)
        await self._supervising.ask(lambda state: (requests.change_spec(state, spec), ()))
        self._spec = spec
