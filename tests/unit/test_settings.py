"""Settings: who wins, what is refused and in which words, and where secrets do not show."""

import json
from pathlib import Path

import pytest

from maestro.adapters.litellm import UNKNOWN_PRICE
from maestro.errors import InvalidInput
from maestro.settings import Settings, unknown_environment


@pytest.fixture(autouse=True)
def a_bare_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("here", "home"):
        (tmp_path / name).mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MAESTRO_HOME", str(tmp_path / "home"))
    return tmp_path


def written(place: Path, text: str, folder: str = "here") -> None:
    (place / folder / "maestro.toml").write_text(text)


def refusal(**arguments: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        Settings.load(**arguments)
    return caught.value


def test_without_anything_the_defaults_hold(a_bare_place: Path):
    settings = Settings.load()
    assert (settings.tenant, settings.partitions, settings.clock, settings.pool_size) == ("default", 1, "system", 3)
    assert (settings.lease_ms, settings.idle_ms, settings.tick_deadline_ms) == (10_000, 5_000, 600_000)
    assert (settings.swarm_size, settings.swarm_slots) == (1, 64)
    assert settings.default_budget["usd"] == 1_000_000
    assert settings.home == a_bare_place / "home"


def test_argument_beats_environment_beats_file_beats_default(a_bare_place: Path, monkeypatch: pytest.MonkeyPatch):
    written(a_bare_place, 'tenant = "file"\npool_size = 7\nidle_ms = 70\n')
    monkeypatch.setenv("MAESTRO_TENANT", "environment")
    monkeypatch.setenv("MAESTRO_POOL_SIZE", "8")
    settings = Settings.load(tenant="argument", pool_size=None)
    assert (settings.tenant, settings.pool_size, settings.idle_ms) == ("argument", 8, 70)


def test_the_file_of_the_current_folder_goes_before_that_of_the_home(a_bare_place: Path):
    written(a_bare_place, 'tenant = "home"', folder="home")
    assert Settings.load().tenant == "home"
    written(a_bare_place, 'tenant = "here"')
    assert Settings.load().tenant == "here"


def test_an_unknown_key_of_the_file_is_refused_with_its_line(a_bare_place: Path):
    written(a_bare_place, 'tenant = "a"\n\npol_size = 3\n')
    error = refusal()
    assert error.field == "pol_size"
    assert "maestro.toml, line 3: unknown key 'pol_size'" in error.message
    assert "pool_size" in str(error.hint)


@pytest.mark.parametrize("text", ['tenant = "a"\ntenant = "b"\n', "tenant = \n", "\ttenant : a\n"])
def test_a_file_that_is_not_toml_is_refused_with_its_line(a_bare_place: Path, text: str):
    written(a_bare_place, text)
    assert "line " in refusal().message


@pytest.mark.parametrize(
    ("text", "field", "hint"),
    [
        ('mac_key = "abc"', "mac_key", "mac_key_file"),
        ('redis_url = "redis://:pw@h/0"', "redis_url", "redis_password_file"),
        ('[tiers]\nopus = "a/b"\nopus_api_key = "sk"', "opus_api_key", "opus_api_key_file"),
    ],
)
def test_a_secret_in_the_file_is_refused(a_bare_place: Path, text: str, field: str, hint: str):
    written(a_bare_place, text)
    error = refusal()
    assert error.field == field
    assert hint in str(error.hint)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MAESTRO_PARTITIONS", "0", "greater than or equal to 1"),
        ("MAESTRO_PARTITIONS", "many", "valid integer"),
        ("MAESTRO_CLOCK", "sundial", "'system' or 'virtual'"),
        ("MAESTRO_TENANT", "a/b", "no valid tenant"),
        ("MAESTRO_REDIS_URL", "http://h", "redis://HOST:PORT/DB"),
        ("MAESTRO_DEFAULT_BUDGET_USD", "-1", "no amount of usd"),
        ("MAESTRO_BEHAVIOURS", "good.one,bad-one", "'bad-one' is no module name"),
        ("MAESTRO_FEEDS", "arxiv", "SUBJECT=http"),
        ("MAESTRO_UNKNOWN_PRICE", "0/75", "is not a price"),
        ("MAESTRO_ASKS_PER_DAY", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str):
    monkeypatch.setenv(name, value)
    error = refusal()
    assert error.field == name
    assert says in error.message
    assert name in str(error.hint)


def test_a_wrong_argument_names_itself_and_a_wrong_file_value_its_key(a_bare_place: Path):
    assert refusal(pool_size=0).field == "pool_size"
    written(a_bare_place, 'pool_size = "x"')
    assert "maestro.toml" in str(refusal().hint)


def test_what_a_model_without_a_price_costs_is_a_setting_and_never_nothing(monkeypatch: pytest.MonkeyPatch):
    assert Settings.load().conservative_price == UNKNOWN_PRICE
    monkeypatch.setenv("MAESTRO_UNKNOWN_PRICE", "30/150")
    price = Settings.load().conservative_price
    assert (price.input_micros_per_mtok, price.output_micros_per_mtok, price.source) == (
        30_000_000,
        150_000_000,
        "conservative",
    )


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAESTRO_BEHAVIOURS", "a.b, c")
    monkeypatch.setenv("MAESTRO_FEEDS", "arxiv.cs.AI=http://h/rss?a=1,2 news=https://n/x")
    settings = Settings.load()
    assert settings.behaviours == ("a.b", "c")
    assert settings.feeds == {"arxiv.cs.AI": "http://h/rss?a=1,2", "news": "https://n/x"}


def test_an_unknown_variable_is_a_warning_that_says_what_was_meant():
    warnings = unknown_environment({"MAESTRO_TENNANT": "x", "MAESTRO_TENANT": "x", "MAESTRO_TIER_OPUS_PRICE": "1/2"})
    assert warnings == ["MAESTRO_TENNANT is no setting of Maestro: did you mean MAESTRO_TENANT?"]


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("redis://:canary-1@h:1/0", "redis://h:1/0"),
        ("rediss://user:canary-1@h:1/0", "rediss://user@h:1/0"),
        ("unix://:canary-1@/run/a.sock?db=0", "unix:///run/a.sock?db=0"),
    ],
)
def test_the_password_of_the_store_shows_only_where_it_connects(url: str, bare: str):
    settings = Settings.load(redis_url=url)
    assert settings.redis_url == bare
    assert settings.store_url() == url
    assert "canary-1" not in repr(settings) + str(settings.shown()) + settings.to_json()


