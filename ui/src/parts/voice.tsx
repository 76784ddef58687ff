// What one says, while it is said: the pieces of its streamed answer as they come, and the whole in their place.
//
// Invariants: what is shown is the beginning of the answer, whenever one began to look and however often the line broke;
// what was taken back is gone, and said to be.

import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { type Fact, follow, type Line } from "../stream";

interface Said {
  text: string;
  whole: boolean;
  /** Why the words before these were taken back. */
  because: string;
}

const SILENT: Said = { text: "", whole: false, because: "" };

export function Voice({ id }: { id: string }) {
  const [said, say] = useState<Said>(SILENT);
  const state = useSignal<Line>("joining");
  useEffect(() => {
    say(SILENT);
    return follow(`/v1/continuations/${id}/answer/stream`, (fact) => say((old) => after(old, fact)), state);
  }, [id]);
  if (said.text === "" && said.because === "") return null;
  return (
    <figure class={`voice${said.whole ? "" : " speaking"}`}>
      <figcaption>
        {said.whole ? "It said" : "It says"}
        {state.value === "cut" && <span class="hint"> (cut off; it goes on when the line is back)</span>}
      </figcaption>
      {said.because !== "" && <p class="hint">Taken back what came before: {said.because}</p>}
      <p class="words">{said.text}</p>
    </figure>
  );
}

/** What was said, after one more fact of the stream. */
function after(old: Said, fact: Fact): Said {
  const text = String(fact.data["text"] ?? "");
  switch (fact.event) {
    case "piece":
      return old.whole ? { ...SILENT, text } : { ...old, text: old.text + text };
    case "reset":
      return { ...SILENT, because: String(fact.data["because"] ?? "") };
    case "answer":
      return { ...SILENT, text, whole: true };
    default:
      return old;
  }
}
