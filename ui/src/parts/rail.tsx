// The left rail: the swarm in groups, or as a tree, windowed; one selects here whom the controls are for.

import { signal } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { may, now } from "../api";
import { asTree, chosen, folded, go, searched, selected, toggled, unfolded } from "../place";
import { ACTS, all, begin, deselect, target, targetWords } from "../state/acts";
import * as swarm from "../state/swarm";
import { type Group, GROUPS, type Row } from "../types";
import { count, spaced } from "../words";
import { Glyph, type Shape } from "./glyph";
import { Strip } from "./strip";
import { useWindow } from "./window";

export const HEADER_PX = 32;
export const STRIP_PX = 68;
const GROUP_SHAPE: Record<Group, Shape> = { waiting_on_you: "asking", thinking: "thinking", sleeping: "sleeping", finished: "completed" };

type Line = { kind: "group"; group: Group } | { kind: "row"; id: string; level: number } | { kind: "more"; group: Group };

/** The line that the arrow keys stand on: a row's id, or a group's name. */
const cursor = signal("");
let following = false;

export function Rail() {
  void swarm.beat.value;
  void clock.value;
  const scroller = useRef<HTMLDivElement>(null);
  const lines = useMemo(linesOf, [swarm.beat.value, folded.value, unfolded.value, asTree.value]);
  const size = useCallback((index: number) => (lines[index]?.kind === "row" ? STRIP_PX : HEADER_PX), [lines]);
  const key = useCallback((index: number) => keyOf(lines[index]), [lines]); // the same while nothing changed: scrolling measures nothing anew
  const seen = useWindow(scroller, lines.length, size, key);
  useAnchor(scroller, lines);
  useEffect(() => {
    const last = seen.items.at(-1);
    for (const item of seen.items) {
      const line = lines[item.index];
      if (line?.kind === "more" && item.index <= (last?.index ?? 0)) void swarm.more(line.group);
    }
  });
  useLayoutEffect(() => {
    if (!following) return;
    const mine = scroller.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(cursor.value)}"]`);
    if (mine) {
      following = false;
      mine.focus({ preventScroll: true });
    }
  });
  const place = Math.max(0, lines.findIndex((line) => keyOf(line) === cursor.value));

  function step(to: number, extending: boolean): void {
    const next = Math.max(0, Math.min(lines.length - 1, to));
    const line = lines[next];
    if (line === undefined) return;
    if (extending && line.kind === "row" && !selected.value.includes(line.id)) go({ sel: [...selected.value, line.id] }, true);
    cursor.value = keyOf(line);
    following = true;
    seen.reveal(next);
  }

  function pressed(event: KeyboardEvent): void {
    const line = lines[place];
    if (line === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      ArrowDown: () => step(place + 1, event.shiftKey),
      j: () => step(place + 1, false),
      ArrowUp: () => step(place - 1, event.shiftKey),
      k: () => step(place - 1, false),
      Home: () => step(0, false),
      End: () => step(lines.length - 1, false),
      PageDown: () => step(place + 8, false),
      PageUp: () => step(place - 8, false),
      ...(line.kind === "row" ? rowKeys(line.id) : line.kind === "group" ? { Enter: () => fold(line.group), " ": () => fold(line.group), x: () => go({ sel: [all(line.group)] }, true) } : {}),
    };
    const act = acts[event.key];
    if (act === undefined || (event.target instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " "))) return;
    event.preventDefault();
    act();
  }

  return (
    <nav class="rail swarm" aria-label="Continuations">
      <RailHead />
      <div
        class="scroller"
        ref={scroller}
        role="treegrid"
        aria-label="Continuations by what they do"
        aria-multiselectable="true"
        aria-rowcount={lines.length}
        onKeyDown={pressed}
        onPointerMove={() => holdStill()}
        onPointerLeave={() => (swarm.holding.value = false)}
      >
        <div class="sizer" role="rowgroup" style={{ height: `${seen.height}px` }}>
          {seen.items.map((item) => (
            <LineView key={item.key as string} line={lines[item.index]} index={item.index} top={item.start} focusable={item.index === place} />
          ))}
        </div>
      </div>
      {swarm.moved.value > 0 && (
        <button class="moved" onClick={() => (swarm.holding.value = false)}>
          {count(swarm.moved.value)} stand elsewhere by now
        </button>
      )}
      {swarm.trouble.value !== "" && <p class="refused">{swarm.trouble.value}</p>}
      <Controls />
    </nav>
  );
}

