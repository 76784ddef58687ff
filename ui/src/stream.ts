// Streams: server-sent events read with fetch, so that a break goes on at the last id, and a gap is told.
//
// Invariants: one connection each; none while the page is hidden; `Last-Event-ID` is the last event that was handed on, so what
// was handed on is neither repeated nor skipped; a `gap` is handed on like any other event, its receiver takes a snapshot.

import { type Signal, signal } from "@preact/signals";
import { inertDeep } from "./inert";
import { locked } from "./api";

export interface Fact {
  id: string;
  event: string;
  data: Record<string, unknown>;
}

export type Line = "live" | "joining" | "paused" | "cut";
export const line = signal<Line>("joining");

/** Reasons of a `bye` behind which nothing will ever come. */
const OVER = ["ended", "gone"];
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;

/** Facts from `path` go to `receive`, for as long as the page is seen and there are any; returns what ends it. `state` tells
 * how the line is. */
export function follow(path: string, receive: (fact: Fact) => void, state: Signal<Line> = line): () => void {
  let last = "";
  let ended = false;
  let current: AbortController | null = null;

  async function run(): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!ended && !document.hidden && !locked.value) {
      current = new AbortController();
      try {
        const headers: Record<string, string> = { Accept: "text/event-stream" };
        if (last !== "") headers["Last-Event-ID"] = last;
        const answer = await fetch(path, { headers, credentials: "same-origin", signal: current.signal, cache: "no-store" });
        if (answer.status === 401) locked.value = true;
        if (!answer.ok || answer.body === null) throw new Error(`the stream answered ${answer.status}`);
        state.value = "live";
        for await (const fact of facts(answer.body)) {
          wait = FIRST_WAIT_MS;
          receive(fact);
          last = fact.id || cursorIn(fact) || last;
          ended ||= fact.event === "bye" && OVER.includes(String(fact.data["reason"]));
        }
      } catch {
        if (ended || document.hidden) break;
      }
      if (ended || document.hidden) break;
      state.value = "cut";
      await new Promise((resume) => setTimeout(resume, wait * (0.75 + Math.random() / 2)));
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }

  let running = Promise.resolve();
  function seen(): void {
    current?.abort();
    if (document.hidden) state.value = "paused";
    else {
      state.value = "joining";
      running = running.then(run);
    }
  }
  document.addEventListener("visibilitychange", seen);
  seen();
  return () => {
    ended = true;
    document.removeEventListener("visibilitychange", seen);
    current?.abort();
  };
}

/** Where to go on after an event that has no id of its own: a stream's beginning, a gap and its end say it. */
function cursorIn(fact: Fact): string {
  const told = ["hello", "gap", "bye"].includes(fact.event) ? fact.data["cursor"] : "";
  return typeof told === "string" ? told : "";
}

/** The events of a body, as the standard reads them: fields of lines, an empty line ends one. */
export async function* facts(body: ReadableStream<Uint8Array>): AsyncGenerator<Fact> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  let id = "";
  let event = "message";
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const text of lines) {
        if (text === "") {
          if (data.length > 0) yield { id, event, data: read(data.join("\n")) };
          [id, event, data] = ["", "message", []];
          continue;
        }
        const [, name, field = ""] = /^([^:]*):? ?(.*)$/.exec(text) ?? [];
        if (name === "id") id = field;
        else if (name === "event") event = field;
        else if (name === "data") data.push(field);
      }
    }
  } finally {
    reader.releaseLock();
  }
}

function read(data: string): Record<string, unknown> {
  try {
    const told: unknown = inertDeep(JSON.parse(data));
    return told !== null && typeof told === "object" && !Array.isArray(told) ? (told as Record<string, unknown>) : { told };
  } catch {
    return { told: data };
  }
}
