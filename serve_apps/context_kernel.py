"""The context kernel: a plain Serve deployment that says how well entries serve a goal.

    serve run serve_apps.context_kernel:build engine=local
    MAESTRO_KERNEL=serve maestro up

Invariants:
- a score depends on the goal and the entry only: requests share replicas and batches, never padding or arithmetic;
- a request ends within the time limit of its options, answered or refused; an engine that computes for longer than
  that in one batch is refused afterwards;
- the weights are those that the options pin, from a folder of this machine; no code that lies beside them is run, and
  no library that serves them asks the network for anything;
- there is no HTTP route: it is asked through a handle, inside the cluster.

What is not here: fallbacks and marks (`maestro.field.steady`, at the caller), and who keeps it deployed
(`actors.kernel_keeper`).

Source: spec/02 section 6; PROMISES F62-F64.
"""

import asyncio
import hashlib
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from ray import serve
from ray.serve import Application

from maestro.continuation.goal import GoalFrame
from maestro.errors import InvalidInput, RankerFailed
from maestro.field.kernel import Candidate, KernelAsk, KernelOptions
from maestro.field.local import LocalRanker
from maestro.field.ranker import Ranker, checked_scores

HEALTH_PERIOD_S = 5.0
HEALTH_TIMEOUT_S = 30.0  # one probe waits behind the batches that are under way
STARTS = 3  # a model that does not load three times does not load
BUSY = 0.7  # of what a replica takes at once: from there on another is started, where there may be one
CHUNK_BYTES = 1 << 20
PROBE = KernelAsk(goal=GoalFrame(goal="is it alive"), entries=(Candidate(id="probe", title="it is alive"),))
ENGINES = {"torch": "maestro.adapters.torch.ranker", "vllm": "serve_apps.vllm_engine"}
INSTALL = {"torch": "torch transformers", "vllm": "maestro-continuations[gpu]"}
SEALED = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
"""For libraries that read it when they are imported: they ask nobody for files, and tell nobody that they run."""
NOT_OURS = {"torch", "transformers", "vllm"}


class ContextKernel:
    """One replica.

    Args:
        options: `KernelOptions` as JSON.
    """

    def __init__(self, options: str) -> None:
        self._options = KernelOptions.model_validate_json(options)
        self._engine = open_engine(self._options)

    async def score(self, ask: str) -> dict[str, float]:
        """Candidate -> its score, of a `KernelAsk` as JSON.

        Raises:
            RankerFailed: it took too long, or the engine cannot answer.
        """
        try:
            async with asyncio.timeout(self._options.time_limit_ms / 1000):
                return await self._scores(KernelAsk.model_validate_json(ask))
        except TimeoutError:
            raise RankerFailed(f"not ranked within {self._options.time_limit_ms} ms") from None

    async def check_health(self) -> None:
        """Raises unless the engine ranks; Serve then takes another replica."""
        await self._scores(PROBE)

    async def _scores(self, ask: KernelAsk) -> dict[str, float]:
        scores: dict[str, float] = {}
        for first in range(0, len(ask.entries), self._options.batch):
            batch = ask.entries[first : first + self._options.batch]
            found = checked_scores(await self._engine.score(ask.goal, batch), len(batch))
            scores.update(zip((entry.id for entry in batch), found, strict=True))
            await asyncio.sleep(0)  # `local` never gives the loop back by itself: others, and the clock, get their turn
        return scores


def build(args: Mapping[str, object]) -> Application:
    """The application that these options describe; `serve run` and `serve deploy` call it by its path.

    Raises:
        InvalidInput: an option is unknown or wrong; it is named.
    """
    options = KernelOptions.read(args)
    deployment = serve.deployment(
        name=options.deployment,
        ray_actor_options={
            "num_gpus": options.gpus,
            "num_cpus": options.cpus,
            "runtime_env": {"env_vars": SEALED if options.engine in INSTALL else {}},
        },
        max_ongoing_requests=options.max_ongoing_requests,
        max_queued_requests=options.max_queued_requests,
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": max(1.0, BUSY * options.max_ongoing_requests),
        },
        health_check_period_s=HEALTH_PERIOD_S,
        health_check_timeout_s=HEALTH_TIMEOUT_S,
        max_constructor_retry_count=STARTS,
    )(ContextKernel)
    return deployment.bind(options.model_dump_json())


def open_engine(options: KernelOptions) -> Ranker:
    """The engine, with its weights in memory.

    Raises:
        InvalidInput: what it needs is not installed, or the weights are not there or not those that are pinned.
    """
    if options.engine == "local":
        return LocalRanker()
    if options.model is None or options.revision is None:
        raise InvalidInput(f"the engine {options.engine} needs a model and its revision", field="model")
    check_weights(options.model, options.revision)
    module = _module(options.engine)
    engine: Ranker = (
        module.TorchRanker(options.model)
        if options.engine == "torch"
        else module.VllmRanker(options.model, options.gpus)
    )
    return engine


def check_weights(folder: Path, revision: str) -> None:
    """The weights in `folder` are those of `revision`.

    Raises:
        InvalidInput: they are not there, or others.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InvalidInput(f"{folder} holds no *.safetensors", field="model", hint="name the folder with the weights")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as weights:
            while chunk := weights.read(CHUNK_BYTES):
                digest.update(chunk)
    if digest.hexdigest() != revision:
        raise InvalidInput(
            f"the weights in {folder} are {digest.hexdigest()}, not {revision}",
            field="revision",
            hint="other weights rank otherwise: put the old ones back, or pin these",
        )


def _module(engine: str) -> ModuleType:
    """The engine's module, imported by whoever chose that engine and by nobody else."""
    try:
        return importlib.import_module(ENGINES[engine])
    except ModuleNotFoundError as error:
        if error.name not in NOT_OURS:
            raise
        raise InvalidInput(
            f"the engine {engine} needs {error.name}, which is not installed here",
            field="engine",
            hint=f"pip install '{INSTALL[engine]}'",
        ) from error
