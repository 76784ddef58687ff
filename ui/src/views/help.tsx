// `?`: every key, from the same list that is listened to; and what the shapes mean.

import { Dialog } from "../parts/dialog";
import { Glyph, type Shape } from "../parts/glyph";
import { helping } from "../parts/top";
import { book } from "../keys";

const SHAPES: readonly (readonly [Shape, string])[] = [
  ["thinking", "thinking: an actor has it"],
  ["ready", "ready: it waits for a place"],
  ["sleeping", "sleeping: bytes in the store"],
  ["asking", "asks you"],
  ["held", "held: no tick begins"],
  ["completed", "completed"],
  ["failed", "failed or expired"],
  ["cancelled", "cancelled or superseded"],
];
const SIGNS: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };

export function Help() {
  if (!helping.value) return null;
  return (
    <Dialog title="Keys and shapes" wide onClose={() => (helping.value = false)}>
      <div class="help">
        {book().map((chapter) => (
          <section key={chapter.name}>
            <h3>{chapter.name}</h3>
            <dl>
              {chapter.keys.map((key) => (
                <div key={key.keys}>
                  <dt>
                    {key.keys.split(" ").map((one) => (
                      <kbd key={one}>{SIGNS[one] ?? one}</kbd>
                    ))}
                  </dt>
                  <dd>{key.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>Shapes</h3>
          <ul class="shapes">
            {SHAPES.map(([shape, word]) => (
              <li key={shape}>
                <Glyph shape={shape} /> {word}
              </li>
            ))}
          </ul>
          <h3>Budget bars</h3>
          <ul class="shapes">
            <li>
              <span class="bar sample"><span class="spent" /></span> spent
            </li>
            <li>
              <span class="bar sample"><span class="reserved" /></span> reserved for a call under way
            </li>
            <li>
              <span class="bar sample"><span class="lent" /></span> lent to children
            </li>
          </ul>
        </section>
      </div>
      <footer>
        <button class="primary" data-first onClick={() => (helping.value = false)}>
          Close
        </button>
      </footer>
    </Dialog>
  );
}
