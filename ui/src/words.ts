// Numbers and moments in words: dollars, spans, times. Nothing here knows the API or the page.

const DOLLARS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const COUNT = new Intl.NumberFormat("en-US");
const STEPS: readonly (readonly [string, number])[] = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];

/** Micro-dollars as people write them: cents from a cent on, more digits below. */
export function usd(micros: number | null | undefined): string {
  if (micros === null || micros === undefined) return "–";
  const dollars = micros / 1e6;
  if (micros !== 0 && Math.abs(dollars) < 0.01) return `$${dollars.toFixed(Math.abs(dollars) < 0.0001 ? 6 : 4)}`;
  return `${dollars < 0 ? "−" : ""}$${DOLLARS.format(Math.abs(dollars))}`;
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : COUNT.format(n);
}

/** `1 child`, `2 children`. */
export function several(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** A span in its two largest units: `21 d`, `3 h 5 min`, `0 s`. */
export function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000) * 1000);
  const told: string[] = [];
  for (const [unit, size] of STEPS) {
    const whole = Math.floor(rest / size);
    if (whole > 0 && told.length < 2) told.push(`${whole} ${unit}`);
    else if (told.length > 0) break;
    rest -= whole * size;
  }
  return told.join(" ") || "0 s";
}

/** How far `at` is from `now`: `in 3 h`, `5 min ago`, `now`. One unit is enough. */
export function distance(at: number | null | undefined, now: number): string {
  if (at === null || at === undefined) return "";
  const ms = at - now;
  const far = Math.abs(ms);
  const step = STEPS.find(([, size]) => far >= size);
  if (step === undefined) return "now";
  const told = `${Math.floor(far / step[1])} ${step[0]}`;
  return ms > 0 ? `in ${told}` : `${told} ago`;
}

/** `2026-11-21 10:30:08`, in UTC as everywhere in Maestro. */
export function moment(at: number | null | undefined): string {
  return at === null || at === undefined ? "–" : new Date(at).toISOString().slice(0, 19).replace("T", " ");
}

/** `10:30:08`, for lists in which the day is said once. */
export function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}

export function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** `waiting_on_you` as `waiting on you`. */
export function spaced(word: string): string {
  return word.replaceAll("_", " ");
}

/** Enough of an id to know it by. */
export function short(id: string): string {
  const [stem = id, tail] = id.split("-");
  return tail === undefined ? stem.slice(-7) : `${stem.slice(-5)}-${tail.slice(0, 6)}`;
}

/** The sentence without the marks of time that only a machine reads: `1785 ms` stamps become moments. */
export function sentence(text: string): string {
  return text.replace(/\b(1\d{12}) ms\b/g, (_, at: string) => `${moment(Number(at))} UTC`);
}