def test_secrets_cross_to_another_process_as_files(a_bare_place: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = {"MAESTRO_MAC_KEY": "canary-mac", "MAESTRO_TIER_OPUS_API_KEY": "canary-opus"}
    for name, value in {**secrets, "MAESTRO_TIER_OPUS": "openai/m"}.items():
        monkeypatch.setenv(name, value)
    sent = Settings.load(redis_url="redis://:canary-redis@h/0")
    text = sent.to_json()
    assert "canary" not in text + repr(sent) + str(sent.shown())
    for name in (*secrets, "MAESTRO_TIER_OPUS"):
        monkeypatch.delenv(name)
    received = Settings.from_json(text)
    assert received.store_url() == "redis://:canary-redis@h/0"
    assert received.mac_key_bytes() == b"canary-mac"
    key_file = received.tier_settings()["MAESTRO_TIER_OPUS_API_KEY_FILE"]
    assert Path(key_file).read_text() == "canary-opus"
    assert Path(key_file).stat().st_mode & 0o777 == 0o600
    assert {"canary-redis", "canary-mac", "canary-opus"} <= set(received.secret_values())


def test_a_profile_and_its_places_are_settings_and_their_keys_are_secrets(
    a_bare_place: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAESTRO_PROVIDER_CHAIN", "azure")
    monkeypatch.setenv("MAESTRO_FOUNDRY_ENDPOINT", "https://acme.services.ai.azure.com/anthropic")
    monkeypatch.setenv("MAESTRO_FOUNDRY_API_KEY", "very-secret")
    settings = Settings.load()
    assert settings.tier_settings()["MAESTRO_FOUNDRY_API_KEY"] == "very-secret"
    assert "very-secret" not in f"{settings!r} {settings.shown()} {settings.to_json()}"
    assert "very-secret" in settings.secret_values()
    handed = Settings.from_json(settings.to_json()).tier_settings()
    assert Path(handed["MAESTRO_FOUNDRY_API_KEY_FILE"]).read_text() == "very-secret"
    assert handed["MAESTRO_PROVIDER_CHAIN"] == "azure"
    assert not unknown_environment()


def test_what_was_handed_over_is_not_mixed_with_this_process(a_bare_place: Path, monkeypatch: pytest.MonkeyPatch):
    text = Settings.load(tenant="sender").to_json()
    monkeypatch.setenv("MAESTRO_TENANT", "receiver")
    monkeypatch.setenv("MAESTRO_TIER_OPUS", "openai/m")
    monkeypatch.setenv("MAESTRO_POOL_SIZE", "9")
    written(a_bare_place, "idle_ms = 77")
    received = Settings.from_json(text)
    assert (received.tenant, received.pool_size, received.idle_ms, received.tiers) == ("sender", 3, 5_000, {})
    assert received.having(pool_size=4).pool_size == 4
    with pytest.raises(InvalidInput):
        received.having(pool_size=0)


def test_an_unknown_key_in_what_was_handed_over_is_refused():
    text = json.dumps({**json.loads(Settings.load().to_json()), "novelty": 1})
    with pytest.raises(InvalidInput, match="novelty"):
        Settings.from_json(text)


def test_the_mac_key_is_made_once_and_only_ours(a_bare_place: Path):
    first = Settings.load().mac_key_bytes()
    path = a_bare_place / "home" / "mac.key"
    assert len(first) == 64
    assert first == Settings.load().mac_key_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="open to others"):
        Settings.load().mac_key_bytes()


def test_a_set_mac_key_goes_before_the_file(a_bare_place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAESTRO_MAC_KEY", "k" * 32)
    assert Settings.load().mac_key_bytes() == b"k" * 32
    assert not (a_bare_place / "home" / "mac.key").exists()


def test_settings_do_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().tenant = "other"  # type: ignore[misc]  # that is what is tested


def test_pools_come_from_the_file_or_as_json_and_complete_the_usual_ones(
    a_bare_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(a_bare_place, "pool_size = 2\n[pools.swarm]\nmin = 2\nslots = 8\n[pools.gpu.resources]\nnum_gpus = 1\n")
    pools = Settings.load().all_pools
    assert {name: (pool.min, pool.most, pool.slots) for name, pool in pools.items()} == {
        "default": (2, 2, 1),
        "swarm": (2, 2, 8),
        "gpu": (1, 1, 1),
    }
    assert pools["gpu"].resources.num_gpus == 1
    monkeypatch.setenv("MAESTRO_POOLS", '{"default": {"min": 1, "max": 8}}')
    received = Settings.from_json(Settings.load().to_json())
    assert (received.all_pools["default"].most, received.all_pools["swarm"].slots) == (8, 64)


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("[pools.default]\nmin = 3\nmax = 2\n", "pools.default", "max 2 is below min 3: raise max"),
        ("[pools.default]\nslots = 0\n", "pools.default.slots", "greater than or equal to 1"),
        ("[pools.default]\nsize = 3\n", "pools.default.size", "not permitted"),
        ("[pools.default.resources]\nnum_gpus = -1\n", "pools.default.resources.num_gpus", "use 0 to 1024"),
        ("[pools.Big]\nmin = 1\n", "pools", "'Big' is no name of a pool: write up to 32 of a-z"),
        ("[pools.dedicated-x]\nmin = 1\n", "pools", "is no name of a pool"),
    ],
)
def test_a_wrong_pool_is_refused_with_its_place(a_bare_place: Path, text: str, field: str, words: str) -> None:
    written(a_bare_place, text)
    told = refusal()
    assert told.field == field
    assert words in str(told)
    assert told.hint == "change pools in maestro.toml"


def test_pools_that_are_no_json_are_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, a_bare_place: Path
) -> None:
    monkeypatch.setenv("MAESTRO_POOLS", "default=3")
    assert (refusal().field, refusal().hint) == (
        "MAESTRO_POOLS",
        "set MAESTRO_POOLS to something else, or unset it",
    )
    assert '{"default": {"min": 2, "max": 8}}' in str(refusal())
