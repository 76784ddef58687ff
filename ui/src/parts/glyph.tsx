// A state as a shape: told apart without colour, and said in words for those who do not see it.

import type { Row } from "../types";
import { spaced } from "../words";

export type Shape = "thinking" | "ready" | "sleeping" | "asking" | "held" | "completed" | "failed" | "cancelled";

/** The shape of a row: a hold outranks what it would be doing, an end has its own three. */
export function shapeOf(row: Pick<Row, "activity" | "status" | "hold">): Shape {
  if (row.activity === "done") return row.status === "completed" ? "completed" : row.status === "failed" || row.status === "expired" ? "failed" : "cancelled";
  if (row.activity === "thinking") return "thinking";
  if (row.hold !== null) return "held";
  if (row.activity === "waiting_on_you") return "asking";
  return row.activity;
}

/** The state in a word or two. */
export function wordOf(row: Pick<Row, "activity" | "status" | "hold">): string {
  if (row.activity === "done") return spaced(row.status);
  if (row.hold !== null && row.activity !== "thinking") return spaced(row.hold);
  return row.activity === "waiting_on_you" ? "asks you" : spaced(row.activity);
}

/** Drawn on a field of 16 by 16. */
export function Glyph({ shape, label }: { shape: Shape; label?: string }) {
  return (
    <svg class={`glyph ${shape}`} viewBox="0 0 16 16" width="16" height="16" role={label ? "img" : undefined} aria-label={label} aria-hidden={label ? undefined : "true"}>
      <Drawing shape={shape} />
    </svg>
  );
}

function Drawing({ shape }: { shape: Shape }) {
  switch (shape) {
    case "thinking":
      return (
        <>
          <circle class="ring" cx="8" cy="8" r="6.4" />
          <path class="solid" d="M8 3.9 12.1 8 8 12.1 3.9 8z" />
        </>
      );
    case "ready":
      return <path class="line" d="M8 3 13 8 8 13 3 8z" />;
    case "sleeping":
      return <path class="solid" d="M10.9 11.6A5.2 5.2 0 0 1 7.2 2.4a5.8 5.8 0 1 0 6 8.3 5.2 5.2 0 0 1-2.3.9z" />;
    case "asking":
      return (
        <>
          <path class="solid" d="M2.2 2.6h11.6v8.2H8.9L5.6 13.9v-3.1H2.2z" />
          <path class="cut" d="M5.2 5.6h5.6M5.2 7.9h3.6" />
        </>
      );
    case "held":
      return (
        <>
          <path class="line" d="M5.3 2.2h5.4l3.1 3.1v5.4l-3.1 3.1H5.3l-3.1-3.1V5.3z" />
          <path class="line" d="M6.6 5.6v4.8M9.4 5.6v4.8" />
        </>
      );
    case "completed":
      return <path class="line" d="m3 8.6 3.3 3.3L13 4.6" />;
    case "failed":
      return <path class="line" d="m4 4 8 8M12 4l-8 8" />;
    case "cancelled":
      return (
        <>
          <circle class="line" cx="8" cy="8" r="5.2" />
          <path class="line" d="M4.4 11.6 11.6 4.4" />
        </>
      );
  }
}
