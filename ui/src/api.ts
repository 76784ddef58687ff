// One way to the API: same origin, the session's cookie, an idempotency key for each change, and every answer inert.

import { signal } from "@preact/signals";
import { type Action, asking } from "./actions";
import { inertDeep } from "./inert";
import type { Failure, Me } from "./types";

/** Who looks, as the server says; null until it has said so. */
export const me = signal<Me | null>(null);
/** True when the server does not know who this is: the way in is the link that `maestro up` printed. */
export const locked = signal(false);
/** How far this machine's clock is behind the store's: every "ago" is counted on the store's. */
const skew = signal(0);

/** What the API refused, in its own words. */
export class Refused extends Error {
  constructor(readonly status: number, readonly failure: Failure) {
    super(failure.message);
  }
  get told(): string {
    return this.failure.hint ? `${this.failure.message} \u2014 ${this.failure.hint}` : this.failure.message;
  }
}

/** What the one who looks may do: `look`, `answer`, `steer`, `administer`. */
export function may(what: string): boolean {
  return me.value?.can.includes(what) ?? false;
}

export function now(): number {
  return Date.now() + skew.value;
}

export function heard(nowMs: number): void {
  skew.value = nowMs - Date.now();
}

/** The path with its query; values that are absent or empty are left out. */
export function at(path: string, query: Record<string, string | number | null | undefined> = {}): string {
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return said.length === 0 ? path : `${path}?${new URLSearchParams(said.map(([key, value]) => [key, String(value)]))}`;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return asked<T>(path, signal ? { signal } : {});
}

/** One change, safe to be sent twice: the key says that it is the same one. */
export async function post<T>(action: Action, body: unknown, id?: string): Promise<T> {
  const { method, path } = asking(action, id);
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key(), "X-Maestro-CSRF": me.value?.csrf ?? "" };
  return asked<T>(path, { method, headers, body: JSON.stringify(body) });
}

/** 128 random bits; `crypto.randomUUID` is not there on plain HTTP to another machine. */
function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function asked<T>(path: string, init: RequestInit): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(0, { code: "unreachable", message: "Maestro does not answer", hint: "is `maestro up` running?" });
  }
  const body: unknown = inertDeep(answer.status === 204 ? null : await answer.json().catch(() => null));
  if (answer.ok) return body as T;
  if (answer.status === 401) locked.value = true;
  throw new Refused(answer.status, failureIn(body, answer.status));
}

function failureIn(body: unknown, status: number): Failure {
  if (body !== null && typeof body === "object" && "message" in body) return body as Failure;
  return { code: `http_${status}`, message: `the server answered ${status}` };
}

export function saying(error: unknown): string {
  return error instanceof Refused ? error.told : error instanceof Error ? error.message : String(error);
}
