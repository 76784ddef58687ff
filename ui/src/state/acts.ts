// What can be done to continuations from here, and whom it would be done to.
//
// Invariants: one way for one and for many (`POST /v1/bulk`), so that both tell the same before and after; nothing is
// done that a dry run did not count; what is selected by a filter is counted by the server, never by what is loaded.

import { computed, signal } from "@preact/signals";
import type { Action } from "../actions";
import { post } from "../api";
import { chosen, go, searched, selected } from "../place";
import type { BulkDone, Group } from "../types";
import { short } from "../words";
import { beat, counts, rows } from "./swarm";

export type Verb = Exclude<Action, `${string}.${string}`>;

export interface Act {
  verb: Verb;
  key: string;
  word: string;
  /** What it does, in a sentence. */
  does: string;
  risky?: boolean;
}

export const ACTS: readonly Act[] = [
  { verb: "fork", key: "f", word: "Fork", does: "A copy goes on from here, or from an earlier tick, with a share of what is free." },
  { verb: "rebudget", key: "b", word: "Re-budget", does: "Grant more, or take back what is free." },
  { verb: "merge", key: "m", word: "Merge", does: "The others end; their state, money, findings and field go to one.", risky: true },
  { verb: "migrate", key: "g", word: "Migrate", does: "It wakes at another node." },
  { verb: "freeze", key: "z", word: "Freeze", does: "No tick begins until it is thawed; what comes is kept." },
  { verb: "thaw", key: "Z", word: "Thaw", does: "It goes on, with all that came meanwhile." },
  { verb: "wake", key: "w", word: "Wake", does: "It ticks once, whatever it waits for." },
  { verb: "cancel", key: "c", word: "Cancel", does: "It ends before its next tick, after one try of its own last words.", risky: true },
  { verb: "kill", key: "K", word: "Kill", does: "It ends at once; of a tick under way nothing is kept.", risky: true },
];

/** Whom a control is for: named ones, or all that a filter leaves. */
export type Target = { ids: string[] } | { filter: { q?: string; group?: Group } };

const ALL = "*";
/** `sel=*` selects all that the search leaves, `sel=*sleeping` those of one group. */
export const all = (group: Group | "" = ""): string => `${ALL}${group}`;

export const target = computed<Target | null>(() => {
  const whole = selected.value.find((one) => one.startsWith(ALL));
  if (whole !== undefined) {
    const group = whole.slice(ALL.length) as Group | "";
    return { filter: { ...(searched.value ? { q: searched.value } : {}), ...(group ? { group } : {}) } };
  }
  if (selected.value.length > 0) return { ids: selected.value };
  return chosen.value === null ? null : { ids: [chosen.value] };
});

/** Whom it is for, in words. */
export const targetWords = computed(() => {
  const them = target.value;
  if (them === null) return "";
  if ("ids" in them) return them.ids.length === 1 ? called(them.ids[0] ?? "") : `${them.ids.length} selected`;
  const many = them.filter.group === undefined ? Object.values(counts.value).reduce((sum, n) => sum + n, 0) : counts.value[them.filter.group];
  return `all ${many} ${them.filter.group === undefined ? "" : `${them.filter.group.replaceAll("_", " ")} `}${them.filter.q ? `that match “${them.filter.q}”` : "there are"}`;
});

/** What one is called, as far as it is known here. */
export function called(id: string): string {
  void beat.value;
  const row = rows.get(id);
  return row === undefined ? short(id) : (row.name ?? `${row.behaviour} ${short(id)}`);
}

export interface Acting {
  act: Act;
  target: Target;
  /** For a fork: after which tick. */
  at?: number;
}

/** The control whose dialog is open. */
export const acting = signal<Acting | null>(null);

export function begin(verb: Verb, whom: Target | null = target.peek(), at?: number): void {
  const act = ACTS.find((known) => known.verb === verb);
  if (act !== undefined && whom !== null) acting.value = { act, target: whom, ...(at === undefined ? {} : { at }) };
}

export function bulk(verb: Verb, whom: Target, extra: Record<string, unknown>): Promise<BulkDone> {
  return post<BulkDone>(verb, { verb, ...whom, ...extra });
}

export function deselect(): void {
  go({ sel: [] }, true);
}
