// The right rail: what the chosen continuation holds to be relevant, by the API's own rows, and the verbs on each; or, where
// the timeline looks at a tick, what the model saw then, which nobody can change any more.

import { useState } from "preact/hooks";
import type { FieldVerb } from "../actions";
import { at, may, post, saying } from "../api";
import { chosen, go, tick } from "../place";
import { useLoaded } from "../state/loaded";
import { chosenBeat } from "../state/live";
import { beat, rows } from "../state/swarm";
import type { FieldRow, FieldSeen } from "../types";
import { count, moment, span } from "../words";
import { nameOf } from "./strip";

const STEP = 20;

export function FieldRail() {
  const id = chosen.value;
  const [top, setTop] = useState(STEP);
  const [note, setNote] = useState("");
  const [gone, setGone] = useState<FieldRow[]>([]);
  const field = useLoaded<FieldSeen>(id === null ? null : at(`/v1/continuations/${id}/field`, { top, at: tick.value }), tick.value === null ? chosenBeat.value : 0);
  void beat.value;
  const row = id === null ? undefined : rows.get(id);
  const items = field.value?.items ?? [];
  const most = Math.max(1e-9, ...items.map((entry) => entry.weight ?? 0));

  async function edit(verb: FieldVerb, entry: FieldRow): Promise<void> {
    if (id === null) return;
    try {
      await post(`field.${verb}`, { commands: `${verb} #${entry.id.replace(/^#/, "")}` }, id);
      setNote(`${verb}: ${entry.title || entry.id}`);
      if (verb === "remove" || verb === "hide") setGone((old) => [...old.filter((one) => one.id !== entry.id), entry]);
      if (verb === "restore") setGone((old) => old.filter((one) => one.id !== entry.id));
      field.again();
    } catch (failed) {
      setNote(saying(failed));
    }
  }

  return (
    <aside class="rail field" aria-label="Context field">
      <div class="rail-head">
        <h2>Field</h2>
        {row !== undefined && <span class="hint">{nameOf(row)}</span>}
      </div>
      <div class="scroller" tabIndex={0} role="region" aria-label="Entries of the field">
        {id === null && <p class="empty">Choose a continuation: here is what it holds to be relevant, and why.</p>}
        {tick.value !== null && field.value !== null && <Then seen={field.value} asked={tick.value} />}
        {id !== null && field.error !== "" && <p class="refused">{field.error}</p>}
        {field.value !== null && items.length === 0 && tick.value === null && <p class="empty">Nothing is in its field yet.</p>}
        <ol class="entries">
          {items.map((entry, place) => (
            <EntryView key={entry.id} entry={entry} place={place + 1} most={most} onEdit={tick.value === null ? edit : null} />
          ))}
        </ol>
        {items.length >= top && (
          <button class="plain wide" onClick={() => setTop(top + STEP)}>
            {STEP} more
          </button>
        )}
        {gone.length > 0 && tick.value === null && (
          <section class="gone" aria-label="Taken out just now">
            <h3>Taken out just now</h3>
            {gone.map((entry) => (
              <p key={entry.id}>
                {entry.title || entry.id}{" "}
                <button class="plain" onClick={() => void edit("restore", entry)}>
                  Restore
                </button>
              </p>
            ))}
          </section>
        )}
      </div>
      <p class="said" role="status">
        {note}
      </p>
    </aside>
  );
}

interface EntryProps {
  entry: FieldRow;
  place: number;
  most: number;
  /** null: it is as it was, and stays so. */
  onEdit: ((verb: FieldVerb, entry: FieldRow) => Promise<void>) | null;
}

/** Which call it was that saw this. */
function Then({ seen, asked }: { seen: FieldSeen; asked: number }) {
  const rev = seen.then?.rev ?? null;
  return (
    <div class="then" role="note">
      <p>
        {rev === null ? `No model was asked up to tick ${asked}.` : `What the model saw in tick ${rev}${rev === asked ? "" : `, the last call up to tick ${asked}`}, ${moment(seen.at_ms)} UTC.`}
        {rev !== null && seen.items.length === 0 && " Nothing of the field was in it."}
      </p>
      {rev !== null && (
        <p class="hint">
          {count(seen.then?.tokens)} tokens in all{seen.then?.left_out ? `, ${count(seen.then.left_out)} entries had no room` : ""}
        </p>
      )}
      <button class="plain" onClick={() => go({ tick: null }, true)}>
        Back to now
      </button>
    </div>
  );
}

function EntryView({ entry, place, most, onEdit }: EntryProps) {
  const pinned = entry.state === "pinned";
  const verbs: FieldVerb[] = [pinned ? "unpin" : "pin", entry.view === "full" ? "collapse" : "expand", "hide", "remove"];
  return (
    <li class={`entry ${entry.state}${entry.taint === "untrusted" ? " untrusted" : ""}`} data-entry={entry.id}>
      <div class="entry-head">
        <span class="place">{pinned ? "◆" : place}</span>
        <b>{entry.title || entry.id}</b>
      </div>
      {entry.body !== "" && entry.body !== entry.title && <p class="entry-body">{entry.body}</p>}
      <div class="weight" aria-hidden="true" hidden={onEdit === null}>
        <span style={{ width: `${pinned ? 100 : (100 * (entry.weight ?? 0)) / most}%` }} />
      </div>
      <p class="entry-facts">
        {entry.score !== null && <span title="score when it was ranked">score {entry.score.toFixed(2)}</span>}
        {onEdit !== null && <span title="weight now, after decay">{entry.weight === null ? "pinned" : `weight ${entry.weight < 0.01 ? entry.weight.toExponential(1) : entry.weight.toFixed(2)}`}</span>}
        {entry.age_ms !== null && <span>{span(entry.age_ms)} old</span>}
        <span>{entry.source}</span>
        {entry.view !== "full" && <span>{entry.view}</span>}
        {entry.taint === "untrusted" && <span class="taint">untrusted</span>}
      </p>
      <p class="entry-reason">{entry.reason}</p>
      {onEdit !== null && may("steer") && (
        <div class="entry-verbs" role="group" aria-label={`Edit ${entry.title || entry.id}`}>
          {verbs.map((verb) => (
            <button key={verb} class="plain" onClick={() => void onEdit(verb, entry)}>
              {verb}
            </button>
          ))}
        </div>
      )}
    </li>
  );
}

