"""Model providers through LiteLLM, and the rehearsal model behind its custom-provider seam.

Importing this package is cheap; `open_dispatch` imports litellm (2 s and 176 MB): it belongs in the pager's process.
"""

import os

from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.pager.retries import RetryPolicy
from maestro.pager.targets import Chains

__all__ = ["UNKNOWN_PRICE", "open_dispatch"]

# Else litellm fetches a price map over the network while it is imported (DEPENDENCIES 4).
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

UNKNOWN_PRICE = Price(input_micros_per_mtok=15_000_000, output_micros_per_mtok=75_000_000, source="conservative")
"""What a target costs that is in no list and has no override: dearer than any model of the three tiers."""


def open_dispatch(
    chains: Chains,
    policy: RetryPolicy | None = None,
    unknown_price: Price = UNKNOWN_PRICE,
    advises: bool = True,
) -> FailoverModelRouter:
    """A ModelDispatch over `chains`, ready to answer; litellm is loaded from here on.

    Args:
        advises: a request that wants an advisor gets one; False: it is answered without.
    """
    from maestro.adapters.litellm.dispatch import LiteLLMDispatch  # noqa: PLC0415 - the process entry of litellm

    return LiteLLMDispatch(chains, policy, unknown_price, advises)
