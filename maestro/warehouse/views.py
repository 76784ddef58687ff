"""The tables that people ask, as SQL over the rows: each movement counted once, however often it was stored.

    fact_model_call      one row per model call, refunds included: cost, tokens, tier, provider, latency
    fact_tool_call       one row per use of a tool
    fact_human_request   one row per request that took the attention of people
    fact_spent           every movement of money as it is in the ledgers, model calls or not
    dim_continuation     whose behaviour each continuation is, and of which family

What is not here: what runs the SQL (maestro.adapters.duckdb).
"""

MOVEMENT = "movement"
"""The rows, stored and not stored yet, that the views stand on."""

_ONCE = f"""
create view once as
select * from {MOVEMENT} qualify row_number() over (partition by id, entry order by at_ms) = 1
"""  # noqa: S608 - every word of it stands here

_CONTINUATION = """
create view dim_continuation as
select cid, behaviour, root, parent, account from once where kind = 'born'
"""

_SPENT = """
create view fact_spent as
select o.id as call_id, o.kind, o.entry, to_timestamp(o.at_ms / 1000) at time zone 'UTC' as time,
       strftime(to_timestamp(o.at_ms / 1000) at time zone 'UTC', '%Y-%m-%d') as day, o.at_ms, o.tenant,
       o.cid as continuation, coalesce(d.root, o.cid) as session, d.account, d.behaviour as program, o.rev as tick,
       o.ordinal, o.outcome as status, o.resource, o.units, o.usd_micros, o.tokens, o.cheap_calls, o.expensive_calls,
       o.step, o.complexity, o.domain, o.tier, o.provider, o.model, o.latency_ms,
       o.executor_input_tokens, o.executor_output_tokens, o.advisor_input_tokens, o.advisor_output_tokens,
       o.cache_read_tokens, o.cache_creation_tokens,
       o.advisor_consulted, o.attempts, o.estimated, o.error, o.amounts
from once o left join dim_continuation d on d.cid = o.cid
where o.kind <> 'born'
"""

_FIRST = ("tenant", "continuation", "session", "account", "program", "tick", "ordinal")
_LAST = (
    "step", "complexity", "domain", "tier", "provider", "model", "latency_ms",
    "executor_input_tokens", "executor_output_tokens", "advisor_input_tokens", "advisor_output_tokens",
    "cache_read_tokens", "cache_creation_tokens", "advisor_consulted", "attempts", "estimated", "error",
)  # fmt: skip


def _fact(name: str, kind: str, more: str = "") -> str:
    """A table with one row per call of a kind: what a refund took back is taken off, what a late answer told is in."""
    first = ", ".join(f"arg_min({column}, at_ms) as {column}" for column in _FIRST)
    return f"""
create view {name} as
select call_id, min(time) as time, min(day) as day, {first}, arg_max(status, entry) as status,
       sum(usd_micros)::bigint as usd_micros, sum(usd_micros) / 1e6 as usd, sum(tokens)::bigint as tokens,
       sum(units)::bigint as units, any_value(resource) as resource{more}
from fact_spent where kind = '{kind}' group by call_id
"""  # noqa: S608 - every word of it stands here


_MODEL = ", ".join(f"any_value({column}) as {column}" for column in _LAST)
_CACHE = """case when any_value(cache_read_tokens) > 0 then 'hit'
       when any_value(cache_creation_tokens) > 0 then 'written' else 'none' end as cache_status"""

VIEWS = (
    _ONCE,
    _CONTINUATION,
    _SPENT,
    _fact("fact_model_call", "model", f", {_MODEL}, {_CACHE}"),
    _fact("fact_tool_call", "tool", ", any_value(error) as error"),
    _fact("fact_human_request", "human"),
)
"""In the order in which they stand on each other."""
