"""What one decision of the policy kernel takes; there is no bare loop, only a bound."""

import time

from benchmarks.report import Goal, Outcome, Row, quantile
from maestro.continuation.goal import GoalFrame
from maestro.policy.gradient import Step
from maestro.policy.kernel import decide
