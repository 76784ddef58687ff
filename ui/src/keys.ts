// The keyboard: every control has a key or is reached by Tab, and `?` tells them all, from this list.

export interface Key {
  keys: string;
  does: string;
  /** True: it is there, but somebody else listens to it (the rail, a dialog). */
  told?: boolean;
  run?: () => void;
}

export interface Chapter {
  name: string;
  keys: Key[];
}

const chapters: Chapter[] = [];

/** The keys of one chapter are listened to, and told by `?`. */
export function listen(name: string, keys: Key[]): void {
  chapters.push({ name, keys });
}

export function book(): readonly Chapter[] {
  return chapters;
}

/** Typing is not steering: keys in a field, or with a modifier, or under an open dialog, are left alone. */
export function attend(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const found = chapters.flatMap((chapter) => chapter.keys).find((key) => key.run !== undefined && key.keys.split(" ").includes(event.key));
    if (found?.run === undefined) return;
    event.preventDefault();
    found.run();
  });
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]") !== null && !(target instanceof HTMLInputElement && target.type === "checkbox");
}
