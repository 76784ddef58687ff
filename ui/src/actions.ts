// Every change that can be made from here, by name. `post` takes no other, so that a new one stands in this list; and
// tests/pane/test_keyboard.py reads it, and makes each of them once by keyboard alone.

export const ACTIONS = {
  "fork": "POST /v1/bulk",
  "rebudget": "POST /v1/bulk",
  "merge": "POST /v1/bulk",
  "migrate": "POST /v1/bulk",
  "freeze": "POST /v1/bulk",
  "thaw": "POST /v1/bulk",
  "wake": "POST /v1/bulk",
  "cancel": "POST /v1/bulk",
  "kill": "POST /v1/bulk",
  "fork.tick": "POST /v1/continuations/{id}/fork",
  "wait.reply": "POST /v1/waits/{id}/answer",
  "wait.approve": "POST /v1/waits/{id}/answer",
  "wait.deny": "POST /v1/waits/{id}/answer",
  "wait.rebudget": "POST /v1/waits/{id}/answer",
  "wait.thaw": "POST /v1/waits/{id}/answer",
  "wait.kill": "POST /v1/waits/{id}/answer",
  "wait.snooze": "POST /v1/waits/{id}/snooze",
  "wait.delegate": "POST /v1/waits/{id}/delegate",
  "finding.status": "PATCH /v1/findings/{id}",
  "finding.note": "PATCH /v1/findings/{id}",
  "finding.place": "PATCH /v1/findings/{id}",
  "field.pin": "POST /v1/continuations/{id}/field/commands",
  "field.unpin": "POST /v1/continuations/{id}/field/commands",
  "field.collapse": "POST /v1/continuations/{id}/field/commands",
  "field.expand": "POST /v1/continuations/{id}/field/commands",
  "field.hide": "POST /v1/continuations/{id}/field/commands",
  "field.remove": "POST /v1/continuations/{id}/field/commands",
  "field.restore": "POST /v1/continuations/{id}/field/commands",
  "digest.seen": "POST /v1/digest/seen",
  "brake.on": "POST /v1/freeze",
  "brake.off": "POST /v1/thaw",
} as const;

export type Action = keyof typeof ACTIONS;
export type FieldVerb = Extract<Action, `field.${string}`> extends `field.${infer Verb}` ? Verb : never;

/** How it is asked for, of whom. */
export function asking(action: Action, id = ""): { method: string; path: string } {
  const [method = "", path = ""] = ACTIONS[action].split(" ");
  return { method, path: path.replace("{id}", encodeURIComponent(id)) };
}
