// The top bar: what the swarm spends and does, where one is, what is searched, and whether the line is live.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { locked, me } from "../api";
import { chosen, go, leading, searched, type View, view } from "../place";
import { alarm } from "../state/live";
import { complete, counts, spent } from "../state/swarm";
import { line } from "../stream";
import { count, short, usd } from "../words";
import { Glyph, type Shape } from "./glyph";
import { type Group } from "../types";

export const TABS: readonly (readonly [View, string, string])[] = [
  ["findings", "Findings", "1"],
  ["timeline", "Timeline", "2"],
  ["waits", "Waiting on you", "3"],
  ["away", "Since you were away", "4"],
  ["costs", "Costs", "5"],
  ["system", "System", "6"],
];
/** Shown as tabs where there is room for one rail only. */
const NARROW: readonly (readonly [View, string, string])[] = [
  ["swarm", "Swarm", "7"],
  ["field", "Field", "8"],
];
const SHOWN: readonly (readonly [Group, Shape, string])[] = [
  ["thinking", "thinking", "thinking"],
  ["sleeping", "sleeping", "sleeping"],
  ["waiting_on_you", "asking", "waiting on you"],
  ["finished", "completed", "finished"],
];
const LINES = { live: "live", joining: "joining", paused: "paused", cut: "cut off" } as const;

export const theme = signal<string>(localStorage.getItem("maestro.theme") ?? "auto");
export const helping = signal(false);

export function turnTheme(): void {
  const dark = theme.value === "dark" || (theme.value === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  theme.value = dark ? "light" : "dark";
  localStorage.setItem("maestro.theme", theme.value);
}

export function Top() {
  return (
    <header class="top">
      <a class="brand" href={leading({ view: "findings" })} onClick={stepTo("findings")}>
        <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">
          <circle cx="12" cy="12" r="9.5" />
          <circle cx="12" cy="12" r="5" />
          <path d="M12 12 18.7 5.3" />
        </svg>
        <b>Maestro</b>
        <span class="tenant">{me.value?.tenant ?? ""}</span>
      </a>
      <Gauges />
      <label class="search">
        <span class="unseen">Search continuations</span>
        <input
          id="search"
          type="search"
          placeholder="Search the swarm"
          autocomplete="off"
          spellcheck={false}
          value={searched.value}
          onInput={(event) => go({ q: (event.target as HTMLInputElement).value, sel: [] }, true)}
        />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <span class={`line ${locked.value ? "cut" : line.value}`} role="status">
        <i aria-hidden="true" />
        {LINES[line.value]}
      </span>
      <button class="plain icon" aria-label="Dark or light" title="Dark or light (t)" onClick={turnTheme}>
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <circle cx="8" cy="8" r="5.5" fill="none" stroke="currentColor" stroke-width="1.3" />
          <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" />
        </svg>
      </button>
      <button class="plain icon" aria-label="Keys" title="Keys (?)" onClick={() => (helping.value = true)}>
        ?
      </button>
    </header>
  );
}

function Gauges() {
  return (
    <dl class="gauges" aria-label="The swarm">
      <div class="gauge money">
        <dt>spent</dt>
        <dd>{usd(spent.value)}</dd>
      </div>
      {SHOWN.map(([group, shape, word]) => (
        <div class={`gauge ${group}`} key={group}>
          <dt>
            <Glyph shape={shape} />
            <span>{word}</span>
          </dt>
          <dd>{complete.value ? count(counts.value[group]) : `${count(counts.value[group])}+`}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Tabs() {
  const bar = useRef<HTMLElement>(null);
  useEffect(() => bar.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [view.value]);
  return (
    <nav class="tabs" aria-label="Views" ref={bar}>
      {[...NARROW, ...TABS].map(([name, word, key]) => (
        <a
          key={name}
          class={NARROW.some(([narrow]) => narrow === name) ? "narrow" : ""}
          href={leading({ view: name })}
          aria-current={view.value === name ? "page" : undefined}
          aria-keyshortcuts={key}
          onClick={stepTo(name)}
        >
          {word}
          {name === "waits" && counts.value.waiting_on_you > 0 && <span class="number">{count(counts.value.waiting_on_you)}</span>}
        </a>
      ))}
      {alarm.value !== null && (
        <button class="alarm" onClick={() => (go({ id: alarm.value?.cid ?? null, view: "timeline" }), (alarm.value = null))}>
          ▲ budget of {short(alarm.value.cid)}
        </button>
      )}
    </nav>
  );
}

function stepTo(name: View): (event: MouseEvent) => void {
  return (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go({ view: name === "findings" && chosen.value === null ? null : name });
  };
}
