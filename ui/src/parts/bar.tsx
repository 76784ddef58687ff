// A budget at a glance: spent, reserved, lent to children, free; each told apart by its pattern and in words.

import type { Account } from "../types";
import { usd } from "../words";

/** `$0.42 of $1.50, $0.20 lent`, or what was spent where nothing limits it. */
export function budgetWords(account: Account): string {
  if (account.granted === null) return `${usd(account.spent)} spent, no limit`;
  const parts = [`${usd(account.spent)} of ${usd(account.granted)}`];
  if (account.reserved > 0) parts.push(`${usd(account.reserved)} reserved`);
  if (account.lent > 0) parts.push(`${usd(account.lent)} lent to children`);
  return parts.join(", ");
}

export function BudgetBar({ account }: { account: Account }) {
  const whole = account.granted ?? 0;
  const part = (amount: number): string => `${whole > 0 ? Math.min(100, (100 * amount) / whole) : 0}%`;
  const tight = account.granted !== null && account.free !== null && account.free <= whole * 0.1;
  return (
    <span class={`bar${whole === 0 ? " unlimited" : ""}${tight ? " tight" : ""}`} title={budgetWords(account)}>
      <span class="spent" style={{ width: part(account.spent) }} />
      <span class="reserved" style={{ width: part(account.reserved) }} />
      <span class="lent" style={{ width: part(account.lent) }} />
    </span>
  );
}
