// What the API answers, as far as the pane reads it. The truth is maestro/gateway/shapes.py and docs/reference/http-api.md.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Activity = "thinking" | "ready" | "sleeping" | "waiting_on_you" | "done";
export const GROUPS = ["waiting_on_you", "thinking", "sleeping", "finished"] as const;
export type Group = (typeof GROUPS)[number];
export type Counts = Record<Group, number>;

export interface Failure {
  code: string;
  message: string;
  field?: string | null;
  hint?: string | null;
}

export interface Me {
  id: string;
  name: string;
  role: string;
  tenant: string;
  subtree: string | null;
  can: string[];
  csrf: string | null;
}

export interface Account {
  granted: number | null;
  free: number | null;
  reserved: number;
  spent: number;
  lent: number;
  soft_cap?: number | null;
}

/** One line of the swarm. */
export interface Row {
  id: string;
  name: string | null;
  behaviour: string;
  goal: string;
  group: Group;
  activity: Activity;
  status: string;
  hold: string | null;
  reason: string;
  parent: string | null;
  root: string;
  children: number;
  rev: number;
  unread: number;
  usd: Account;
  next_wake_ms: number | null;
  waits_until_ms: number | null;
  pool: string;
  actor: string | null;
  created_at_ms: number;
  updated_at_ms: number;
}

export interface Rows {
  items: Row[];
  next_cursor: string | null;
  total: number;
  counts: Counts;
  complete: boolean;
  spent_usd_micros: number;
}

export interface Shown {
  budget: Record<string, Account>;
  children: { id: string; behaviour: string; status: string }[];
  forked_from: { id: string; rev: number } | null;
  behaviour_version: number;
  hold_detail: string | null;
  why: string;
  interests: { pattern?: string }[];
  node: string | null;
  state: Json;
  input: Json;
  result: Json;
  stop_detail: string | null;
  [key: string]: unknown;
}

export interface Continuation {
  row: Row;
  show: Shown;
}

export interface CallSeen {
  ordinal: number;
  kind: string;
  outcome: string;
  decision: string | null;
  usd_micros: number;
  tokens: number;
}

export interface TickSeen {
  rev: number;
  at_ms: number;
  woken_by: string | null;
  woken_from: string | null;
  subject: string | null;
  reason: string;
  decided_alone: string | null;
  directives: string[];
  calls: CallSeen[];
  charges: Record<string, number>;
  spent_usd_micros: number;
}

export interface Timeline {
  id: string;
  items: TickSeen[];
  next_before: number | null;
  last_rev: number;
}

export interface FieldRow {
  id: string;
  title: string;
  source: string;
  state: string;
  view: string;
  score: number | null;
  weight: number | null;
  /** null of a context as it was: it is not kept. */
  age_ms: number | null;
  reason: string;
  taint: string;
  body: string;
}

export interface FieldSeen {
  id: string;
  items: FieldRow[];
  at_ms: number;
  /** null: now. Else which call saw it; its rev is null where no model was asked up to there. */
  then: { rev: number | null; tokens: number | null; left_out: number | null } | null;
}

export interface ForkCost {
  id: string;
  at: number;
  grant: Record<string, number>;
  left: Record<string, number>;
  ticks_not_repeated: number;
}

export interface BulkItem {
  id: string;
  ok: boolean;
  made: string | null;
  error: Failure | null;
}

export interface BulkDone {
  verb: string;
  dry_run: boolean;
  count: number;
  loses: Record<string, number>;
  ok: number;
  failed: number;
  items: BulkItem[];
}

export type WaitVerb = "reply" | "approve" | "deny" | "rebudget" | "thaw" | "kill";

export interface WaitItem {
  id: string;
  continuation: string;
  name: string | null;
  behaviour: string;
  goal: string;
  kind: "question" | "approval" | "budget" | "disagreement" | "held";
  question: string;
  action: string | null;
  arguments: Json;
  binding: string | null;
  resource: string | null;
  asked_amount: number | null;
  free_amount: number | null;
  since_ms: number;
  until_ms: number | null;
  on_timeout: string | null;
  then: string;
  notified: string | null;
  approvers: string[];
  escalated: number;
  verbs: WaitVerb[];
  decided_by: string | null;
  delegated_to: string | null;
  delegated_by: string | null;
  /** What was said with the hand-over. */
  words: string;
  /** Until when the one who looks has put it off. */
  snoozed_until_ms: number | null;
}

export interface WaitItems {
  items: WaitItem[];
  total: number;
  snoozed: number;
}

export interface Finding {
  id: string;
  title: string;
  body: string;
  links: string[];
  evidence: string[];
  confidence: number | null;
  supersedes: string | null;
  status: "new" | "accepted" | "rejected" | "superseded";
  note: string;
  place: number | null;
  marked_by: string | null;
  continuation: string;
  root: string;
  behaviour: string;
  goal: string;
  rev: number | null;
  at_ms: number;
  tier: string | null;
  cost_usd_micros: number | null;
}

export interface Findings {
  items: Finding[];
  next_cursor: string | null;
  total: number;
}

export interface CostRow {
  by: Record<string, string>;
  calls: number;
  tokens: number;
  usd_micros: number;
}

export interface Costs {
  by: string[];
  items: CostRow[];
  total_usd_micros: number;
  ledger_usd_micros: number;
  open_usd_micros: number;
}

export interface Supervisor {
  id: string;
  state: string;
  children?: Supervisor[];
  [key: string]: unknown;
}

export interface System {
  now_ms: number;
  frozen: boolean;
  counts: Counts;
  depths: Record<string, number>;
  totals: Record<string, number>;
  mesh: Record<string, number>;
  pools: { pool: string; ready: number; oldest_ms: number; busy: number; places: number | null; most: number | null }[];
  nodes: { name: string; state: string; labels: string; reason: string | null; actors: string[] }[];
  sources: { name: string; subject: string; url: string; state: string; items_published: number; next_poll_ms: number | null; last_error: string | null }[];
  supervisors: Json;
  lateness_ms: number | null;
  presence: string[];
}

export interface Digest {
  since_ms: number;
  until_ms: number;
  cursor: string;
  whole: boolean;
  findings: Finding[];
  decided_alone: { id: string; at_ms: number; decision: string; reason: string }[];
  failures: { id: string; at_ms: number; status: string; reason: string }[];
  waits: WaitItem[];
  born: number;
  ended: number;
  ticks: number;
  spent_usd_micros: number;
}
