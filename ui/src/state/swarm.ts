// The swarm as the left rail shows it: one shelf per group, filled page by page, kept current by the control channel.
//
// Invariants: an id stands on one shelf at most; what a row says is current at once, where it stands may wait (see
// `holding`); a row moves only when its group changes, so that nothing dances; changes of one frame are one redraw.

import { batch, computed, effect, signal, untracked } from "@preact/signals";
import { at, get } from "../api";
import { asTree, folded, searched } from "../place";
import { type Counts, type Group, GROUPS, type Row, type Rows } from "../types";

const PAGE = 200;
const COUNTS_EVERY_MS = 1_000;
const NOBODY: Counts = { waiting_on_you: 0, thinking: 0, sleeping: 0, finished: 0 };

interface Shelf {
  ids: string[];
  cursor: string | null;
  /** False until its first page is here. */
  begun: boolean;
  whole: boolean;
}

export const rows = new Map<string, Row>();
const shelves = new Map<Group, Shelf>();
const below = new Map<string, string[]>();
const waiting = new Map<string, Row>();
const loading = new Set<string>();

/** Goes up with every redraw that something in here asks for. */
export const beat = signal(0);
export const counts = signal<Counts>(NOBODY);
export const spent = signal(0);
export const complete = signal(true);
export const trouble = signal("");
/** True while a pointer is over the rail: rows speak, but stay where they are. */
export const holding = signal(false);
/** How many stand elsewhere than they should, because somebody points at the rail. */
export const moved = signal(0);

/** What a shelf and the counts are asked for. */
const asking = computed(() => ({ q: searched.value, ...(asTree.value ? { parent: "none" } : {}) }));

export function shelf(group: Group): Shelf {
  let found = shelves.get(group);
  if (found === undefined) shelves.set(group, (found = { ids: [], cursor: null, begun: false, whole: false }));
  return found;
}

export function childrenOf(id: string): string[] | undefined {
  return below.get(id);
}

/** The next page of a group is on its shelf, unless it is under way or there is none. */
export async function more(group: Group): Promise<void> {
  const mine = shelf(group);
  if (mine.whole || loading.has(group)) return;
  loading.add(group);
  try {
    const page = await get<Rows>(at("/v1/continuations", { group, limit: PAGE, cursor: mine.cursor, ...asking.peek() }));
    if (shelves.get(group) !== mine) return;
    const there = new Set(mine.ids);
    for (const row of page.items) {
      rows.set(row.id, row);
      if (!there.has(row.id)) mine.ids.push(row.id);
    }
    Object.assign(mine, { cursor: page.next_cursor, begun: true, whole: page.next_cursor === null });
    told(page);
  } catch (error) {
    trouble.value = error instanceof Error ? error.message : String(error);
  } finally {
    loading.delete(group);
  }
}

/** The children of `id` are known. */
export async function unfold(id: string): Promise<void> {
  if (loading.has(id)) return;
  loading.add(id);
  try {
    const page = await get<Rows>(at("/v1/continuations", { parent: id, limit: 500, sort: "created" }));
    for (const row of page.items) rows.set(row.id, row);
    below.set(id, page.items.map((row) => row.id));
    beat.value++;
  } catch (error) {
    trouble.value = error instanceof Error ? error.message : String(error);
  } finally {
    loading.delete(id);
  }
}

/** Everything is read anew: another question, or a gap in what was heard. */
export function snapshot(): void {
  batch(() => {
    shelves.clear();
    below.clear();
    waiting.clear();
    loading.clear();
    moved.value = 0;
    beat.value++;
  });
  for (const group of GROUPS) if (!folded.peek().has(group)) void more(group);
  void recount();
}

/** A row that was read elsewhere: who is looked at has a name, on a shelf or not. */
export function know(row: Row): void {
  const before = rows.get(row.id);
  if (before !== undefined && before.rev >= row.rev) return;
  rows.set(row.id, row);
  beat.value++;
}

/** One row, as it is now: it says so at once, and stands where it belongs as soon as nobody points. */
export function heard(row: Row): void {
  const before = rows.get(row.id);
  if (before !== undefined && before.rev > row.rev) return;
  rows.set(row.id, row);
  if (before?.group !== row.group || !shelf(row.group).ids.includes(row.id)) waiting.set(row.id, row);
  if (row.parent !== null && before === undefined) {
    const siblings = below.get(row.parent);
    if (siblings !== undefined && !siblings.includes(row.id)) siblings.push(row.id);
  }
  redraw();
}

let asked = false;
function redraw(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    batch(() => {
      if (!holding.peek()) settle();
      else moved.value = [...waiting.values()].filter(misplaced).length;
      beat.value++;
    });
    recountSoon();
  });
}

/** Rows stand where they belong. */
function settle(): void {
  for (const row of waiting.values()) {
    for (const group of GROUPS) {
      const ids = shelf(group).ids;
      const place = group === row.group ? -1 : ids.indexOf(row.id);
      if (place >= 0) ids.splice(place, 1);
    }
    const mine = shelf(row.group);
    if (fits(row) && mine.begun && !mine.ids.includes(row.id)) mine.ids.unshift(row.id);
  }
  waiting.clear();
  moved.value = 0;
}

function misplaced(row: Row): boolean {
  return fits(row) && !shelf(row.group).ids.includes(row.id);
}

/** Whether the rail, as it is asked for now, shows it. */
function fits(row: Row): boolean {
  if (asTree.peek() && row.parent !== null) return false;
  const wanted = searched.peek().toLowerCase();
  return wanted === "" || [row.id, row.name ?? "", row.goal, row.reason].some((text) => text.toLowerCase().includes(wanted));
}

let counting = false;
let again = false;
function recountSoon(): void {
  if (counting) again = true;
  else {
    counting = true;
    void recount().finally(() =>
      setTimeout(() => {
        counting = false;
        if (again) {
          again = false;
          recountSoon();
        }
      }, COUNTS_EVERY_MS),
    );
  }
}

async function recount(): Promise<void> {
  try {
    told(await get<Rows>(at("/v1/continuations", { limit: 1, ...asking.peek() })), true);
  } catch {
    // the line says that Maestro is away; the next change asks again
  }
}

/** What a page tells of all; the money only where it is that of no single group. */
function told(page: Rows, whole = false): void {
  const before = complete.peek();
  batch(() => {
    counts.value = page.counts;
    if (whole) spent.value = page.spent_usd_micros;
    complete.value = page.complete;
    trouble.value = "";
    beat.value++;
  });
  if (!page.complete) recountSoon();
  else if (!before) snapshot(); // what was read of the shelves before had gaps
}

/** The rail follows what is asked and which groups are open; a pointer that leaves lets rows settle. */
export function attend(): void {
  effect(() => {
    void asking.value;
    untracked(snapshot);
  });
  effect(() => {
    const open = GROUPS.filter((group) => !folded.value.has(group));
    untracked(() => open.filter((group) => !shelf(group).begun).forEach((group) => void more(group)));
  });
  effect(() => {
    if (!holding.value && waiting.size > 0) redraw();
  });
}
