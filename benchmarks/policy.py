"""What one decision of the policy kernel takes; there is no bare loop to it, only a bound."""

import time

from benchmarks.report import Goal, Outcome, Row, Scale, quantile
from maestro.budget.ledger import Account
from maestro.budget.vector import USD
from maestro.policy.gradient import Step, Tier
from maestro.policy.kernel import decide
from maestro.policy.price import CallSize, TokenPrice
from maestro.policy.question import Question

PRICES = {
    Tier.OPUS: TokenPrice(input_micros=5_000_000, output_micros=25_000_000, cached_input_micros=500_000),
    Tier.SONNET: TokenPrice(input_micros=3_000_000, output_micros=15_000_000, cached_input_micros=300_000),
    Tier.HAIKU: TokenPrice(input_micros=1_000_000, output_micros=5_000_000, cached_input_micros=100_000),
}
"""USD per million tokens of DESIGN 8."""


async def measure(scale: Scale) -> Outcome:
    rounds = 2_000 if scale is Scale.QUICK else 20_000
    accounts = ({USD: Account(granted=1_000_000, spent=400_000)}, {USD: Account(granted=9_000_000)})
    seconds = []
    for number in range(rounds):
        step = tuple(Step)[number % len(Step)]
        question = Question(CallSize(input_tokens=8_000, output_tokens=800), PRICES, asked=step, budget=accounts)
        begun = time.perf_counter()
        decide(question)
        seconds.append(time.perf_counter() - begun)
    p50_us, p99_us = quantile(seconds, 0.5) * 1e6, quantile(seconds, 0.99) * 1e6
    goal = Goal("<= 20 us", at_most=20, absolute=True)
    return Outcome("policy", (Row("policy decision, p50", "us", p50_us, None, goal),), {"p99_us": round(p99_us, 2)})
