// Costs: what was spent, by whatever one asks, held against the ledgers; a chart of days and a table that adds up.

import { at } from "../api";
import { Chart, type Series } from "../parts/chart";
import { by, go } from "../place";
import { useLoaded } from "../state/loaded";
import type { CostRow, Costs as Told } from "../types";
import { count, short, usd } from "../words";

const ASKED: readonly (readonly [string, string])[] = [
  ["day,tier", "day and tier"],
  ["behaviour,tier", "behaviour and tier"],
  ["model", "model"],
  ["provider", "provider"],
  ["continuation", "continuation"],
  ["account", "account"],
  ["step", "step"],
  ["status", "status"],
];
const DAY_S = 86_400;

export function Costs() {
  const told = useLoaded<Told>(at("/v1/costs", { by: by.value }));
  const days = useLoaded<Told>(by.value === "day,tier" ? null : at("/v1/costs", { by: "day,tier" }));
  const rows = told.value?.items ?? [];
  const chart = perDay((by.value === "day,tier" ? told.value : days.value)?.items ?? []);
  const most = Math.max(1, ...rows.map((row) => row.usd_micros));
  const keys = told.value?.by ?? by.value.split(",");
  return (
    <section class="costs" aria-label="Costs">
      <div class="view-head">
        <h1>Costs</h1>
        {told.value !== null && <span class="hint">{usd(told.value.total_usd_micros)} told of, {usd(told.value.ledger_usd_micros)} in the ledgers</span>}
        <div class="switch" role="group" aria-label="Summed by">
          {ASKED.map(([keysOf, word]) => (
            <button key={keysOf} aria-pressed={by.value === keysOf} onClick={() => go({ by: keysOf === "day,tier" ? null : keysOf }, true)}>
              {word}
            </button>
          ))}
        </div>
      </div>
      <p class="refused" role="alert" hidden={told.error === ""}>
        {told.error}
      </p>
      {told.value !== null && told.value.open_usd_micros !== 0 && (
        <p class="hint">{usd(told.value.open_usd_micros)} between the two was spent before an import, or the feed dropped it before it was kept.</p>
      )}
      {chart.x.length > 0 && (
        <>
          <Chart label={chart.told} x={chart.x} series={chart.stacked} time bars />
          <ul class="legend" aria-label="Tiers">
            {chart.names.map((name, place) => (
              <li key={name}>
                <i class={`series-${(place % 6) + 1}`} aria-hidden="true" />
                {name}
              </li>
            ))}
          </ul>
        </>
      )}
      {told.value !== null && rows.length === 0 && <p class="empty">Nothing was spent yet.</p>}
      {rows.length > 0 && (
        <div class="table-box" tabIndex={0} role="region" aria-label="Table of costs">
          <table>
            <thead>
              <tr>
                {keys.map((key) => (
                  <th key={key} scope="col">
                    {key}
                  </th>
                ))}
                <th scope="col" class="n">
                  calls
                </th>
                <th scope="col" class="n">
                  tokens
                </th>
                <th scope="col" class="n">
                  dollars
                </th>
                <th scope="col">
                  <span class="unseen">share</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={keys.map((key) => row.by[key]).join("|")}>
                  {keys.map((key) => (
                    <td key={key}>{key === "continuation" ? <One id={row.by[key] ?? ""} /> : row.by[key]}</td>
                  ))}
                  <td class="n">{count(row.calls)}</td>
                  <td class="n">{count(row.tokens)}</td>
                  <td class="n">{usd(row.usd_micros)}</td>
                  <td class="share">
                    <span style={{ width: `${(100 * row.usd_micros) / most}%` }} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function One({ id }: { id: string }) {
  return (
    <button class="jump" title={id} onClick={() => go({ view: "timeline", id })}>
      {short(id)}
    </button>
  );
}

interface PerDay {
  x: number[];
  names: string[];
  /** Of each tier and those before it, the tallest first, so that each is drawn over the ones behind it. */
  stacked: Series[];
  told: string;
}

function perDay(rows: CostRow[]): PerDay {
  const known = rows.filter((row) => /^\d{4}-\d\d-\d\d/.test(row.by["day"] ?? ""));
  const dayOf = (row: CostRow): number => Date.parse(`${(row.by["day"] ?? "").slice(0, 10)}T00:00:00Z`) / 1000;
  const last = Math.max(...known.map(dayOf));
  const first = Math.min(last - 6 * DAY_S, ...known.map(dayOf));
  const x: number[] = [];
  for (let at = first; known.length > 0 && at <= last && x.length < 400; at += DAY_S) x.push(at);
  const names = [...new Set(known.map((row) => row.by["tier"] ?? "-"))];
  const sums = names.map((name) => x.map((at) => known.filter((row) => dayOf(row) === at && (row.by["tier"] ?? "-") === name).reduce((sum, row) => sum + row.usd_micros / 1e6, 0)));
  const stacked = names.map((name, place) => ({ name, values: x.map((_, at) => sums.slice(place).reduce((sum, tier) => sum + (tier[at] ?? 0), 0)) }));
  const whole = known.reduce((sum, row) => sum + row.usd_micros, 0);
  return { x, names, stacked, told: `Dollars per day by tier: ${usd(whole)} over ${x.length} days` };
}
