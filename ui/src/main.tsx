// The pane begins: who looks, then the control channel, then everything is drawn.

import { render } from "preact";
import { App, bindKeys } from "./app";
import { get, locked, me, saying } from "./api";
import * as live from "./state/live";
import * as swarm from "./state/swarm";
import type { Me } from "./types";
import "./style/tokens.css";
import "./style/frame.css";
import "./style/rails.css";
import "./style/views.css";

const AGAIN_MS = 2_000;
const root = document.getElementById("pane");
if (root !== null) {
  bindKeys();
  render(<App />, root);
  begin();
}

function begin(): void {
  get<Me>("/v1/me").then(
    (told) => {
      me.value = told;
      swarm.attend();
      live.listen();
    },
    (failed: unknown) => {
      swarm.trouble.value = saying(failed);
      if (!locked.value) setTimeout(begin, AGAIN_MS);
    },
  );
}
