"""The names of `maestro` as type checkers see them; at run time they are handed out lazily."""

from maestro.budget.vector import Budget as Budget
from maestro.client import ContinuationHandle as ContinuationHandle
from maestro.client import Maestro as Maestro
from maestro.continuation.directive import Fail as Fail
from maestro.continuation.directive import Finish as Finish
from maestro.continuation.directive import Sleep as Sleep
from maestro.continuation.directive import Wait as Wait
from maestro.continuation.finding import Finding as Finding
from maestro.continuation.goal import GoalFrame as GoalFrame
from maestro.continuation.mail import Mail as Mail
from maestro.mesh.event import Event as Event
from maestro.tick.behaviour import Behaviour as Behaviour
from maestro.tick.context import Tick as Tick
from maestro.tick.migration import migrates as migrates
from maestro.tools.spec import tool as tool
