// A value of the API in a view: read when what it depends on changes, the old one shown until the new one is here.

import { useEffect, useState } from "preact/hooks";
import { get, saying } from "../api";

export interface Loaded<T> {
  value: T | null;
  error: string;
  again: () => void;
}

/** What `path` answers; null reads nothing. Another `beat` reads it again without showing emptiness between. */
export function useLoaded<T>(path: string | null, beat = 0): Loaded<T> {
  const [told, tell] = useState<{ path: string | null; value: T | null; error: string }>({ path: null, value: null, error: "" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === null) return tell({ path, value: null, error: "" });
    const stop = new AbortController();
    get<T>(path, stop.signal).then(
      (value) => tell({ path, value, error: "" }),
      (error: unknown) => {
        if (!stop.signal.aborted) tell((old) => ({ path, value: old.path === path ? old.value : null, error: saying(error) }));
      },
    );
    return () => stop.abort();
  }, [path, beat, turn]);
  const mine = told.path === path;
  return { value: mine ? told.value : null, error: mine ? told.error : "", again: () => setTurn((n) => n + 1) };
}
