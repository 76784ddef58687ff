"""The faults that a run can inflict: what each does, how it heals, and what is expected meanwhile.

A wound is a value; who carries it out is the nemesis. Those faults of PROMISES 2 that need a moment inside a tick, a
second store or another version are shown by tests of their own: docs/faults.md lists all.
"""

from dataclasses import dataclass
from typing import Literal

Act = Literal[
    "kill", "pause", "end", "proxy", "flush_scripts", "cut_clients", "client_pause", "twin", "memory_limit", "kill_all"
]
Victims = Literal["store", "host", "loops", "supervisor", "root", "gcs", "raylet", "everything", "one", "all"]
BARE, CLUSTER = "bare", "cluster"
BOTH = (BARE, CLUSTER)


@dataclass(frozen=True, slots=True)
class Wound:
    """One fault."""

    id: str
    does: str
    heals: str
    expected: str
    act: Act
    victims: Victims
    mode: str = ""
    """Of the proxy, where the act is one."""
    lasts_s: tuple[float, float] = (0.0, 0.0)
    grounds: tuple[str, ...] = BOTH


# fmt: off
F1 = Wound("F1", "Redis gets kill -9", "started again on its data after a while", "nothing acknowledged is lost",
           "kill", "store", lasts_s=(0.0, 3.0))
F4 = Wound("F4", "Redis is stopped", "it goes on", "commits wait or are unknown; leases end safely",
           "pause", "store", lasts_s=(2.0, 8.0))
F5 = Wound("F5", "every command takes 50 ms longer", "it does not any more", "slower, and nothing else",
           "proxy", "all", mode="delay", lasts_s=(3.0, 8.0))
F5_PAUSE = Wound("F5", "Redis answers nobody for a second", "it does", "timers are late and not lost",
                 "client_pause", "store", lasts_s=(1.0, 2.0))
F6 = Wound("F6", "all are cut off from Redis", "the partition heals", "each goes on, or is fenced",
           "proxy", "all", mode="blackhole", lasts_s=(2.0, 8.0))
F6_ONE = Wound("F6", "one process is cut off from Redis", "it heals", "others take over what it held",
               "proxy", "one", mode="blackhole", lasts_s=(3.0, 8.0), grounds=(BARE,))
F6_DEAF = Wound("F6", "what Redis says does not arrive", "connections are reset",
                "outcomes are unknown, and asked again",
                "proxy", "all", mode="deaf_client", lasts_s=(1.0, 4.0))
F7 = Wound("F7", "a reply is lost after Redis did what was asked", "nothing to heal",
           "it is recognised when it is asked again",
           "proxy", "all", mode="drop_replies")
F7_RESET = Wound("F7", "all connections to Redis are reset", "new ones are made", "as a lost reply",
                 "proxy", "all", mode="reset", lasts_s=(0.2, 1.0))
F11 = Wound("F11", "Redis has no memory left", "it has again", "writes are refused whole, never half",
            "memory_limit", "store", lasts_s=(1.0, 4.0))
F17 = Wound("F17", "Redis forgets its scripts", "they are loaded again by who needs them", "nobody notices",
            "flush_scripts", "store")
F19 = Wound("F19", "Redis closes every connection", "new ones are made", "as a lost reply",
            "cut_clients", "store")
F21 = Wound("F21", "the control store of Ray gets kill -9", "the head is started again",
            "running ticks commit meanwhile", "kill", "gcs", lasts_s=(3.0, 5.0), grounds=(CLUSTER,))
F24 = Wound("F24", "the control store of Ray is stopped", "it goes on", "running ticks commit meanwhile",
            "pause", "gcs", lasts_s=(3.0, 8.0), grounds=(CLUSTER,))
F29 = Wound("F29", "a raylet gets kill -9", "a node is started again", "what it held goes on elsewhere",
            "kill", "raylet", lasts_s=(1.0, 3.0), grounds=(CLUSTER,))
F30 = Wound("F30", "a raylet is stopped", "it goes on",
            "two activations for a while, one of them fenced",
            "pause", "raylet", lasts_s=(3.0, 8.0), grounds=(CLUSTER,))
F36 = Wound("F36", "a process that ticks gets kill -9", "it is started again",
            "its tick is done again from the journal", "kill", "host")
F37 = Wound("F37", "a process that ticks is stopped beyond its lease", "it goes on", "its late commit is refused",
            "pause", "host", lasts_s=(4.0, 9.0))
F46 = Wound("F46", "a supervisor gets kill -9", "its parent starts it again", "its children go on",
            "kill", "supervisor", grounds=(CLUSTER,))
F47 = Wound("F47", "the root gets kill -9", "Ray starts it again", "as a supervisor",
            "kill", "root", grounds=(CLUSTER,))
F49 = Wound("F49", "all that tick get kill -9", "they are started again, paced", "all that they held goes on",
            "kill_all", "host")
F53 = Wound("F53", "relay, timekeeper, reaper and projector get kill -9", "they are started again",
            "what was on its way arrives, once", "kill", "loops")
F54 = Wound("F54", "there are two of relay and timekeeper", "one of them ends",
            "each row is delivered, each timer fires, once",
            "twin", "loops", lasts_s=(3.0, 8.0), grounds=(BARE,))
F60 = Wound("F60", "relay and timekeeper are stopped", "they go on", "late, once, in due order",
            "pause", "loops", lasts_s=(2.0, 8.0))
F81 = Wound("F81", "all that tick are told to end", "they are started again", "ticks end or are handed back",
            "end", "host", grounds=(BARE,))
F82 = Wound("F82", "everything gets kill -9 at once", "it is started again", "all promises",
            "kill_all", "everything")
# fmt: on

_PROCESS = (F36, F37, F46, F47, F49, F53, F54, F60, F81)
_STORE = (F1, F4, F5_PAUSE, F11, F17, F19)
_NETWORK = (F5, F6, F6_ONE, F6_DEAF, F7, F7_RESET)
_NODES = (F21, F24, F29, F30)
PROFILES: dict[str, tuple[Wound, ...]] = {
    "process": _PROCESS,
    "store": _STORE,
    "network": _NETWORK,
    "nodes": _NODES,
    "cold": (F82,),
    "everything": (*_PROCESS, *_STORE, *_NETWORK, *_NODES, F82),
}
