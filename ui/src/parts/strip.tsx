// One continuation as a flight strip: state, callsign, goal, what holds it, when it wakes, what it has cost.

import { now } from "../api";
import type { Row } from "../types";
import { distance, sentence, several, short, usd } from "../words";
import { BudgetBar, budgetWords } from "./bar";
import { Glyph, shapeOf, wordOf } from "./glyph";

export interface StripProps {
  row: Row;
  index: number;
  level: number;
  chosen: boolean;
  selected: boolean;
  unfolded: boolean | null;
  focusable: boolean;
  top: number;
  onPick: (row: Row) => void;
  onSelect: (row: Row, through: boolean) => void;
  onUnfold: (row: Row) => void;
  onFocus: (row: Row) => void;
}

export function Strip(props: StripProps) {
  const { row, level } = props;
  const wakes = row.waits_until_ms ?? row.next_wake_ms;
  return (
    <div
      class={`strip ${shapeOf(row)}${props.chosen ? " chosen" : ""}${props.selected ? " selected" : ""}`}
      role="row"
      id={`row-${row.id}`}
      data-id={row.id}
      aria-level={level}
      aria-rowindex={props.index + 1}
      aria-selected={props.selected}
      aria-expanded={props.unfolded ?? undefined}
      aria-current={props.chosen ? "true" : undefined}
      aria-label={`${nameOf(row)}, ${wordOf(row)}, ${row.goal}, ${budgetWords(row.usd)}`}
      tabIndex={props.focusable ? 0 : -1}
      style={{ transform: `translateY(${props.top}px)`, "--level": level - 1 }}
      onClick={(event) => (event.shiftKey || event.metaKey || event.ctrlKey ? props.onSelect(row, event.shiftKey) : props.onPick(row))}
      onFocus={() => props.onFocus(row)}
    >
      <span class="mark" role="gridcell">
        <button class="tick-box" tabIndex={-1} aria-label={`Select ${nameOf(row)}`} aria-pressed={props.selected} onClick={(event) => (event.stopPropagation(), props.onSelect(row, event.shiftKey))}>
          <Glyph shape={shapeOf(row)} />
        </button>
      </span>
      <span class="body" role="gridcell">
        <span class="line-1">
          {props.unfolded !== null && (
            <button class="twist" tabIndex={-1} aria-label={props.unfolded ? "Fold" : "Unfold"} onClick={(event) => (event.stopPropagation(), props.onUnfold(row))}>
              {props.unfolded ? "▾" : "▸"}
            </button>
          )}
          <b class="name">{nameOf(row)}</b>
          <span class="goal">{row.goal}</span>
        </span>
        <span class="line-2">
          <span class="state">{wordOf(row)}</span>
          <span class="why" title={sentence(row.reason)}>{sentence(row.reason)}</span>
        </span>
        <span class="line-3">
          <BudgetBar account={row.usd} />
          <span class="cost">{usd(row.usd.spent)}</span>
          <span class="facts">{factsOf(row).join(" · ")}</span>
          <span class={`wake${row.waits_until_ms !== null ? " until" : ""}`}>{wakes === null ? "" : row.waits_until_ms !== null ? `${distance(wakes, now()).replace("in ", "")} left` : distance(wakes, now())}</span>
        </span>
      </span>
    </div>
  );
}

export function nameOf(row: Pick<Row, "id" | "name" | "behaviour">): string {
  return row.name ?? `${row.behaviour} ${short(row.id)}`;
}

function factsOf(row: Row): string[] {
  const facts = [`tick ${row.rev}`];
  if (row.children > 0) facts.push(several(row.children, "child", "children"));
  if (row.unread > 0) facts.push(`${row.unread} unread`);
  return facts;
}
