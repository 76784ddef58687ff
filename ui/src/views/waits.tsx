// Waiting on you: every question that a person is asked, what happens if nobody answers and when, and the answers.

import { useEffect, useRef, useState } from "preact/hooks";
import { at, get, may, now, post, saying } from "../api";
import { clock } from "../parts/rail";
import { Glyph } from "../parts/glyph";
import { go } from "../place";
import { useLoaded } from "../state/loaded";
import { waitsBeat } from "../state/live";
import type { System, WaitItem, WaitItems, WaitVerb } from "../types";
import { jsonText } from "../inert";
import { count, distance, moment, several, short, spaced, span, usd } from "../words";

const WORD: Record<WaitVerb, string> = { reply: "Reply", approve: "Approve", deny: "Deny", rebudget: "Grant", thaw: "Thaw", kill: "Kill" };
const KEY: Partial<Record<WaitVerb, string>> = { approve: "a", deny: "d", reply: "r" };

type Said = Record<string, { ok: boolean; text: string }>;

export function Waits() {
  const [everything, setEverything] = useState(false);
  const [putOff, setPutOff] = useState(0);
  const back = putOff > 0 ? Math.floor(clock.value / BACK_MS) : 0; // what was put off comes back by itself
  const told = useLoaded<WaitItems>(at("/v1/waits", { limit: 500, snoozed: everything ? "true" : null }), waitsBeat.value + back);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [said, setSaid] = useState<Said>({});
  const items = told.value?.items ?? [];
  const snoozed = everything ? items.filter((one) => one.snoozed_until_ms !== null).length : (told.value?.snoozed ?? 0);
  useEffect(() => setPutOff(snoozed), [snoozed]);
  const many = items.filter((one) => marked.has(one.id));

  async function answer(wait: WaitItem, verb: WaitVerb, more: object = {}): Promise<void> {
    try {
      await post(`wait.${verb}`, { verb, ...(wait.binding === null ? {} : { binding: wait.binding }), ...more }, wait.id);
      setSaid((old) => ({ ...old, [wait.id]: { ok: true, text: `${WORD[verb]}: done` } }));
    } catch (failed) {
      setSaid((old) => ({ ...old, [wait.id]: { ok: false, text: saying(failed) } }));
    }
    told.again();
  }

  async function aside(wait: WaitItem, action: "wait.snooze" | "wait.delegate", body: object, done: string): Promise<void> {
    try {
      await post(action, body, wait.id);
      setSaid((old) => ({ ...old, [wait.id]: { ok: true, text: done } }));
    } catch (failed) {
      setSaid((old) => ({ ...old, [wait.id]: { ok: false, text: saying(failed) } }));
    }
    told.again();
  }

  async function answerAll(verb: WaitVerb): Promise<void> {
    for (const wait of many) if (wait.verbs.includes(verb)) await answer(wait, verb);
    setMarked(new Set());
  }

  return (
    <section class="waits" aria-label="Waiting on you">
      <div class="view-head">
        <h1>Waiting on you</h1>
        <span class="hint">{told.value === null ? "" : several(told.value.total, "question")}</span>
        {(snoozed > 0 || everything) && (
          <button class="plain" aria-pressed={everything} onClick={() => setEverything(!everything)}>
            {everything ? "Hide what is put off" : `${count(snoozed)} put off: show`}
          </button>
        )}
        {many.length > 0 && may("answer") && (
          <div class="bulk" role="toolbar" aria-label={`Answer ${many.length}`}>
            <span class="whom">{many.length} marked</span>
            <button class="primary" onClick={() => void answerAll("approve")}>
              Approve {many.length}
            </button>
            <button class="risky" onClick={() => void answerAll("deny")}>
              Deny {many.length}
            </button>
          </div>
        )}
      </div>
      <p class="refused" role="alert" hidden={told.error === ""}>
        {told.error}
      </p>
      <Answered said={said} open={items} />
      {told.value !== null && items.length === 0 && <p class="empty">Nobody waits for you.</p>}
      <ol class="inbox">
        {items.map((wait) => (
          <WaitView
            key={wait.id}
            wait={wait}
            marked={marked.has(wait.id)}
            said={said[wait.id]}
            onMark={() => setMarked(new Set(marked.has(wait.id) ? [...marked].filter((one) => one !== wait.id) : [...marked, wait.id]))}
            onAnswer={(verb, more) => void answer(wait, verb, more)}
            onSnooze={() => void aside(wait, "wait.snooze", { for_s: snoozeS(wait) }, `Put off for ${span(1_000 * snoozeS(wait))}`)}
            onHand={(to, words) => void aside(wait, "wait.delegate", { to, words }, `Handed to ${to}`)}
          />
        ))}
      </ol>
    </section>
  );
}

/** What became of answers whose question is gone. */
function Answered({ said, open }: { said: Said; open: WaitItem[] }) {
  const gone = Object.entries(said).filter(([id]) => !open.some((wait) => wait.id === id));
  return (
    <ul class="answered" role="status">
      {gone.map(([id, one]) => (
        <li key={id} class={one.ok ? "ok" : "refused"}>
          {one.ok ? "✓" : "✗"} {short(id.split("~")[0] ?? id)}: {one.text}
        </li>
      ))}
    </ul>
  );
}

