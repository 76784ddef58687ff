// The dialog of a control: whom it is for by a dry run's count, what is lost, what it needs to know; then a result for each.

import { useEffect, useState } from "preact/hooks";
import { at, get, post, saying } from "../api";
import { type Acting, acting, bulk, called, deselect, type Target } from "../state/acts";
import type { BulkDone, ForkCost, System } from "../types";
import { count, several, usd } from "../words";
import { Dialog } from "./dialog";

type Fields = Record<string, string>;
const FIRST: Fields = { share: "50", amount: "+0.50", resource: "usd", children: "", to: "", reason: "", into: "", tree: "", stay: "" };

export function ActingDialog() {
  return acting.value === null ? null : <Open key={JSON.stringify(acting.value)} what={acting.value} />;
}

function Open({ what }: { what: Acting }) {
  const [dry, setDry] = useState<BulkDone | null>(null);
  const [done, setDone] = useState<BulkDone | null>(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const [fields, setFields] = useState<Fields>({ ...FIRST, into: "ids" in what.target && what.target.ids.length > 1 ? (what.target.ids[0] ?? "") : "" });
  const close = (): void => void (acting.value = null);
  const { act, target } = what;

  useEffect(() => {
    bulk(act.verb, whom(what, fields), { ...orders(what, fields), dry_run: true }).then(setDry, (failed: unknown) => setError(saying(failed)));
  }, [fields.into, fields.children]);

  async function carryOut(): Promise<void> {
    setBusy(true);
    setError("");
    try {
      setDone(await carriedOut(what, fields, dry?.count ?? 0));
      deselect();
    } catch (failed) {
      setError(saying(failed));
    } finally {
      setBusy(false);
    }
  }

  const title = `${act.word} ${dry === null ? "…" : dry.count === 1 && "ids" in target ? called(target.ids[0] ?? "") : several(dry.count, "continuation")}`;
  if (done !== null) return <Results word={act.word} done={done} onClose={close} />;
  return (
    <Dialog title={title} onClose={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void carryOut();
        }}
      >
        <p class="does">{act.does}</p>
        {dry !== null && <Loses verb={act.verb} dry={dry} />}
        <Asked what={what} fields={fields} set={(name, value) => setFields((old) => ({ ...old, [name]: value }))} />
        {error !== "" && (
          <p class="refused" role="alert">
            {error}
          </p>
        )}
        <footer>
          <button type="button" class="plain" data-first={act.risky ? true : undefined} onClick={close}>
            Keep as it is
          </button>
          <button type="submit" class={act.risky ? "risky" : "primary"} data-first={act.risky ? undefined : true} disabled={busy || dry === null || dry.count === 0}>
            {busy ? "…" : `${act.word} ${dry === null || dry.count === 1 ? "" : count(dry.count)}`.trim()}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

/** What ends with it, in words; nothing where nothing does. */
function Loses({ verb, dry }: { verb: string; dry: BulkDone }) {
  if (!["kill", "cancel", "merge"].includes(verb)) return dry.count > 1 ? <p class="counted">{several(dry.count, "continuation")} by a dry run just now.</p> : null;
  const { unread = 0, children = 0, free_usd_micros = 0 } = dry.loses;
  return (
    <div class="loses">
      <h3>What is lost</h3>
      <ul>
        <li>{verb === "merge" ? `${several(dry.count, "continuation")}, which end` : `${several(dry.count, "continuation")} and the tick it may be in`}</li>
        <li>{several(unread, "unread message")} that nobody will read</li>
        <li>{several(children, "living child", "living children")} {verb === "merge" ? "that change their parent" : "that end with it, or are left, as you say below"}</li>
        <li>{usd(free_usd_micros)} unspent {verb === "merge" ? "goes to the one that stays" : "goes back to whoever granted it"}</li>
      </ul>
      <p class="kept">Findings, log and what was spent stay.</p>
    </div>
  );
}

interface AskedProps {
  what: Acting;
  fields: Fields;
  set: (name: string, value: string) => void;
}

function Asked({ what, fields, set }: AskedProps) {
  const field = (name: string) => ({ id: `act-${name}`, name, value: fields[name] ?? "", onInput: (event: Event) => set(name, (event.target as HTMLInputElement).value) });
  const ids = "ids" in what.target ? what.target.ids : [];
  switch (what.act.verb) {
    case "fork":
      return (
        <>
          <label>
            Share of what is free, in per cent
            <input type="number" min="0" max="100" required {...field("share")} />
          </label>
          {ids.length === 1 && <ForkPreview id={ids[0] ?? ""} share={Number(fields["share"]) / 100} at={what.at} />}
        </>
      );
    case "rebudget":
      return (
        <div class="pair">
          <label>
            Change
            <input required pattern="[+\-]?[0-9]+(\.[0-9]{1,6})?" title="such as +0.50, -1 or 2.00" {...field("amount")} />
          </label>
          <label>
            Of
            <select {...field("resource")}>
              {["usd", "tokens", "expensive_model_calls", "cheap_model_calls", "human.approvals", "human.reviews"].map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
          <p class="hint">+ grants more, − takes back what is free, a bare number sets it.</p>
        </div>
      );
    case "merge":
      return (
        <label>
          Into
          {ids.length > 1 ? (
            <select {...field("into")}>
              {ids.map((id) => (
                <option key={id} value={id}>
                  {called(id)}
                </option>
              ))}
            </select>
          ) : (
            <input required placeholder="id of the one that stays" {...field("into")} />
          )}
        </label>
      );
    case "migrate":
      return <ToNode field={field("to")} />;
    case "kill":
    case "cancel":
      return (
        <label>
          Its children
          <select {...field("children")}>
            <option value="">as they were spawned</option>
            <option value="stop">end with it</option>
            <option value="orphan">go on without a parent</option>
            <option value="adopt">go to its parent</option>
          </select>
        </label>
      );
    case "freeze":
    case "thaw":
      return (
        <>
          <label class="check">
            <input type="checkbox" checked={fields["tree"] === "yes"} onChange={(event) => set("tree", (event.target as HTMLInputElement).checked ? "yes" : "")} /> with its descendants
          </label>
          <label>
            Reason
            <input placeholder="shown wherever somebody asks why" {...field("reason")} />
          </label>
        </>
      );
    default:
      return null;
  }
}

function ToNode({ field }: { field: { id: string; name: string; value: string; onInput: (event: Event) => void } }) {
  const [nodes, setNodes] = useState<string[]>([]);
  useEffect(() => void get<System>("/v1/system").then((told) => setNodes(told.nodes.map((node) => node.name)), () => undefined), []);
  return (
    <label>
      To node
      <input list="nodes" placeholder="one that is chosen" {...field} />
      <datalist id="nodes">
        {nodes.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  );
}

/** What a fork would take, before it is asked for. */
function ForkPreview({ id, share, at: tick }: { id: string; share: number; at: number | undefined }) {
  const [cost, setCost] = useState<ForkCost | string>("");
  useEffect(() => {
    if (!(share >= 0 && share <= 1)) return setCost("");
    const stop = new AbortController();
    get<ForkCost>(at(`/v1/continuations/${id}/fork`, { at: tick, share }), stop.signal).then(setCost, (failed: unknown) => !stop.signal.aborted && setCost(saying(failed)));
    return () => stop.abort();
  }, [id, share, tick]);
  if (typeof cost === "string") return cost === "" ? null : <p class="refused">{cost}</p>;
  return (
    <dl class="preview" aria-live="polite">
      <dt>From</dt>
      <dd>after tick {cost.at}</dd>
      <dt>It gets</dt>
      <dd>{amounts(cost.grant)}</dd>
      <dt>Left here</dt>
      <dd>{amounts(cost.left)}</dd>
      <dt>Not paid again</dt>
      <dd>{several(cost.ticks_not_repeated, "tick")} that the copy has behind it</dd>
    </dl>
  );
}

function amounts(told: Record<string, number>): string {
  const parts = Object.entries(told).map(([name, amount]) => (name === "usd" ? usd(amount) : `${count(amount)} ${name.replaceAll("_", " ")}`));
  return parts.join(", ") || "nothing: no limit is set";
}

/** What the API is told beside the verb and whom it is for. */
function orders(what: Acting, fields: Fields): Record<string, unknown> {
  switch (what.act.verb) {
    case "fork":
      return { share: Number(fields["share"]) / 100 };
    case "rebudget":
      return { budget: { [fields["resource"] ?? "usd"]: fields["amount"] } };
    case "merge":
      return { into: fields["into"] || undefined };
    case "migrate":
      return fields["to"] ? { to: fields["to"] } : {};
    case "kill":
    case "cancel":
      return fields["children"] ? { children: fields["children"] } : {};
    case "freeze":
    case "thaw":
      return { tree: fields["tree"] === "yes", reason: fields["reason"] };
    default:
      return {};
  }
}

/** Those that it is done to: of a merge, all but the one that stays. */
function whom(what: Acting, fields: Fields): Target {
  return what.act.verb === "merge" && "ids" in what.target ? { ids: what.target.ids.filter((id) => id !== fields["into"]) } : what.target;
}

async function carriedOut(what: Acting, fields: Fields, expect: number): Promise<BulkDone> {
  if (what.act.verb === "fork" && what.at !== undefined && "ids" in what.target) {
    const id = what.target.ids[0] ?? "";
    const made = await post<{ made: string | null }>("fork.tick", { at: what.at, share: Number(fields["share"]) / 100 }, id);
    return { verb: "fork", dry_run: false, count: 1, loses: {}, ok: 1, failed: 0, items: [{ id, ok: true, made: made.made, error: null }] };
  }
  return bulk(what.act.verb, whom(what, fields), { ...orders(what, fields), expect });
}

function Results({ word, done, onClose }: { word: string; done: BulkDone; onClose: () => void }) {
  useEffect(() => {
    if (done.failed > 0) return;
    const leave = setTimeout(onClose, done.count === 1 ? 1_600 : 6_000);
    return () => clearTimeout(leave);
  }, []);
  return (
    <Dialog title={`${word}: ${count(done.ok)} done${done.failed > 0 ? `, ${count(done.failed)} refused` : ""}`} onClose={onClose}>
      <ul class="results">
        {done.items.slice(0, 200).map((item) => (
          <li key={item.id} class={item.ok ? "ok" : "no"}>
            <b>{item.ok ? "✓" : "✗"}</b> {called(item.id)}
            {item.made !== null && item.made !== undefined && <span> {"→"} {item.made}</span>}
            {item.error && <span class="refused"> {item.error.message}{item.error.hint ? ` — ${item.error.hint}` : ""}</span>}
          </li>
        ))}
      </ul>
      {done.items.length > 200 && <p class="hint">and {count(done.items.length - 200)} more</p>}
      <footer>
        <button class="primary" data-first onClick={onClose}>
          Done
        </button>
      </footer>
    </Dialog>
  );
}
