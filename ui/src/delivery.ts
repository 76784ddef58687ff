// How far the end of a bounded turn has come to its user, in words; see maestro/turns/records.py, DeliveryState.

import type { Continuation, Json } from "./types";

export interface Delivered {
  word: string;
  /** Of the stamp: how urgent it looks. */
  shape: string;
  error: string;
}

const WORDS: Record<string, readonly [string, string]> = {
  not_applicable: ["nobody to deliver to", ""],
  pending_delivery: ["to be delivered", "ready"],
  delivered: ["delivered", "completed"],
  suppressed_session_reengaged: ["not sent: its user came back", "cancelled"],
  suppressed_superseded: ["not sent: superseded", "cancelled"],
  suppressed_expired: ["not sent: expired", "cancelled"],
  delivery_failed: ["delivery failed", "failed"],
};
/** An end that nobody is to hear of. */
const UNHEARD: Record<string, string> = { superseded: "suppressed_superseded", expired: "suppressed_expired" };

/** Null of all that is no turn. */
export function deliveryOf({ row, show }: Continuation): Delivered | null {
  const state = member(show.state) ?? member(member(show.input)?.["state"] ?? null);
  const told = state === null ? null : member(state["delivery"] ?? null);
  if (row.behaviour !== "turn" || state === null || told === null) return null;
  const name = (state["deliverable"] === true && UNHEARD[row.status]) || String(told["state"]);
  const [word, shape] = WORDS[name] ?? [name, ""];
  return { word, shape, error: typeof told["error"] === "string" ? told["error"] : "" };
}

function member(of: Json): { [key: string]: Json } | null {
  return of !== null && typeof of === "object" && !Array.isArray(of) ? of : null;
}
