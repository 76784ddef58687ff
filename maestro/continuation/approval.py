"""Approvals: a person's word on exactly one action, in exactly one state, under exactly one policy.

Invariants: pure; an approval is bound to a SHA-256 over action, canonical arguments, state revision and policy version;
when one of them changes its id ends with it, and the same action is asked for anew under another: a word that was meant
for what is no more can fit nothing. The revision of a state is its hash: a tick that changes nothing ends no approval.

Source: spec/01 section 5; PROMISES P15.
"""

import hashlib

import orjson
from pydantic import JsonValue

from maestro.continuation.wait import ApprovalResolution, Simple, WaitFor, mapped
from maestro.ids import ContinuationId, derived_token


def revision_of(state: JsonValue) -> str:
    """The revision of a state: the hash of its canonical JSON."""
    return hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).hexdigest()


def binding_of(action: str, arguments: JsonValue, state_revision: str, policy_version: str) -> str:
    """The hash that an approval of `action` is bound to."""
    canonical = orjson.dumps([action, arguments, state_revision, policy_version], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()


def changed(approval: ApprovalResolution, state: JsonValue, policy_version: str) -> tuple[str, ...]:
    """What of that which `approval` is bound to is not as it was: state, policy."""
    if not approval.state_revision:
        return ()
    found = {
        "state": approval.state_revision != revision_of(state),
        "policy": approval.policy_version != policy_version,
    }
    return tuple(name for name, differs in found.items() if differs)


def bound(wait: WaitFor, cid: ContinuationId, state: JsonValue, policy_version: str) -> WaitFor:
    """`wait` with each approval in it bound to what is so now; one that fits no more is asked for under a new id."""

    def bind(part: Simple) -> WaitFor:
        if not isinstance(part, ApprovalResolution):
            return part
        told = changed(part, state, policy_version)
        if part.state_revision and not told:
            return part
        revision = revision_of(state)
        binding = binding_of(part.action, part.arguments, revision, policy_version)
        update: dict[str, object] = {
            "binding": binding,
            "state_revision": revision,
            "policy_version": policy_version,
        }
        if told:
            anew = derived_token("approval", cid, part.approval_id, binding)
            update |= {"approval_id": anew, "replaces": part.approval_id, "changed": told}
        return part.model_copy(update=update)

    return mapped(wait, bind)
