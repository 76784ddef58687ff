// The notebook: what was found, by whom, on what evidence, at what cost; a person accepts, rejects, orders and notes.

import { useState } from "preact/hooks";
import { at, get, may, now, post, saying } from "../api";
import { chosen, go, leading } from "../place";
import { clock } from "../parts/rail";
import { useLoaded } from "../state/loaded";
import { findingsBeat } from "../state/live";
import type { Finding, Findings as Told } from "../types";
import { distance, moment, several, short, usd } from "../words";

const PAGE = 50;
const WHOSE = ["all", "new", "accepted", "rejected", "superseded"] as const;

export function Findings() {
  void clock.value;
  const [whose, setWhose] = useState<(typeof WHOSE)[number]>("all");
  const [mine, setMine] = useState(false);
  const [further, setFurther] = useState<Finding[]>([]);
  const [note, setNote] = useState("");
  const query = { limit: PAGE, status: whose === "all" ? null : whose, continuation: mine ? chosen.value : null };
  const told = useLoaded<Told>(at("/v1/findings", query), findingsBeat.value);
  const [cursor, setCursor] = useState<string | null | undefined>(undefined);
  const first = told.value?.items ?? [];
  const items = [...first, ...further.filter((one) => !first.some((other) => other.id === one.id))];
  const next = cursor === undefined ? (told.value?.next_cursor ?? null) : cursor;

  async function mark(finding: Finding, change: Change): Promise<void> {
    try {
      await post("place" in change ? "finding.place" : "note" in change ? "finding.note" : "finding.status", change, finding.id);
      setNote("");
      setFurther([]);
      setCursor(undefined);
      told.again();
    } catch (failed) {
      setNote(saying(failed));
    }
  }

  /** It stands between two others, or before the first. */
  function move(place: number, by: -1 | 1): void {
    const finding = items[place];
    const there = items[place + by];
    if (finding === undefined || there === undefined) return;
    const beyond = items[place + 2 * by];
    const [a, b] = [placeOf(there), beyond === undefined ? placeOf(there) + by : placeOf(beyond)];
    void mark(finding, { place: (a + b) / 2 });
  }

  async function readOn(): Promise<void> {
    const page = await get<Told>(at("/v1/findings", { ...query, cursor: next }));
    setFurther([...further, ...page.items]);
    setCursor(page.next_cursor);
  }

  return (
    <section class="notebook" aria-label="Findings">
      <div class="view-head">
        <h1>Findings</h1>
        <span class="hint">{told.value === null ? "" : several(told.value.total, "finding")}</span>
        <div class="switch" role="group" aria-label="Which findings">
          {WHOSE.map((one) => (
            <button key={one} aria-pressed={whose === one} onClick={() => (setWhose(one), setFurther([]), setCursor(undefined))}>
              {one}
            </button>
          ))}
        </div>
        {chosen.value !== null && (
          <label class="check">
            <input type="checkbox" checked={mine} onChange={() => setMine(!mine)} /> of the chosen one only
          </label>
        )}
      </div>
      <p class="refused" role="alert" hidden={note === "" && told.error === ""}>
        {note || told.error}
      </p>
      {told.value !== null && items.length === 0 && <p class="empty">Nothing was found yet. A finding appears here the moment its tick is committed.</p>}
      <ol class="findings">
        {items.map((finding, place) => (
          <Leaf
            key={finding.id}
            finding={finding}
            onMark={(change) => void mark(finding, change)}
            onUp={place > 0 ? () => move(place, -1) : null}
            onDown={place < items.length - 1 ? () => move(place, 1) : null}
          />
        ))}
      </ol>
      {next !== null && (
        <button class="plain wide" onClick={() => void readOn()}>
          Older ones
        </button>
      )}
    </section>
  );
}

/** Where it stands: by a person's word, else by its time, the newest first. */
function placeOf(finding: Finding): number {
  return finding.place ?? -finding.at_ms;
}

