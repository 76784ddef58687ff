// Foreign text, made harmless before anything else sees it: what models, feeds and tools wrote is text, and only text.
//
// Invariant: every string of every answer of the API comes through here (api.ts), so no view can forget it. Views make text nodes
// only. What a terminal or a bidirectional layout would obey is shown as a sign of its own.

// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\uffff]|[\u{e0000}-\u{e007f}]/gu;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** `text` with each control and direction character as a visible sign; newlines and tabs stay. */
export function inert(text: string): string {
  return text.replace(LONE, "\ufffd").replace(OBEYED, sign);
}

function sign(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** The same value with every string in it inert, keys too; what is under `arguments` stays exact, to be sent back. */
export function inertDeep(value: unknown): unknown {
  if (typeof value === "string") return inert(value);
  if (Array.isArray(value)) return value.map(inertDeep);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, kept]) => [inert(key), key === "arguments" ? kept : inertDeep(kept)]));
}

/** JSON for reading and editing; what `inert` would sign is escaped here, so that it survives an edit. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(OBEYED, (found) =>
    found === "\n" ? found : [...found].flatMap((part) => part.split("")).map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
  );
}
