// What the control channel tells, handed to whom it concerns.

import { type Signal, signal } from "@preact/signals";
import { heard as clockIs } from "../api";
import { type Fact, follow } from "../stream";
import type { Row } from "../types";
import { chosen } from "../place";
import * as swarm from "./swarm";

/** Go up when findings, waits or the chosen continuation changed: a view that depends on one of them reads it again. */
export const findingsBeat = signal(0);
export const waitsBeat = signal(0);
export const chosenBeat = signal(0);
export const systemBeat = signal(0);
/** The last border of a budget that was crossed. */
export const alarm = signal<{ cid: string; at_ms: number } | null>(null);

const TOGETHER_MS = 120;

export function listen(): () => void {
  return follow("/v1/stream", receive);
}

function receive(fact: Fact): void {
  const { row, rows } = fact.data as { row?: Row | null; rows?: Row[] };
  for (const one of rows ?? (row ? [row] : [])) changed(one);
  switch (fact.event) {
    case "hello":
      clockIs(Number(fact.data["now_ms"]));
      break;
    case "gap":
      swarm.snapshot();
      for (const beat of [findingsBeat, waitsBeat, chosenBeat, systemBeat]) soon(beat);
      break;
    case "finding.published":
      soon(findingsBeat);
      break;
    case "wait.opened":
    case "wait.closed":
      soon(waitsBeat);
      break;
    case "budget.alert":
      alarm.value = { cid: String(fact.data["cid"]), at_ms: Number(fact.data["at_ms"]) };
      break;
    case "system":
      soon(systemBeat);
      break;
  }
}

function changed(row: Row): void {
  swarm.heard(row);
  if (row.id === chosen.peek()) soon(chosenBeat);
}

const pending = new Set<Signal<number>>();
/** `beat` goes up once for all that happens in a moment. */
function soon(beat: Signal<number>): void {
  if (pending.has(beat)) return;
  pending.add(beat);
  setTimeout(() => {
    pending.delete(beat);
    beat.value++;
  }, TOGETHER_MS);
}
