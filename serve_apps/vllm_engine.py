"""The engine `vllm`: sentence embeddings or a cross-encoder, served by vLLM's AsyncLLM with its pooling runner.

The only module that imports vLLM (extra `gpu`); whoever chose another engine never loads it. What the model is, its
folder says: an architecture `...ForSequenceClassification` with one label is a cross-encoder, which reads goal and
entry together; any other is an encoder, of which the cosine of two embeddings is taken.

Invariants:
- in 32 bits, without prefix cache and without padding, and told to four decimals, which a score keeps whoever else is
  in the batch, that vLLM makes by itself of all requests under way; truncated as the engine `torch` truncates;
- no code that lies beside the weights is run, and nothing is fetched;
- the processes that vLLM starts end with this one, however it ends: one that a killed replica left behind would keep
  the memory of the GPU, and no other could start.

Source: vLLM 0.32 (`AsyncLLM.encode`, `PoolingParams`, `PoolerConfig`); spec/02 section 6.
"""

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import transformers
from vllm import PoolingParams
from vllm.config import PoolerConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.engine.async_llm import AsyncLLM

from maestro.adapters.torch.reader import HERE, PAIR_TOKENS, reads_pairs
from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.ranker import Rankable

DECIMALS = 4
MAX_TOKENS = 256  # of one text, as in the engine `torch`: what MiniLM was trained on
SHARE = 0.9  # of the GPU's memory that this replica may take
CPU_CACHE_BYTES = 1 << 28
"""Where there is no GPU: with a number vLLM neither asks for a share of the machine's memory nor warms up."""
MIND = """
import os, signal, sys
minded = [os.pidfd_open(int(pid)) for pid in sys.argv[1:]]
sys.stdin.buffer.read()  # until nobody holds the other end
for process in minded:
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""
"""vLLM's engine process does not look whether its parent lives."""


class VllmRanker:
    """maestro.field.ranker.Ranker over AsyncLLM.

    Args:
        model: the folder with the weights.
        gpus: the share of one GPU that Ray gave to this process; 0 for the CPU build.
    Raises:
        InvalidInput: a classifier with more than one label, which scores nothing.
    """

    def __init__(self, model: Path, gpus: float) -> None:
        self._reads_pairs = reads_pairs(model)
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(model), **HERE)
        before = set(psutil.Process().children(recursive=True))
        self._engine: Any = AsyncLLM.from_engine_args(_arguments(model, gpus, self._reads_pairs))
        self._minder = _mind(set(psutil.Process().children(recursive=True)) - before)
        self._numbers = itertools.count()

    def close(self) -> None:
        """Its processes have ended; a process that has opened two engines ends only after it closed them."""
        self._engine.shutdown()

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        if not entries:
            return []
        texts = [f"{entry.title}. {entry.body}" for entry in entries]
        try:
            if self._reads_pairs:
                return list(await asyncio.gather(*(self._read(goal.text, text) for text in texts)))
            wanted, *found = await asyncio.gather(*map(self._embedded, [goal.text, *texts]))
        except Exception as error:  # dead engine, refused prompt, no memory: vLLM has no common root for these
            raise RankerFailed(f"vLLM cannot rank: {error!r}"[:500]) from error
        return [_within(float(wanted @ one)) for one in found]

    async def _read(self, goal: str, text: str) -> float:
        """What a cross-encoder says of the pair, through a sigmoid: many a folder asks for the bare figure instead."""
        tokens = self._tokenizer(goal, text, truncation="longest_first", max_length=PAIR_TOKENS)
        kinds: list[int] = tokens.get("token_type_ids") or []
        extra = {"compressed_token_type_ids": kinds.index(1)} if 1 in kinds else None  # where the second text begins
        params = PoolingParams(task="classify", use_activation=False, extra_kwargs=extra)
        (said,) = (await self._pooled(tokens["input_ids"], params)).reshape(-1).sigmoid().tolist()
        return _within(said)

    async def _embedded(self, text: str) -> Any:
        """`(dims,) float32`, L2-normalised."""
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS)
        return await self._pooled(tokens["input_ids"], PoolingParams(task="embed", use_activation=True))

    async def _pooled(self, token_ids: list[int], params: PoolingParams) -> Any:
        told = self._engine.encode({"prompt_token_ids": token_ids}, params, str(next(self._numbers)))
        (answer,) = [output async for output in told]
        return answer.outputs.data


def _arguments(model: Path, gpus: float, reads_pairs: bool) -> AsyncEngineArgs:
    given: dict[str, Any] = (
        {"gpu_memory_utilization": SHARE * gpus} if gpus else {"kv_cache_memory_bytes": CPU_CACHE_BYTES}
    )
    if not reads_pairs and not (model / "modules.json").exists():
        given["pooler_config"] = PoolerConfig(seq_pooling_type="MEAN")  # a bare encoder does not say how it pools
    return AsyncEngineArgs(
        model=str(model),
        runner="pooling",
        dtype="float32",
        trust_remote_code=False,
        enforce_eager=True,
        enable_prefix_caching=False,
        disable_log_stats=True,
        **given,
    )


def _mind(processes: set[psutil.Process]) -> subprocess.Popen[bytes]:
    """These end when this process does; whoever minds them holds nothing of it but the end of a pipe."""
    pids = [str(process.pid) for process in processes]
    return subprocess.Popen([sys.executable, "-S", "-c", MIND, *pids], stdin=subprocess.PIPE, start_new_session=True)


def _within(score: float) -> float:
    return max(0.0, min(1.0, round(score, DECIMALS)))