function RailHead() {
  return (
    <div class="rail-head">
      <h2>Swarm</h2>
      {!swarm.complete.value && <span class="hint">still reading the store</span>}
      <div class="switch" role="group" aria-label="Order">
        <button aria-pressed={!asTree.value} onClick={() => go({ tree: null }, true)}>
          groups
        </button>
        <button aria-pressed={asTree.value} onClick={() => go({ tree: "1" }, true)}>
          tree
        </button>
      </div>
    </div>
  );
}

/** What is done to whoever is selected, or to the one that is looked at. */
function Controls() {
  const them = target.value;
  if (them === null || !may("steer")) return null;
  const many = "filter" in them || selected.value.length > 0;
  return (
    <div class="controls" role="toolbar" aria-label={`Controls for ${targetWords.value}`}>
      <div class="controls-head">
        <span class="whom">{targetWords.value}</span>
        {searched.value !== "" && !("filter" in them) && (
          <button class="plain" onClick={() => go({ sel: [all()] }, true)}>
            all that match
          </button>
        )}
        {many && (
          <button class="plain" onClick={deselect}>
            none
          </button>
        )}
      </div>
      <div class="controls-row">
        {ACTS.map((act) => (
          <button key={act.verb} class={act.risky ? "risky" : ""} title={`${act.does} (${act.key})`} aria-keyshortcuts={act.key} onClick={() => begin(act.verb)}>
            {act.word}
            <kbd aria-hidden="true">{act.key}</kbd>
          </button>
        ))}
      </div>
    </div>
  );
}

interface LineProps {
  line: Line | undefined;
  index: number;
  top: number;
  focusable: boolean;
}

function LineView({ line, index, top, focusable }: LineProps) {
  if (line === undefined) return null;
  if (line.kind === "more") {
    return (
      <div class="more" role="row" aria-rowindex={index + 1} style={{ transform: `translateY(${top}px)` }}>
        <span role="gridcell">reading on…</span>
      </div>
    );
  }
  if (line.kind === "group") return <GroupHead group={line.group} index={index} top={top} focusable={focusable} />;
  const row = swarm.rows.get(line.id);
  if (row === undefined) return null;
  const twisted = asTree.value && row.children > 0 ? unfolded.value.has(row.id) : null;
  return (
    <Strip
      row={row}
      index={index}
      level={line.level}
      chosen={chosen.value === row.id}
      selected={isSelected(row)}
      unfolded={twisted}
      focusable={focusable}
      top={top}
      onPick={pick}
      onSelect={select}
      onUnfold={twist}
      onFocus={(focused) => (cursor.value = focused.id)}
    />
  );
}

function GroupHead({ group, index, top, focusable }: { group: Group; index: number; top: number; focusable: boolean }) {
  const shut = folded.value.has(group);
  return (
    <div
      class={`group-head ${group}`}
      role="row"
      data-id={`group:${group}`}
      aria-level={1}
      aria-rowindex={index + 1}
      aria-expanded={!shut}
      tabIndex={focusable ? 0 : -1}
      style={{ transform: `translateY(${top}px)` }}
      onFocus={() => (cursor.value = `group:${group}`)}
      onClick={() => fold(group)}
    >
      <span role="gridcell">
        <span class="twist" aria-hidden="true">{shut ? "▸" : "▾"}</span>
        <Glyph shape={GROUP_SHAPE[group]} />
        <b>{spaced(group)}</b>
        <span class="number">{count(swarm.counts.value[group])}</span>
      </span>
    </div>
  );
}

