"""Opening the index of an installation: whose vectors it has, and whose it shall have.

An index that another embedder made goes on serving, if that one is still to be had, until it is made anew in the
background; else it begins anew from the log.
"""

import asyncio
import importlib
from pathlib import Path

from maestro.adapters.faiss.vectors import FaissStock
from maestro.continuation.envelope import Seal
from maestro.errors import InvalidInput
from maestro.field.embedding import Embedder, HashedEmbedder
from maestro.field.index import Index
from maestro.field.ranker import Ranker
from maestro.field.vectors import Header
from maestro.runtime.backend import Backend
from maestro.runtime.gathering import Gatherer
from maestro.settings import Settings

NUMBERS_PER_MS = 1_000
"""What is told after the opening is numbered higher than all that any process had numbered before."""


async def open_gatherer(settings: Settings, backend: Backend, ranker: Ranker) -> Gatherer:
    """The loop that keeps the index and looks in it.

    Raises:
        InvalidInput: what the model needs is not installed.
    """
    stock = FaissStock(index_folder(settings))
    wanted = await asyncio.to_thread(open_embedder, settings)
    kept = await asyncio.to_thread(stock.read)
    serving = wanted if kept is None else _embedder_of(kept[0].header, wanted)
    at_least = await backend.clock.now_ms() * NUMBERS_PER_MS
    index = Index(serving or wanted, stock, kept if serving is not None else None, at_least)
    return Gatherer(backend, Seal(settings.mac_key_bytes()), ranker, index, wanted, settings.kernel_deadline_ms)


def index_folder(settings: Settings) -> Path:
    """Where the index of this tenant is kept between two processes."""
    return settings.home / "index" / settings.tenant


def open_embedder(settings: Settings) -> Embedder:
    """Whoever makes vectors by these settings.

    Raises:
        InvalidInput: what the model needs is not installed, or there is no model.
    """
    if settings.index != "torch":
        return HashedEmbedder(settings.index_dims)
    try:
        module = importlib.import_module("maestro.adapters.torch.embedder")
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"the index by torch needs {error.name}", field="index", hint="pip install torch transformers"
        ) from error
    try:
        embedder: Embedder = module.TorchEmbedder(settings.index_model)
    except (OSError, ValueError) as error:  # what transformers raises of a folder that holds no model
        raise InvalidInput(
            f"{settings.index_model} holds no model: {error}"[:500], field="index_model", hint="name the folder"
        ) from error
    return embedder


def _embedder_of(header: Header, wanted: Embedder) -> Embedder | None:
    """Whoever made the vectors of that header, if he is to be had without a model that may be gone."""
    candidates = (wanted, HashedEmbedder(header.dims))
    return next((embedder for embedder in candidates if embedder.name == header.model), None)
