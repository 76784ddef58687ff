// One continuation through time: its ticks, what woke each, what it asked of models and tools, what it cost, why it slept.

import { useEffect, useState } from "preact/hooks";
import { at, get, may, now, saying } from "../api";
import { BudgetBar, budgetWords } from "../parts/bar";
import { Chart } from "../parts/chart";
import { Glyph, shapeOf, wordOf } from "../parts/glyph";
import { clock } from "../parts/rail";
import { nameOf } from "../parts/strip";
import { Voice } from "../parts/voice";
import { chosen, go, tick as tickLooked } from "../place";
import { begin } from "../state/acts";
import { useLoaded } from "../state/loaded";
import { chosenBeat } from "../state/live";
import { know } from "../state/swarm";
import type { Account, Continuation, Json, TickSeen, Timeline as Told } from "../types";
import { deliveryOf } from "../delivery";
import { jsonText } from "../inert";
import { clock as clockOf, count, day, distance, moment, sentence, several, short, spaced, span, usd } from "../words";

const PAGE = 60;

export function Timeline() {
  void clock.value;
  const id = chosen.value;
  const whole = useLoaded<Continuation>(id === null ? null : `/v1/continuations/${id}`, chosenBeat.value);
  const told = useLoaded<Told>(id === null ? null : at(`/v1/continuations/${id}/timeline`, { limit: PAGE }), chosenBeat.value);
  const [older, setOlder] = useState<{ id: string | null; items: TickSeen[]; next: number | null }>({ id: null, items: [], next: null });
  const [note, setNote] = useState("");
  useEffect(() => {
    if (whole.value !== null) know(whole.value.row);
  }, [whole.value]);
  if (id === null) {
    return (
      <section aria-label="Timeline">
        <div class="view-head">
          <h1>Timeline</h1>
        </div>
        <p class="empty">Choose a continuation in the swarm: here is what it did, tick by tick, and why.</p>
      </section>
    );
  }
  const items = joined(told.value?.items ?? [], older.id === id ? older.items : []);
  const next = older.id === id ? older.next : (told.value?.next_before ?? null);

  async function readOn(): Promise<void> {
    try {
      const page = await get<Told>(at(`/v1/continuations/${id}/timeline`, { limit: PAGE, before: next }));
      setOlder({ id, items: [...(older.id === id ? older.items : []), ...page.items], next: page.next_before });
    } catch (failed) {
      setNote(saying(failed));
    }
  }

  return (
    <section class="timeline" aria-label="Timeline">
      {whole.value !== null && <Head told={whole.value} />}
      {whole.value !== null && whole.value.row.group !== "finished" && <Voice key={id} id={id} />}
      <p class="refused" role="alert" hidden={whole.error === "" && told.error === "" && note === ""}>
        {whole.error || told.error || note}
      </p>
      {items.length > 1 && <Money items={items} />}
      <ol class="ticks">
        {items.map((seen, place) => (
          <TickView key={seen.rev} id={id} seen={seen} before={items[place + 1]} after={items[place - 1]} />
        ))}
      </ol>
      {next !== null && (
        <button class="plain wide" onClick={() => void readOn()}>
          Earlier ticks
        </button>
      )}
    </section>
  );
}

function joined(newest: TickSeen[], older: TickSeen[]): TickSeen[] {
  const there = new Set(newest.map((one) => one.rev));
  return [...newest, ...older.filter((one) => !there.has(one.rev))];
}

function Head({ told }: { told: Continuation }) {
  const { row, show } = told;
  const [open, setOpen] = useState(false);
  const delivery = deliveryOf(told);
  return (
    <div class="c-head">
      <div class="view-head">
        <Glyph shape={shapeOf(row)} />
        <h1>{nameOf(row)}</h1>
        <span class={`stamp ${shapeOf(row)}`}>{wordOf(row)}</span>
        <code class="hint">{row.id}</code>
      </div>
      <p class="goal-line">{row.goal}</p>
      <p class="why-line">{sentence(row.reason)}</p>
      <dl class="facts">
        <Fact name="behaviour">
          {row.behaviour} v{show.behaviour_version}
        </Fact>
        <Fact name="tick">{row.rev}</Fact>
        <Fact name="born">{distance(row.created_at_ms, now())}</Fact>
        <Fact name="last change">{distance(row.updated_at_ms, now())}</Fact>
        {row.next_wake_ms !== null && <Fact name="next wake">{distance(row.next_wake_ms, now())}</Fact>}
        <Fact name="where">{row.actor ?? `asleep, pool ${row.pool}`}</Fact>
        {row.parent !== null && (
          <Fact name="parent">
            <Jump id={row.parent} />
          </Fact>
        )}
        {delivery !== null && (
          <Fact name="delivery">
            <span class={`stamp ${delivery.shape}`}>{delivery.word}</span> {delivery.error}
          </Fact>
        )}
        {show.forked_from !== null && (
          <Fact name="forked from">
            <Jump id={show.forked_from.id} />, tick {show.forked_from.rev}
          </Fact>
        )}
        <Fact name="children">{row.children === 0 ? "none" : show.children.slice(0, 8).map((child) => <Jump key={child.id} id={child.id} />)}</Fact>
      </dl>
      <ul class="budgets" aria-label="Budget">
        {Object.entries(show.budget).map(([name, account]) => (
          <li key={name}>
            <span class="resource">{spaced(name)}</span>
            <BudgetBar account={account} />
            <span class="amount">{name === "usd" ? budgetWords(account) : counted(account)}</span>
          </li>
        ))}
      </ul>
      <button class="plain" aria-expanded={open} onClick={() => setOpen(!open)}>
        {open ? "▾" : "▸"} State, input, result
      </button>
      {open && (
        <div class="insides">
          {(["state", "input", "result"] as const).map((part) => (
            <figure key={part}>
              <figcaption>{part}</figcaption>
              <pre tabIndex={0}>{jsonText(show[part] as Json)}</pre>
            </figure>
          ))}
        </div>
      )}
    </div>
  );
}

