// The pane whole: a top bar, tabs, three rails; on a narrow page one of them at a time.

import { useEffect } from "preact/hooks";
import { locked } from "./api";
import * as keys from "./keys";
import { ActingDialog } from "./parts/acting";
import { FieldRail } from "./parts/field";
import { Rail } from "./parts/rail";
import { helping, TABS, Tabs, theme, Top, turnTheme } from "./parts/top";
import { go, selected, view } from "./place";
import { ACTS, begin, deselect } from "./state/acts";
import { Away } from "./views/away";
import { Costs } from "./views/costs";
import { Findings } from "./views/findings";
import { Help } from "./views/help";
import { System } from "./views/system";
import { Timeline } from "./views/timeline";
import { Waits } from "./views/waits";

export function App() {
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  }, [theme.value]);
  useEffect(() => {
    document.title = `${TABS.find(([name]) => name === view.value)?.[1] ?? "Maestro"} · Maestro`;
  }, [view.value]);
  if (locked.value) return <Locked />;
  return (
    <div class={`app view-${view.value}`}>
      <a class="skip" href="#centre">
        To the centre
      </a>
      <Top />
      <Tabs />
      <div class="rails">
        <Rail />
        <main id="centre" tabIndex={-1}>
          <Centre />
        </main>
        <FieldRail />
      </div>
      <ActingDialog />
      <Help />
    </div>
  );
}

function Centre() {
  switch (view.value) {
    case "timeline":
      return <Timeline />;
    case "waits":
      return <Waits />;
    case "away":
      return <Away />;
    case "costs":
      return <Costs />;
    case "system":
      return <System />;
    default:
      return <Findings />;
  }
}

function Locked() {
  return (
    <main class="locked">
      <h1>Maestro</h1>
      <p>This browser is not known here.</p>
      <p>
        <code>maestro up</code> prints a link that lets it in; the link is good once.
      </p>
    </main>
  );
}

/** All keys, told by `?`. */
export function bindKeys(): void {
  keys.listen("Views", [
    ...TABS.map(([name, word, key]) => ({ keys: key, does: word, run: () => go({ view: name }) })),
    { keys: "7", does: "Swarm", run: () => focusRail() },
    { keys: "8", does: "Field", run: () => focusField() },
    { keys: "/", does: "Search the swarm", run: () => document.getElementById("search")?.focus() },
    { keys: "t", does: "Dark or light", run: turnTheme },
    { keys: "?", does: "These keys", run: () => void (helping.value = true) },
    { keys: "Escape", does: "Close, or select nothing", run: () => selected.peek().length > 0 && deselect() },
  ]);
  keys.listen("Swarm", [
    { keys: "j ArrowDown", does: "Next", told: true },
    { keys: "k ArrowUp", does: "The one before", told: true },
    { keys: "Enter", does: "Look at it; fold or unfold a group", told: true },
    { keys: "x", does: "Select it, or a whole group", told: true },
    { keys: "Shift+↓", does: "Select on", told: true },
    { keys: "ArrowRight ArrowLeft", does: "Unfold, fold a branch of the tree", told: true },
    { keys: "Home End", does: "First, last", told: true },
  ]);
  keys.listen("Controls, for who is selected or looked at", ACTS.map((act) => ({ keys: act.key, does: act.word, run: () => begin(act.verb) })));
  keys.listen("Waiting on you, on a question", [
    { keys: "a", does: "Approve", told: true },
    { keys: "d", does: "Deny", told: true },
    { keys: "r", does: "Write a reply", told: true },
    { keys: "s", does: "Snooze: put it off, for yourself", told: true },
    { keys: "h", does: "Hand it over to somebody", told: true },
    { keys: "x", does: "Mark it, for one answer to many", told: true },
    { keys: "Tab", does: "Everything else", told: true },
  ]);
  keys.attend();
}

function focusRail(): void {
  if (innerWidth < 760) go({ view: "swarm" });
  requestAnimationFrame(() => document.querySelector<HTMLElement>(".swarm [tabindex='0'][role='row']")?.focus());
}

function focusField(): void {
  if (innerWidth < 1100) go({ view: "field" });
  requestAnimationFrame(() => document.querySelector<HTMLElement>(".rail.field .scroller")?.focus());
}