interface WaitProps {
  wait: WaitItem;
  marked: boolean;
  said: { ok: boolean; text: string } | undefined;
  onMark: () => void;
  onAnswer: (verb: WaitVerb, more?: object) => void;
  onSnooze: () => void;
  onHand: (to: string, words: string) => void;
}

function WaitView({ wait, marked, said, onMark, onAnswer, onSnooze, onHand }: WaitProps) {
  const [handing, setHanding] = useState(false);
  const name = wait.name ?? `${wait.behaviour} ${short(wait.continuation)}`;
  const hurry = wait.until_ms !== null && wait.until_ms - now() < 3_600_000;
  function pressed(event: KeyboardEvent): void {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const verb = wait.verbs.find((one) => KEY[one] === event.key);
    if (event.key === "x" || event.key === " ") onMark();
    else if (event.key === "s" && may("answer")) onSnooze();
    else if (event.key === "h" && may("answer")) setHanding(true);
    else if (verb === "reply") (event.currentTarget as HTMLElement).querySelector("textarea")?.focus();
    else if (verb !== undefined && may("answer")) onAnswer(verb);
    else return;
    event.preventDefault();
  }
  return (
    <li class={`wait ${wait.kind}${marked ? " selected" : ""}`} data-wait={wait.id} tabIndex={0} aria-label={`${name} asks: ${wait.question}`} onKeyDown={pressed}>
      <div class="wait-head">
        <label class="check">
          <input type="checkbox" checked={marked} onChange={onMark} aria-label={`Mark ${name}`} />
        </label>
        <Glyph shape={wait.kind === "held" ? "held" : "asking"} />
        <button class="jump" onClick={() => go({ view: "timeline", id: wait.continuation, tick: null })}>
          {name}
        </button>
        <span class="stamp">{spaced(wait.kind)}</span>
        <span class="hint">asked {distance(wait.since_ms, now())}</span>
        {wait.escalated > 0 && <span class="stamp failed">escalated {wait.escalated}×</span>}
      </div>
      <p class="asked">{wait.question}</p>
      <p class="goal-line">{wait.goal}</p>
      <What wait={wait} />
      <p class={`fate${hurry ? " hurry" : ""}`}>
        {wait.until_ms === null ? (
          "It waits until somebody answers."
        ) : (
          <>
            <b>{distance(wait.until_ms, now())}</b> ({moment(wait.until_ms)} UTC): {wait.then || spaced(wait.on_timeout ?? "it ends")}
          </>
        )}
      </p>
      {wait.notified !== null && <p class={wait.notified.startsWith("failed") ? "refused" : "hint"}>Notification: {wait.notified}</p>}
      {wait.approvers.length > 0 && <p class="hint">For {wait.approvers.join(", ")}</p>}
      {wait.delegated_to !== null && (
        <p class="handed">
          Meant for <b>{wait.delegated_to}</b>, says {wait.delegated_by}
          {wait.words === "" ? "." : `: ${wait.words}`}
        </p>
      )}
      {wait.snoozed_until_ms !== null && <p class="hint">You put it off; it is back {distance(wait.snoozed_until_ms, now())}.</p>}
      {wait.decided_by !== null && <p class="hint">Decided by {wait.decided_by}</p>}
      {may("answer") && handing && <HandOver wait={wait} onHand={(to, words) => (setHanding(false), onHand(to, words))} onClose={() => setHanding(false)} />}
      {may("answer") ? <Answers wait={wait} onAnswer={onAnswer} onSnooze={onSnooze} handing={handing} onHanding={() => setHanding(!handing)} /> : <p class="hint">You may look, not answer.</p>}
      {said !== undefined && (
        <p class={said.ok ? "ok" : "refused"} role="alert">
          {said.text}
        </p>
      )}
    </li>
  );
}

/** Exactly what would be approved or granted. */
function What({ wait }: { wait: WaitItem }) {
  if (wait.kind === "budget") {
    const told = (amount: number | null): string => (wait.resource === "usd" ? usd(amount) : count(amount));
    return (
      <p class="what">
        It asks for {told(wait.asked_amount)} {wait.resource === "usd" ? "" : spaced(wait.resource ?? "")} and has {told(wait.free_amount)} free.
      </p>
    );
  }
  if (wait.action === null) return null;
  return (
    <figure class="what">
      <figcaption>{wait.action}</figcaption>
      <pre tabIndex={0} aria-label="Arguments">{jsonText(wait.arguments)}</pre>
    </figure>
  );
}

interface AnswersProps {
  wait: WaitItem;
  onAnswer: WaitProps["onAnswer"];
  onSnooze: () => void;
  handing: boolean;
  onHanding: () => void;
}

