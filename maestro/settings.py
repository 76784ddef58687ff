"""Every setting of Maestro, in one frozen model, read once at a process's edge and handed down.

    arguments > environment `MAESTRO_*` > names of others there > maestro.toml (here, else in MAESTRO_HOME) > default

Invariants: an unknown key is refused with its line, a wrong value with the name to change; a secret never shows in a
repr, in `shown()` or in `to_json()`, where a file stands for it; what comes from `from_json` is taken whole: neither
the environment nor a file of the receiving process is mixed in.

Not here: what a target of a tier means (`maestro.pager.targets`), and whether the store's own settings keep the
promises (`maestro doctor`).
"""

import difflib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from maestro import settings_aliases, settings_file, settings_text
from maestro.budget.accounts import check_path
from maestro.budget.vector import Budget, BudgetVector, usd_micros
from maestro.continuation.bounds import TtlDefaults
from maestro.errors import InvalidInput
from maestro.home import default_home, keep_private, private_folder, private_text, read_private
from maestro.ids import check_label
from maestro.mesh.egress import Egress
from maestro.runtime.pooling import Pool
from maestro.settings_kernel import KernelSettings
from maestro.settings_pager import PagerSettings
from maestro.settings_pane import PaneSettings
from maestro.settings_store import StoreSettings
from maestro.settings_tools import ToolSettings
from maestro.settings_tracing import TracingSettings

PREFIX = "MAESTRO_"
NOT_OURS_TO_READ = frozenset({"MAESTRO_CLUSTER", "MAESTRO_LOGS"})
"""Set by Maestro itself, in the environment of the processes it starts."""
MAC_KEY_BYTES = 32


