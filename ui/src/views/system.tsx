// The system: pools and their queues, nodes, sources, supervisors, lateness; enough to see that the machine is well.

import { useState } from "preact/hooks";
import { may, now, post, saying } from "../api";
import { clock } from "../parts/rail";
import { useLoaded } from "../state/loaded";
import { systemBeat } from "../state/live";
import type { Json, System as Told } from "../types";
import { count, distance, span, spaced } from "../words";

const LEVELS = ["events", "outbox", "timers", "leases", "dead_letters", "projections", "clock_ahead_ms"];
const SUMS = ["created", "committed", "adopted", "reclaimed", "fenced", "published", "matched", "timers_fired"];

export function System() {
  const told = useLoaded<Told>("/v1/system", Math.floor(clock.value / 5_000) + systemBeat.value);
  const [note, setNote] = useState("");
  const system = told.value;

  async function brake(on: boolean): Promise<void> {
    try {
      await post(on ? "brake.on" : "brake.off", { reason: on ? "from the pane" : "" });
      setNote(on ? "Nobody begins a tick." : "The brake is off.");
      told.again();
    } catch (failed) {
      setNote(saying(failed));
    }
  }

  return (
    <section class="system" aria-label="System">
      <div class="view-head">
        <h1>System</h1>
        {system !== null && <span class="hint">{system.presence.length === 0 ? "" : `watched by ${system.presence.join(", ")}`}</span>}
        {system !== null && may("steer") && (
          <button class={system.frozen ? "primary" : "risky"} onClick={() => void brake(!system.frozen)}>
            {system.frozen ? "Release the brake" : "Freeze everything"}
          </button>
        )}
      </div>
      <p role="status" class={told.error === "" ? "hint" : "refused"}>
        {told.error || note}
      </p>
      {system?.frozen && <p class="refused">The brake is on: nobody begins a tick.</p>}
      {system !== null && (
        <>
          <Figures title="Now" of={{ ...pick(system.depths, LEVELS), ...(system.lateness_ms === null ? {} : { lateness_ms: system.lateness_ms }) }} />
          <Figures title="In all" of={pick(system.totals, SUMS)} />
          <Pools system={system} />
          <Sources system={system} />
          <Nodes system={system} />
          {Object.keys(system.mesh).length > 0 && <Figures title="Mesh" of={system.mesh} />}
          <section class="part" aria-label="Supervisors">
            <h2>Supervisors</h2>
            {system.supervisors === null || system.supervisors === undefined ? <p class="empty">Ray does not tell here.</p> : <ul class="supervisors">{branches(system.supervisors)}</ul>}
          </section>
        </>
      )}
    </section>
  );
}

function pick(from: Record<string, number>, names: string[]): Record<string, number> {
  return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name] ?? 0]));
}

function Figures({ title, of }: { title: string; of: Record<string, number> }) {
  return (
    <section class="part" aria-label={title}>
      <h2>{title}</h2>
      <dl class="figures">
        {Object.entries(of).map(([name, value]) => (
          <div key={name}>
            <dt>{spaced(name.replace(/_ms$/, ""))}</dt>
            <dd>{name.endsWith("_ms") ? (value < 1000 ? `${value} ms` : span(value)) : count(value)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Pools({ system }: { system: Told }) {
  return (
    <section class="part" aria-label="Pools">
      <h2>Pools</h2>
      {system.pools.length === 0 && <p class="empty">No pool has had work yet.</p>}
      <ul class="pools">
        {system.pools.map((pool) => (
          <li key={pool.pool}>
            <b>{pool.pool}</b>
            <span class="places" role="img" aria-label={`${pool.busy} of ${pool.places ?? "unknown"} busy`}>
              {Array.from({ length: Math.min(64, pool.places ?? pool.busy) }, (_, place) => (
                <i key={place} class={place < pool.busy ? "busy" : ""} />
              ))}
            </span>
            <span>
              {pool.busy} of {pool.places ?? "?"} busy{pool.most === null ? "" : `, at most ${pool.most}`}
            </span>
            <span class={pool.ready > 0 ? "queue" : "hint"}>{pool.ready === 0 ? "nobody waits" : `${count(pool.ready)} wait, the oldest for ${span(pool.oldest_ms)}`}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Sources({ system }: { system: Told }) {
  return (
    <section class="part" aria-label="Sources">
      <h2>Sources</h2>
      {system.sources.length === 0 && <p class="empty">No source is set.</p>}
      <ul class="lines">
        {system.sources.map((source) => (
          <li key={source.name}>
            <b>{source.name}</b>
            <span class="stamp">{spaced(source.state)}</span>
            <span class="text">
              {source.subject} · {source.url}
            </span>
            <span>{count(source.items_published)} items</span>
            <span>{source.next_poll_ms === null ? "" : `next ${distance(source.next_poll_ms, now())}`}</span>
            {source.last_error !== null && <span class="refused">{source.last_error}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Nodes({ system }: { system: Told }) {
  return (
    <section class="part" aria-label="Nodes">
      <h2>Nodes</h2>
      {system.nodes.length === 0 && <p class="empty">No node has told of itself.</p>}
      <ul class="lines">
        {system.nodes.map((node) => (
          <li key={node.name}>
            <b>{node.name}</b>
            <span class="stamp">{spaced(node.state)}</span>
            <span class="text">
              {node.labels} {node.reason}
            </span>
            <span>{count(node.actors.length)} actors</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function branches(told: Json): preact.JSX.Element[] {
  const nodes = Array.isArray(told) ? told : [told];
  return nodes.map((node) => {
    if (node === null || typeof node !== "object" || Array.isArray(node)) return <li key={String(node)}>{String(node)}</li>;
    const { id, state, restarts, children } = node;
    return (
      <li key={String(id)}>
        <span class={state === "running" ? "up" : "refused"} aria-hidden="true">
          {state === "running" ? "●" : "▲"}
        </span>{" "}
        {String(id)} <span class="hint">{spaced(String(state ?? ""))}{typeof restarts === "number" && restarts > 0 ? `, ${restarts} restarts` : ""}</span>
        {Array.isArray(children) && children.length > 0 && <ul>{branches(children)}</ul>}
      </li>
    );
  });
}
