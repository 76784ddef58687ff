// Where one is: the query string holds all of it, so that a link, the back button and a reload lead to the same sight.
//
// view  what the centre shows          id    whose timeline and field         sel  who is selected, for one control on all
// q     what is searched               fold  groups of the rail that are shut open which branches of the tree are unfolded
// tree  the rail as a tree             tick  the tick looked at               since, by   what two views need

import { computed, signal } from "@preact/signals";

export const VIEWS = ["findings", "timeline", "waits", "away", "costs", "system", "swarm", "field"] as const;
export type View = (typeof VIEWS)[number];

const query = signal(new URLSearchParams(location.search));
addEventListener("popstate", () => (query.value = new URLSearchParams(location.search)));

function listed(name: string): string[] {
  return (query.value.get(name) ?? "").split(",").filter(Boolean);
}

export const view = computed<View>(() => VIEWS.find((known) => known === query.value.get("view")) ?? "findings");
export const chosen = computed(() => query.value.get("id"));
export const selected = computed(() => listed("sel"));
export const searched = computed(() => query.value.get("q") ?? "");
export const folded = computed(() => new Set(query.value.has("fold") ? listed("fold") : ["finished"]));
export const unfolded = computed(() => new Set(listed("open")));
export const asTree = computed(() => query.value.get("tree") === "1");
export const tick = computed(() => numberOf(query.value.get("tick")));
export const since = computed(() => numberOf(query.value.get("since")));
export const by = computed(() => query.value.get("by") ?? "day,tier");

type Change = Partial<Record<"view" | "id" | "q" | "tick" | "since" | "by" | "tree", string | number | null>> & Partial<Record<"sel" | "fold" | "open", Iterable<string>>>;

/** The query string after `change`; an empty value leaves it. */
export function leading(change: Change): string {
  const next = new URLSearchParams(query.value);
  for (const [name, value] of Object.entries(change)) {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? [...value].join(",") : String(value);
    if (text === "" && name !== "fold") next.delete(name);
    else next.set(name, text);
  }
  const told = next.toString().replaceAll("%2C", ",");
  return told === "" ? location.pathname : `?${told}`;
}

/** One is there. A step that one would not go back to (typing, selecting) replaces the last. */
export function go(change: Change, replace = false): void {
  const url = leading(change);
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  query.value = new URLSearchParams(location.search);
}

export function toggled(among: Iterable<string>, one: string): string[] {
  const kept = new Set(among);
  if (!kept.delete(one)) kept.add(one);
  return [...kept];
}

function numberOf(text: string | null): number | null {
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}