function linesOf(): Line[] {
  const lines: Line[] = [];
  for (const group of GROUPS) {
    lines.push({ kind: "group", group });
    if (folded.value.has(group)) continue;
    const shelf = swarm.shelf(group);
    for (const id of shelf.ids) grow(lines, id, 2);
    if (!shelf.whole) lines.push({ kind: "more", group });
  }
  return lines;
}

function grow(lines: Line[], id: string, level: number): void {
  lines.push({ kind: "row", id, level });
  if (!asTree.value || !unfolded.value.has(id) || level > 10) return;
  const below = swarm.childrenOf(id);
  if (below === undefined) void swarm.unfold(id);
  else for (const child of below) grow(lines, child, level + 1);
}

function keyOf(line: Line | undefined): string {
  return line === undefined ? "" : line.kind === "row" ? line.id : line.kind === "group" ? `group:${line.group}` : `more:${line.group}`;
}

/** What one reads stays where it is when rows come in above it. */
function useAnchor(scroller: { current: HTMLDivElement | null }, lines: Line[]): void {
  const before = useRef<{ lines: Line[]; tops: number } | null>(null);
  useLayoutEffect(() => {
    const box = scroller.current;
    const old = before.current;
    before.current = { lines, tops: 0 };
    if (box === null || old === null || box.scrollTop < STRIP_PX || old.lines.length === lines.length) return;
    let top = 0;
    const first = old.lines.find((line) => (top += line.kind === "row" ? STRIP_PX : HEADER_PX) > box.scrollTop);
    if (first === undefined) return;
    const key = keyOf(first);
    let now = 0;
    for (const line of lines) {
      now += line.kind === "row" ? STRIP_PX : HEADER_PX;
      if (keyOf(line) === key) {
        if (now !== top) box.scrollTop += now - top;
        return;
      }
    }
  });
}

let letGo: ReturnType<typeof setTimeout> | undefined;
const HOLD_MS = 5_000;
/** A pointer that moves over the rail means somebody aims; one that rests for long has been forgotten. */
function holdStill(): void {
  swarm.holding.value = true;
  clearTimeout(letGo);
  letGo = setTimeout(() => (swarm.holding.value = false), HOLD_MS);
}

function rowKeys(id: string): Record<string, () => void> {
  const row = swarm.rows.get(id);
  if (row === undefined) return {};
  return {
    Enter: () => pick(row),
    " ": () => select(row, false),
    x: () => select(row, false),
    ArrowRight: () => asTree.value && row.children > 0 && !unfolded.value.has(id) && twist(row),
    ArrowLeft: () => asTree.value && unfolded.value.has(id) && twist(row),
  };
}

function isSelected(row: Row): boolean {
  return selected.value.some((one) => one === row.id || one === all() || one === all(row.group));
}

function pick(row: Row): void {
  go({ id: row.id, view: "timeline", tick: null });
}

function select(row: Row, through: boolean): void {
  const named = selected.value.filter((one) => !one.startsWith("*"));
  const last = named.at(-1);
  const ids = swarm.shelf(row.group).ids;
  const [from, to] = [last === undefined ? -1 : ids.indexOf(last), ids.indexOf(row.id)];
  if (through && from >= 0 && to >= 0) go({ sel: new Set([...named, ...ids.slice(Math.min(from, to), Math.max(from, to) + 1)]) }, true);
  else go({ sel: toggled(named, row.id) }, true);
}

function twist(row: Row): void {
  go({ open: toggled(unfolded.value, row.id) }, true);
}

function fold(group: Group): void {
  go({ fold: toggled(folded.value, group) }, true);
}

/** Goes up every few seconds, for "in 5 min" and "3 s ago". */
export const clock = signal(now());
setInterval(() => {
  if (!document.hidden) clock.value = now();
}, 5_000);