class Settings(PagerSettings, KernelSettings, StoreSettings, ToolSettings, PaneSettings, TracingSettings):
    """What one installation is told; `Settings.load()` makes it."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(default_factory=default_home)
    tenant: str = "default"

    clock: Literal["system", "virtual"] = "system"
    mac_key: SecretStr | None = None
    mac_key_file: Path | None = None

    ray_address: str | None = None
    """None means the local cluster that `maestro up` starts."""
    local_nodes: int = Field(default=1, ge=1, le=16)
    """How many Ray nodes the local cluster has; all on this machine."""
    gcs_redis_url: str | None = None
    """Where Ray keeps its own state, without the password: another server than ours. None means its memory."""
    gcs_redis_password_file: Path | None = None
    ray_cpus: int | None = Field(default=None, ge=1)
    """None means as many as the machine has."""
    insecure_dev: bool = False
    """Whether `maestro up` goes on with a store or a cluster that is known not to keep the promises."""
    heart: bool = True
    """Whether `maestro up` leaves a process that starts again what dies of what it started on this machine."""
    store_patience_ms: int = Field(default=60_000, ge=1_000)
    """How long the embedded server may say nothing before the heart ends it and starts it again."""
    dashboard_port: int = Field(default=8265, ge=0, le=65535)
    """Wished for; another is taken where it is in use."""
    pane_port: int = Field(default=8700, ge=0, le=65535)

    behaviours: Annotated[tuple[str, ...], NoDecode] = ()
    supervised: Annotated[tuple[str, ...], NoDecode] = ()
    """Where the child specs of actors of your own stand: `my_package.my_module:NAME`."""
    feeds: Annotated[Mapping[str, str], NoDecode] = Field(default_factory=dict)
    """Subject -> URL of a feed."""
    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    """What may be called beside the public web: HOST, HOST:PORT or a network, comma between two."""
    pools: Annotated[Mapping[str, Pool], NoDecode] = Field(default_factory=dict)
    """Name -> what that pool is to be; the next three say it of `default` and `swarm` where they are not named here."""
    pool_size: int = Field(default=3, ge=1, le=1000)
    swarm_size: int = Field(default=1, ge=0, le=1000)
    swarm_slots: int = Field(default=64, ge=1, le=4096)
    max_resident: int | None = Field(default=None, ge=1, le=100_000)
    """Actors of continuations on one node, of all pools and dedicated ones; None: only their pools limit them."""
    lease_ms: int = Field(default=10_000, ge=500)
    idle_ms: int = Field(default=5_000, ge=50)
    linger_ms: int = Field(default=30_000, ge=100)
    """How long a dedicated actor stays without work before it ends."""
    tick_deadline_ms: int = Field(default=600_000, ge=1_000)
    actor_memory_mib: int | None = Field(default=None, ge=64)
    """Resident memory at which an actor of a pool ends itself; no limit by default."""
    shutdown_grace_ms: int = Field(default=10_000, ge=0)
    default_budget_usd: str = "1.00"
    account: str | None = None
    """TENANT/KEY/PROJECT/SESSION, or less: out of which account roots are lent their budget; None asks nobody."""
    policy_file: Path | None = None
    """What the policy kernel decides by, in TOML (docs/policy.schema.json); None means as shipped."""
    ttl_user_reply_s: int = Field(default=3_600, ge=1)
    ttl_approval_resolution_s: int = Field(default=86_400, ge=1)
    ttl_external_result_s: int = Field(default=3_600, ge=1)
    ttl_scheduled_wake_s: int = Field(default=3_600, ge=1)
    """Counted from the moment of the wake."""
    max_resume_attempts: int = Field(default=10, ge=1)
    asks_per_day: int | None = Field(default=None, ge=1)
    """How many questions one continuation puts to people on one day (UTC); the rest is a digest. None: no limit."""
    mcp_file: Path | None = None
    """Which MCP servers there are, in TOML; what was approved of them lies beside it. None means none."""
    notify_url: str | None = None
    """Where approvals are told of, by POST (http, https) or e-mail (smtp, smtps); None means that people look."""
    notify_password_file: Path | None = None

    tiers: Annotated[Mapping[str, str], NoDecode] = Field(default_factory=dict)
    """MAESTRO_TIER_*, and the profile and places of `maestro.adapters.litellm.profiles`, by full name, without keys."""
    tier_keys: Annotated[Mapping[str, SecretStr], NoDecode] = Field(default_factory=dict)

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls, **arguments: object) -> Self:
        """The settings of this process; an argument that is None counts as not given.

        Raises:
            InvalidInput: a value is wrong or a key of maestro.toml unknown; names where, and the fix.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]  # names and types are what pydantic checks
        except ValidationError as error:
            raise _as_invalid_input(error, given) from None

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """The settings that another process handed over with `to_json()`; a secret is read when it is needed."""
        return _HandedOver.load(**settings_file.parse_json(text))

    def to_json(self) -> str:
        """These settings without any secret: one held by value is in a private file below `home` from now on."""
        kept: dict[str, JsonValue] = {}
        if self.redis_password is not None:
            kept["redis_password_file"] = str(self._keep("redis_password", self.redis_password))
        if self.mac_key is not None:
            kept["mac_key_file"] = str(self._keep("mac_key", self.mac_key))
        files = {f"{name}_FILE": str(self._keep(name.lower(), key)) for name, key in self.tier_keys.items()}
        plain = self.model_dump(mode="json", exclude={"redis_password", "mac_key", "tier_keys"}, exclude_none=True)
        return settings_file.render_json({**plain, **kept, "tiers": {**self.tiers, **files}})

    def having(self, **changes: object) -> "Settings":
        """These settings with `changes`, checked; nothing is read again.

        Raises:
            InvalidInput: a changed value is wrong.
        """
        return _HandedOver.load(**{**self.model_dump(), **changes})

    def mac_key_bytes(self) -> bytes:
        """The key that seals what is stored; made in `home` at first use where none is set."""
        text = self.secret_of(self.mac_key, self.mac_key_file)
        home = self.home if text or self.home.exists() else private_folder(self.home)
        made = text or private_text(home / "mac.key", lambda: secrets.token_hex(MAC_KEY_BYTES))
        return made.encode()

    def tier_settings(self) -> Mapping[str, str]:
        """MAESTRO_TIER_* with the keys, for `profiles.chains_of` in the process that calls models."""
        return {**self.tiers, **{name: key.get_secret_value() for name, key in self.tier_keys.items()}}

    @property
    def default_budget(self) -> BudgetVector:
        """What a root gets that is started without a budget."""
        return Budget(usd=self.default_budget_usd)

    @property
    def all_pools(self) -> Mapping[str, Pool]:
        """Every pool by its name, those without settings of their own too."""
        usual = {"default": Pool(min=self.pool_size), "swarm": Pool(min=self.swarm_size, slots=self.swarm_slots)}
        return {**usual, **self.pools}

    @property
    def ttl_defaults(self) -> TtlDefaults:
        """How long waits last where neither they nor their continuation's bounds say it."""
        return TtlDefaults(
            user_reply_ms=self.ttl_user_reply_s * 1_000,
            approval_resolution_ms=self.ttl_approval_resolution_s * 1_000,
            external_result_ms=self.ttl_external_result_s * 1_000,
            scheduled_wake_ms=self.ttl_scheduled_wake_s * 1_000,
            max_resume_attempts=self.max_resume_attempts,
        )

    def secret_values(self) -> Sequence[str]:
        """Every secret that this process can read by itself: what the logs must never show."""
        held = [self.secret_of(self.redis_password, self.redis_password_file), self.mac_key_bytes().decode()]
        held += [
            self.secret_of(None, file)
            for file in (self.notify_password_file, self.gcs_redis_password_file, self.mail_password_file)
        ]
        if self.otel_headers_file is not None:
            held += [line.partition("=")[2].strip() for line in read_private(self.otel_headers_file).splitlines()]
        files = [read_private(Path(path)) for name, path in self.tiers.items() if name.endswith("_FILE")]
        keys = [key.get_secret_value() for key in self.tier_keys.values()]
        texts = [text for text in (*held, *files, *keys) if text]
        return [*texts, *(part.strip() for text in texts for part in text.split(",") if part != text)]

    def shown(self) -> Mapping[str, str]:
        """Each setting as `doctor` prints it; secrets say only that they are set."""
        dumped = self.model_dump()
        return {name: "set, hidden" if _is_secret(value) else str(value) for name, value in dumped.items()}

    def _keep(self, name: str, value: SecretStr) -> Path:
        return keep_private(self.home / "secrets" / name, value.get_secret_value())

    @model_validator(mode="before")
    @classmethod
    def _split_redis_password(cls, given: object) -> object:
        return settings_text.split_redis_password(given)

    @field_validator("notify_url")
    @classmethod
    def _check_notify_url(cls, url: str | None) -> str | None:
        return settings_text.notify_url(url)

    @field_validator(
        "home",
        "mac_key_file",
        "notify_password_file",
        "gcs_redis_password_file",
        "policy_file",
        "mcp_file",
    )
    @classmethod
    def _make_absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("tenant")
    @classmethod
    def _check_tenant(cls, tenant: str) -> str:
        return settings_text.in_words(check_label, tenant, "tenant")

    @field_validator("account")
    @classmethod
    def _check_account(cls, path: str | None) -> str | None:
        return None if path is None else settings_text.in_words(check_path, path)

    @field_validator("default_budget_usd")
    @classmethod
    def _check_budget(cls, usd: str) -> str:
        settings_text.in_words(usd_micros, usd)
        return usd

    @field_validator("behaviours", "supervised", "egress_allow", mode="before")
    @classmethod
    def _split_names(cls, given: object) -> object:
        return settings_text.names(given)

    @field_validator("behaviours")
    @classmethod
    def _check_behaviours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return settings_text.modules(names)

    @field_validator("supervised")
    @classmethod
    def _check_supervised(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        return settings_text.paths(paths)

    @field_validator("egress_allow")
    @classmethod
    def _check_egress(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        settings_text.in_words(Egress.parse, entries)
        return entries

    @field_validator("feeds", mode="before")
    @classmethod
    def _split_feeds(cls, given: object) -> object:
        return settings_text.feeds(given)

    @field_validator("pools", mode="before")
    @classmethod
    def _read_pools(cls, given: object) -> object:
        return settings_text.pools(given)

    @field_validator("pools")
    @classmethod
    def _check_pools(cls, pools: Mapping[str, Pool]) -> Mapping[str, Pool]:
        return settings_text.pool_names(pools)

    @field_validator("tiers")
    @classmethod
    def _check_tiers(cls, tiers: Mapping[str, str]) -> Mapping[str, str]:
        for name in tiers:
            if not settings_file.MODEL_SETTING.fullmatch(name):
                raise ValueError(f"{name} is unknown: see MAESTRO_TIER_OPUS, and its _API_BASE, _API_KEY_FILE, _PRICE")
        return tiers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, names of others in it last, then maestro.toml."""
        home = init_settings().get("home") or env_settings().get("home") or default_home()
        written = settings_file.read_toml(settings_file.find(Path(str(home))), frozenset(settings_cls.model_fields))
        tiers = InitSettingsSource(settings_cls, settings_file.models_of(os.environ))
        others = InitSettingsSource(settings_cls, settings_aliases.aliased(os.environ))
        return init_settings, env_settings, others, tiers, InitSettingsSource(settings_cls, written)


class _HandedOver(Settings):
    """Settings that came whole from another process: nothing of this process is mixed in."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was handed over, and nothing else."""
        return (init_settings,)


def unknown_environment(environ: Mapping[str, str] = os.environ) -> Sequence[str]:
    """A warning for each MAESTRO_* name that no setting answers to."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name} is no setting of Maestro{_did_you_mean(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and name not in known | NOT_OURS_TO_READ
        and not settings_file.MODEL_SETTING.fullmatch(name)
        and not settings_file.MODEL_KEY.fullmatch(name)
    ]


def _did_you_mean(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f": did you mean {near[0]}?" if near else ""


def _is_secret(value: object) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, Mapping) and any(map(_is_secret, value.values())))


def _as_invalid_input(error: ValidationError, arguments: Mapping[str, object]) -> InvalidInput:
    """The first complaint, told about the place where the value can be changed."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    within = ".".join(map(str, first["loc"][1:])) if name == "pools" else ""
    variable = PREFIX + name.upper()
    if name in arguments:
        place, fix = name, f"give another {name}"
    elif any(held.upper() == variable for held in os.environ):
        place, fix = variable, f"set {variable} to something else, or unset it"
    elif (alias := settings_aliases.alias_of(name, os.environ)) is not None:
        place, fix = alias, f"set {variable}, which goes before {alias}, or unset both"
    else:
        place, fix = name, f"change {name} in maestro.toml"
    place = f"{place}.{within}" if within else place
    return InvalidInput(f"{place}: {first['msg'].removeprefix('Value error, ')}", field=place, hint=fix)