function counted(account: Account): string {
  return account.granted === null ? `${count(account.spent)} used, no limit` : `${count(account.spent)} of ${count(account.granted)}`;
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Jump({ id }: { id: string }) {
  return (
    <button class="jump" onClick={() => go({ view: "timeline", id, tick: null })}>
      {short(id)}
    </button>
  );
}

/** What it has spent in all, tick by tick. */
function Money({ items }: { items: TickSeen[] }) {
  const oldest = [...items].reverse();
  return (
    <Chart
      label={`Money spent up to each tick: ${usd(oldest[0]?.spent_usd_micros)} to ${usd(items[0]?.spent_usd_micros)}`}
      x={oldest.map((seen) => seen.rev)}
      series={[{ name: "spent", values: oldest.map((seen) => seen.spent_usd_micros / 1e6) }]}
      stepped
      height={110}
    />
  );
}

interface TickProps {
  id: string;
  seen: TickSeen;
  before: TickSeen | undefined;
  after: TickSeen | undefined;
}

function TickView({ id, seen, before, after }: TickProps) {
  const looked = tickLooked.value === seen.rev;
  const asleep = before === undefined ? 0 : seen.at_ms - before.at_ms;
  const money = seen.charges["usd"] ?? seen.calls.reduce((sum, call) => sum + call.usd_micros, 0);
  useEffect(() => {
    if (looked) document.getElementById(`tick-${seen.rev}`)?.scrollIntoView({ block: "nearest" });
  }, [looked]);
  const newDay = after === undefined || day(after.at_ms) !== day(seen.at_ms);
  return (
    <li id={`tick-${seen.rev}`} class={`tick${looked ? " looked" : ""}${seen.decided_alone !== null ? " alone" : ""}`}>
      {newDay && <p class="day">{day(seen.at_ms)}</p>}
      <div class="tick-body">
        <div class="tick-head">
          <span class="rev">{seen.rev}</span>
          <time title={`${moment(seen.at_ms)} UTC`}>{clockOf(seen.at_ms)}</time>
          <span class="woken">
            {seen.woken_by === null ? "born" : `woken by ${spaced(seen.woken_by)}`}
            {seen.subject ? ` ${seen.subject}` : ""}
            {seen.woken_from ? <span class="from"> from {seen.woken_from}</span> : null}
          </span>
          <span class="money">{money > 0 ? usd(money) : ""}</span>
        </div>
        {seen.calls.length > 0 && (
          <ul class="calls">
            {seen.calls.map((call) => (
              <li key={call.ordinal}>
                <span class={`outcome ${call.outcome}`}>{call.kind}</span> {call.decision !== null && <span class="decision">{call.decision}</span>}
                <span class="outcome-word">{spaced(call.outcome)}</span>
                {call.tokens > 0 && <span>{several(call.tokens, "token")}</span>}
                {call.usd_micros > 0 && <span>{usd(call.usd_micros)}</span>}
              </li>
            ))}
          </ul>
        )}
        {seen.directives.length > 0 && <p class="did">{seen.directives.map(spaced).join(" · ")}</p>}
        <p class="then">{sentence(seen.reason)}</p>
        {seen.decided_alone !== null && <p class="alone-note">Decided alone: {seen.decided_alone}</p>}
        <p class="tick-verbs">
          <button class="plain" aria-pressed={looked} onClick={() => go({ tick: looked ? null : seen.rev }, true)}>
            {looked ? "Back to now" : "As it was then"}
          </button>
          {may("steer") && (
            <button class="plain" onClick={() => begin("fork", { ids: [id] }, seen.rev)}>
              Fork from here
            </button>
          )}
        </p>
      </div>
      {asleep > 60_000 && <p class="gap">{span(asleep)} asleep</p>}
    </li>
  );
}