function Answers({ wait, onAnswer, onSnooze, handing, onHanding }: AnswersProps) {
  const [text, setText] = useState("");
  const [edited, setEdited] = useState<string | null>(null);
  const [wrong, setWrong] = useState("");
  const lacking = Math.max(1, (wait.asked_amount ?? 0) - (wait.free_amount ?? 0));
  const [grant, setGrant] = useState(`+${wait.resource === "usd" ? (Math.ceil(lacking / 1e4) / 100).toFixed(2) : lacking}`);

  function approve(): void {
    if (edited === null) return onAnswer("approve");
    try {
      onAnswer("approve", { edited: JSON.parse(edited) as unknown });
    } catch {
      setWrong("this is not JSON");
    }
  }

  return (
    <div class="answers">
      {wait.verbs.includes("reply") && (
        <form
          class="replying"
          onSubmit={(event) => {
            event.preventDefault();
            onAnswer("reply", { text });
          }}
        >
          <label>
            <span class="unseen">Reply to {wait.question}</span>
            <textarea rows={2} required placeholder="Your answer" value={text} onInput={(event) => setText((event.target as HTMLTextAreaElement).value)} />
          </label>
          <button class="primary">Reply</button>
        </form>
      )}
      {edited !== null && (
        <label class="editing">
          Arguments to approve instead
          <textarea rows={6} spellcheck={false} value={edited} onInput={(event) => (setEdited((event.target as HTMLTextAreaElement).value), setWrong(""))} />
          {wrong !== "" && <span class="refused">{wrong}</span>}
        </label>
      )}
      <div class="answer-row">
        {wait.verbs.includes("approve") && (
          <button class="primary" aria-keyshortcuts="a" onClick={approve}>
            {edited === null ? "Approve" : "Approve as edited"}
          </button>
        )}
        {wait.verbs.includes("deny") && (
          <button class="risky" aria-keyshortcuts="d" onClick={() => onAnswer("deny")}>
            Deny
          </button>
        )}
        {wait.verbs.includes("approve") && wait.action !== null && (
          <button class="plain" aria-expanded={edited !== null} onClick={() => setEdited(edited === null ? jsonText(wait.arguments) : null)}>
            {edited === null ? "Edit, then approve" : "As it was asked"}
          </button>
        )}
        {wait.verbs.includes("rebudget") && (
          <form
            class="granting"
            onSubmit={(event) => {
              event.preventDefault();
              onAnswer("rebudget", { budget: { [wait.resource ?? "usd"]: grant } });
            }}
          >
            <label>
              <span class="unseen">Grant</span>
              <input value={grant} required pattern="[+\-]?[0-9]+(\.[0-9]{1,6})?" onInput={(event) => setGrant((event.target as HTMLInputElement).value)} />
            </label>
            <button class="primary">Grant</button>
          </form>
        )}
        {wait.verbs.includes("thaw") && (
          <button class="primary" onClick={() => onAnswer("thaw")}>
            Thaw
          </button>
        )}
        {wait.verbs.includes("kill") && (
          <button class="risky" onClick={() => onAnswer("kill")}>
            Kill
          </button>
        )}
        <button class="plain" aria-keyshortcuts="s" onClick={onSnooze}>
          Snooze {span(1_000 * snoozeS(wait))}
        </button>
        <button class="plain" aria-keyshortcuts="h" aria-expanded={handing} onClick={onHanding}>
          Hand over
        </button>
      </div>
    </div>
  );
}

/** To whom, and a word with it: whoever may answer still may. */
function HandOver({ wait, onHand, onClose }: { wait: WaitItem; onHand: WaitProps["onHand"]; onClose: () => void }) {
  const [to, setTo] = useState("");
  const [words, setWords] = useState("");
  const [there, setThere] = useState<string[]>([]);
  const first = useRef<HTMLInputElement>(null);
  const list = `there-${wait.id}`;
  useEffect(() => {
    first.current?.focus();
    get<System>("/v1/system").then((told) => setThere(told.presence), () => undefined);
  }, []);
  return (
    <form
      class="handing"
      onSubmit={(event) => {
        event.preventDefault();
        onHand(to, words);
      }}
      onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onClose())}
    >
      <label>
        Hand over to
        <input ref={first} list={list} required maxLength={120} autocomplete="off" value={to} onInput={(event) => setTo((event.target as HTMLInputElement).value)} />
        <datalist id={list}>
          {there.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </label>
      <label>
        With the words
        <input maxLength={500} autocomplete="off" value={words} onInput={(event) => setWords((event.target as HTMLInputElement).value)} />
      </label>
      <button class="primary">Hand over</button>
    </form>
  );
}

const SNOOZE_S = 3_600;
const LEAST_S = 60;
const BACK_MS = 15_000;

/** An hour, or half of what is left. */
function snoozeS(wait: WaitItem): number {
  const leftS = wait.until_ms === null ? Infinity : (wait.until_ms - now()) / 1_000;
  return leftS > SNOOZE_S ? SNOOZE_S : Math.max(LEAST_S, Math.floor(leftS / 2 / LEAST_S) * LEAST_S);
}
