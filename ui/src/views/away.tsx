// Since you were away: what was found, what was decided without you, what failed, what is still asked, what it cost.

import { at, now, post, saying } from "../api";
import { clock } from "../parts/rail";
import { go, since } from "../place";
import { useLoaded } from "../state/loaded";
import type { Digest } from "../types";
import { count, distance, moment, sentence, short, spaced, span, usd } from "../words";
import { useState } from "preact/hooks";

const REACH: readonly (readonly [string, number])[] = [
  ["an hour", 3_600_000],
  ["a day", 86_400_000],
  ["a week", 604_800_000],
];

export function Away() {
  void clock.value;
  const told = useLoaded<Digest>(at("/v1/digest", { since: since.value }));
  const [note, setNote] = useState("");
  const digest = told.value;

  async function seen(): Promise<void> {
    try {
      await post("digest.seen", { cursor: digest?.cursor });
      go({ since: null }, true);
      told.again();
      setNote("From now on, this page begins here.");
    } catch (failed) {
      setNote(saying(failed));
    }
  }

  return (
    <section class="away" aria-label="Since you were away">
      <div class="view-head">
        <h1>Since you were away</h1>
        {digest !== null && <span class="hint">{digest.since_ms === 0 ? "since the beginning" : `${span(digest.until_ms - digest.since_ms)}, since ${moment(digest.since_ms)} UTC`}</span>}
        <div class="switch" role="group" aria-label="How far back">
          <button aria-pressed={since.value === null} onClick={() => go({ since: null }, true)}>
            last seen
          </button>
          {REACH.map(([word, ms]) => (
            <button key={word} aria-pressed={since.value !== null && Math.abs(now() - since.value - ms) < 600_000} onClick={() => go({ since: Math.floor(now() - ms) }, true)}>
              {word}
            </button>
          ))}
        </div>
        <button class="primary" disabled={digest === null} onClick={() => void seen()}>
          I have seen it
        </button>
      </div>
      <p role="status" class={told.error === "" ? "hint" : "refused"}>
        {told.error || note}
      </p>
      {digest !== null && <Told digest={digest} />}
    </section>
  );
}

function Told({ digest }: { digest: Digest }) {
  return (
    <>
      {!digest.whole && <p class="refused">The feed no longer holds all of that time: some of it is missing here.</p>}
      <dl class="figures">
        {(
          [
            ["spent", usd(digest.spent_usd_micros)],
            ["found", count(digest.findings.length)],
            ["decided alone", count(digest.decided_alone.length)],
            ["failed", count(digest.failures.length)],
            ["asked", count(digest.waits.length)],
            ["born", count(digest.born)],
            ["ended", count(digest.ended)],
            ["ticks", count(digest.ticks)],
          ] as const
        ).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Part title="Decided without you" empty="Nothing: whatever was asked was answered by a person, or still waits.">
        {digest.decided_alone.map((one) => (
          <Line key={`${one.id}${one.at_ms}`} id={one.id} at={one.at_ms} word={spaced(one.decision)} text={one.reason} />
        ))}
      </Part>
      <Part title="Failed" empty="Nothing failed.">
        {digest.failures.map((one) => (
          <Line key={`${one.id}${one.at_ms}`} id={one.id} at={one.at_ms} word={spaced(one.status)} text={one.reason} />
        ))}
      </Part>
      <Part title="Still asked" empty="Nobody waits for you.">
        {digest.waits.map((wait) => (
          <Line key={wait.id} id={wait.continuation} at={wait.since_ms} word={spaced(wait.kind)} text={wait.question} to="waits" />
        ))}
      </Part>
      <Part title="Found" empty="Nothing was found.">
        {digest.findings.map((finding) => (
          <Line key={finding.id} id={finding.continuation} at={finding.at_ms} word={finding.behaviour} text={finding.title} />
        ))}
      </Part>
    </>
  );
}

function Part({ title, empty, children }: { title: string; empty: string; children: preact.JSX.Element[] }) {
  return (
    <section class="part" aria-label={title}>
      <h2>
        {title} <span class="number">{children.length}</span>
      </h2>
      {children.length === 0 ? <p class="empty">{empty}</p> : <ul class="lines">{children}</ul>}
    </section>
  );
}

function Line({ id, at: when, word, text, to = "timeline" }: { id: string; at: number; word: string; text: string; to?: "timeline" | "waits" }) {
  return (
    <li>
      <time title={`${moment(when)} UTC`}>{distance(when, now())}</time>
      <span class="stamp">{word}</span>
      <span class="text">{sentence(text)}</span>
      <button class="jump" onClick={() => go({ view: to, id, tick: null })}>
        {short(id)}
      </button>
    </li>
  );
}
