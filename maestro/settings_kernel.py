"""The settings of the context kernel: whether one runs on Serve, which engine it has, on what.

Not here: what an engine is (`maestro.field.kernel`).
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from maestro.field.embedding import DIMS
from maestro.field.kernel import TIME_LIMIT_MS, Engine, KernelOptions, check_pinned, check_replicas
from maestro.field.steady import DEADLINE_MS


class KernelSettings(BaseSettings):
    """The part of `Settings` that fields are ranked by."""

    kernel: Literal["off", "serve"] = "off"
    """Who ranks: the projector itself, in words, or a Serve deployment that `maestro up` keeps."""
    kernel_engine: Engine = "local"
    kernel_model: Path | None = None
    """The folder with the weights, on every machine that may run a replica."""
    kernel_revision: str | None = None
    """What `cat *.safetensors | sha256sum` says there: other weights are refused."""
    kernel_gpus: float = Field(default=0.0, ge=0, le=1)
    """Of each replica; below 1 is a share of one."""
    kernel_min_replicas: int = Field(default=1, ge=1, le=64)
    kernel_max_replicas: int = Field(default=1, ge=1, le=64)
    kernel_ongoing: int = Field(default=16, ge=1, le=10_000)
    """Requests that one replica works on at once."""
    kernel_deadline_ms: int = Field(default=DEADLINE_MS, ge=10, le=60_000)
    """How long a ranking may take before the last ranks stand in, marked degraded."""

    index: Literal["off", "local", "torch"] = "off"
    """Who makes vectors of what is told, so that fields find what is near their goal: nobody, the hashed n-grams of the
    engine `local`, or a model with torch."""
    index_dims: int = Field(default=DIMS, ge=8, le=4_096)
    """Of the vectors of `local`; those of a model have its own."""
    index_model: Path | None = None
    """The folder with the weights for `torch`; other weights are another model, and the index is made anew."""
    field_wait_ms: int = Field(default=500, ge=0, le=60_000)
    """How long the first reading of a field in a tick waits for what was told before it."""

    @property
    def kernel_options(self) -> KernelOptions:
        """What the deployment is made from."""
        return KernelOptions(
            engine=self.kernel_engine,
            model=self.kernel_model,
            revision=self.kernel_revision,
            gpus=self.kernel_gpus,
            min_replicas=self.kernel_min_replicas,
            max_replicas=self.kernel_max_replicas,
            max_ongoing_requests=self.kernel_ongoing,
            time_limit_ms=max(TIME_LIMIT_MS, self.kernel_deadline_ms),  # else it would refuse whoever still waits
        )

    @field_validator("index_model")
    @classmethod
    def _check_index_model(cls, model: Path | None, info: ValidationInfo) -> Path | None:
        check_pinned(model, "index_model", info.data.get("index") if info.data.get("index") != "off" else "local")
        return None if model is None else model.expanduser().absolute()

    @field_validator("kernel_model")
    @classmethod
    def _make_model_absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("kernel_model", "kernel_revision")
    @classmethod
    def _check_pinned(cls, given: Path | str | None, info: ValidationInfo) -> Path | str | None:
        return check_pinned(given, str(info.field_name), info.data.get("kernel_engine"))

    @field_validator("kernel_max_replicas")
    @classmethod
    def _check_replicas(cls, most: int, info: ValidationInfo) -> int:
        return check_replicas(most, info.data.get("kernel_min_replicas"))