/** One of a person's marks. */
type Change = { status: Finding["status"] } | { note: string } | { place: number };

interface LeafProps {
  finding: Finding;
  onMark: (change: Change) => void;
  onUp: (() => void) | null;
  onDown: (() => void) | null;
}

export function Leaf({ finding, onMark, onUp, onDown }: LeafProps) {
  const [noting, setNoting] = useState(false);
  const [text, setText] = useState(finding.note);
  const marks = [
    ["accepted", "Accept"],
    ["rejected", "Reject"],
    ["new", "Undecided"],
  ] as const;
  return (
    <li class={`finding ${finding.status}`} data-finding={finding.id}>
      <article>
        <p class="when">
          <time title={`${moment(finding.at_ms)} UTC`}>{distance(finding.at_ms, now())}</time>
          <span class={`stamp ${finding.status}`}>{finding.status}</span>
        </p>
        <h2>{finding.title}</h2>
        {finding.body !== "" && <p class="prose">{finding.body}</p>}
        {finding.note !== "" && !noting && (
          <p class="margin-note">
            {finding.note}
            {finding.marked_by !== null && <cite> {finding.marked_by}</cite>}
          </p>
        )}
        {noting && (
          <form
            class="noting"
            onSubmit={(event) => {
              event.preventDefault();
              setNoting(false);
              onMark({ note: text });
            }}
          >
            <label>
              Note
              <textarea rows={3} value={text} onInput={(event) => setText((event.target as HTMLTextAreaElement).value)} />
            </label>
            <button class="primary">Keep note</button>
          </form>
        )}
        <Provenance finding={finding} />
        {may("steer") && (
          <div class="leaf-verbs" role="group" aria-label={`Mark ${finding.title}`}>
            {marks
              .filter(([status]) => status !== finding.status)
              .map(([status, word]) => (
                <button key={status} class="plain" onClick={() => onMark({ status })}>
                  {word}
                </button>
              ))}
            <button class="plain" aria-expanded={noting} onClick={() => setNoting(!noting)}>
              {finding.note === "" ? "Note" : "Edit note"}
            </button>
            <button class="plain" disabled={onUp === null} aria-label={`Move up: ${finding.title}`} onClick={() => onUp?.()}>
              ↑
            </button>
            <button class="plain" disabled={onDown === null} aria-label={`Move down: ${finding.title}`} onClick={() => onDown?.()}>
              ↓
            </button>
          </div>
        )}
      </article>
    </li>
  );
}

/** Who found it, in which tick, on what, how sure, at what cost. Links are text: nothing of a finding is loaded. */
function Provenance({ finding }: { finding: Finding }) {
  return (
    <dl class="provenance">
      <dt>by</dt>
      <dd>
        <a
          href={leading({ view: "timeline", id: finding.continuation, tick: finding.rev })}
          onClick={(event) => (event.preventDefault(), go({ view: "timeline", id: finding.continuation, tick: finding.rev }))}
        >
          {finding.behaviour} {short(finding.continuation)}
          {finding.rev !== null && `, tick ${finding.rev}`}
        </a>
      </dd>
      <dt>for</dt>
      <dd>{finding.goal}</dd>
      <dt>on</dt>
      <dd>{finding.evidence.length === 0 && finding.links.length === 0 ? "no evidence" : [...finding.links, ...finding.evidence].map((one) => <code key={one}>{one}</code>)}</dd>
      <dt>sure</dt>
      <dd>{finding.confidence === null ? "not said" : finding.confidence.toFixed(2)}</dd>
      <dt>cost</dt>
      <dd>
        {usd(finding.cost_usd_micros)}
        {finding.tier !== null && `, ${finding.tier}`}
      </dd>
      {finding.supersedes !== null && (
        <>
          <dt>instead of</dt>
          <dd>{finding.supersedes}</dd>
        </>
      )}
    </dl>
  );
}
