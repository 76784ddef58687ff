"""The settings of model calls: how patient one is, how many are under way, how long answers may take.

Not here: who is asked (`tiers` in maestro.settings, maestro.pager.targets), and what it costs.
"""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from maestro.pager.prices import Price
from maestro.pager.targets import parse_price
from maestro.settings_text import in_words
from maestro.tick.placing import PATIENCE, Patience


class PagerSettings(BaseSettings):
    """The part of `Settings` that model calls are made by."""

    failover_enabled: bool = True
    advisor_enabled: bool = True
    llm_max_retries: int = Field(default=3, ge=0, le=10)
    """Per target, after its first try."""
    llm_request_timeout_s: int = Field(default=60, ge=1, le=3_600)
    """Of one try."""
    pager_slots: int = Field(default=64, ge=1, le=10_000)
    """Model calls under way at once that a tick waits for; others wait, opus first."""
    pager_async_slots: int = Field(default=512, ge=1, le=10_000)
    """The same of calls that nobody waits for (`async`, `batch`): each holds a connection and memory, no process."""
    async_patience_s: int = Field(default=PATIENCE.async_ms // 1_000, ge=1, le=7 * 86_400)
    """How long the answer to an `async` call may take."""
    batch_patience_s: int = Field(default=PATIENCE.batch_ms // 1_000, ge=1, le=7 * 86_400)
    """How long the answer to a `batch` call may take."""
    batch_window_s: int = Field(default=PATIENCE.batch_window_ms // 1_000, ge=1, le=86_400)
    """Batched calls that were placed within one window leave together, at its end."""
    unknown_price: str = "15/75"
    """What a model costs that no list knows: IN/OUT, in dollars per million tokens; it is charged with a warning."""

    @field_validator("unknown_price")
    @classmethod
    def _price(cls, text: str) -> str:
        in_words(parse_price, text, "unknown_price")
        return text

    @property
    def conservative_price(self) -> Price:
        """What is charged where nobody knows the price."""
        return parse_price(self.unknown_price, "unknown_price").model_copy(update={"source": "conservative"})

    @property
    def patience(self) -> Patience:
        """How long calls may take that nobody waits for."""
        return Patience(self.async_patience_s * 1_000, self.batch_patience_s * 1_000, self.batch_window_s * 1_000)
