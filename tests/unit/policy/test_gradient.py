import pytest

from maestro.budget.ledger import Account
from maestro.policy.gradient import LADDER, Pressure, Step, Strain, Thresholds, Tier, alerted, relieve, strain, tabled
from tests.unit.policy.questions import calls, left

T = Thresholds()
OPUS, SONNET_ADVISOR, SONNET, HAIKU_ADVISOR, HAIKU = LADDER


@pytest.mark.parametrize(
    ("asked", "none", "downshift", "floor"),
    [
        (OPUS, OPUS, SONNET_ADVISOR, HAIKU),
        (SONNET_ADVISOR, SONNET_ADVISOR, HAIKU_ADVISOR, HAIKU),
        (SONNET, SONNET, HAIKU_ADVISOR, HAIKU),
        (HAIKU_ADVISOR, HAIKU_ADVISOR, HAIKU_ADVISOR, HAIKU),
        (HAIKU, HAIKU, HAIKU, HAIKU),
    ],
)
def test_the_table_is_that_of_the_specification(asked: Step, none: Step, downshift: Step, floor: Step) -> None:
    assert [tabled(asked, level) for level in Pressure] == [none, downshift, floor]


def test_there_are_five_steps_and_their_words_are_fixed() -> None:
    assert [step.value for step in LADDER] == ["opus", "sonnet+advisor", "sonnet", "haiku+advisor", "haiku"]
    assert [step.tier for step in LADDER] == [Tier.OPUS, Tier.SONNET, Tier.SONNET, Tier.HAIKU, Tier.HAIKU]
    assert [step.advisor for step in LADDER] == [False, True, False, True, False]
    assert [Step(word) for word in ("opus", "haiku+advisor")] == [OPUS, HAIKU_ADVISOR]


@pytest.mark.parametrize(
    ("permille", "level"),
    [
        (1000, Pressure.NONE),
        (601, Pressure.NONE),
        (600, Pressure.DOWNSHIFT),
        (599, Pressure.DOWNSHIFT),
        (301, Pressure.DOWNSHIFT),
        (300, Pressure.FLOOR),
        (299, Pressure.FLOOR),
        (0, Pressure.FLOOR),
    ],
)
def test_the_borders_of_pressure(permille: int, level: Pressure) -> None:
    assert strain((left(permille),), T) == Strain(usd=level, expensive_calls=Pressure.NONE)


def test_one_unit_decides_at_a_border_of_any_size() -> None:
    granted = 2**53 - 1
    border = granted * 600 // 1000
    above, on = ({"usd": Account(granted=granted, spent=granted - free)} for free in (border + 1, border))
    assert strain((above,), T).usd is Pressure.NONE
    assert strain((on,), T).usd is Pressure.DOWNSHIFT


def test_the_worse_of_money_and_expensive_calls_counts() -> None:
    assert strain((left(900) | calls(50),), T).worst is Pressure.DOWNSHIFT
    assert strain((left(200) | calls(50),), T).worst is Pressure.FLOOR
    assert strain((left(900) | calls(90),), T).worst is Pressure.NONE


def test_other_resources_have_no_say() -> None:
    assert strain((left(0, "tokens") | calls(0, "cheap_model_calls"),), T).worst is Pressure.NONE


def test_the_tightest_account_on_the_path_decides() -> None:
    assert strain((left(900), left(400), left(800)), T).worst is Pressure.DOWNSHIFT
    assert strain((left(100), left(900)), T).worst is Pressure.FLOOR


def test_what_is_unlimited_has_no_pressure() -> None:
    assert strain((), T).worst is Pressure.NONE
    assert strain(({"usd": Account(granted=None, spent=10**12)},), T).worst is Pressure.NONE


def test_reserved_and_lent_money_is_not_left() -> None:
    assert strain(({"usd": Account(granted=100, reserved=20, lent=20)},), T).usd is Pressure.DOWNSHIFT


def test_a_forbidden_or_overdrawn_resource_presses_hardest() -> None:
    assert strain(({"usd": Account(granted=0)},), T).usd is Pressure.FLOOR
    assert strain(({"usd": Account(granted=100, spent=150)},), T).usd is Pressure.FLOOR


@pytest.mark.parametrize(("spent", "told"), [(79, ()), (80, ("usd",)), (100, ("usd",))])
def test_the_alert_counts_spending_only(spent: int, told: tuple[str, ...]) -> None:
    assert alerted(({"usd": Account(granted=100, spent=spent)},), T) == told
    assert alerted(({"usd": Account(granted=100, reserved=100)},), T) == ()


def test_alerts_name_each_resource_once_in_order() -> None:
    path = (left(100) | left(0, "tool.api"), left(0), {"tokens": Account(granted=0), "tool.code": Account()})
    assert alerted(path, T) == ("tool.api", "usd")


def test_thresholds_are_settings() -> None:
    early = Thresholds(alert_used_permille=100, downshift_remaining_permille=950, floor_remaining_permille=900)
    assert strain((left(940),), early).worst is Pressure.DOWNSHIFT
    assert alerted((left(900),), early) == ("usd",)


CHEAP_FLOOR = Strain(usd=Pressure.FLOOR, expensive_calls=Pressure.NONE)
DOWNSHIFT = Strain(usd=Pressure.DOWNSHIFT, expensive_calls=Pressure.NONE)


def test_a_tabled_step_that_saves_nothing_falls_through_to_the_next_cheaper() -> None:
    prices = {OPUS: 100, SONNET_ADVISOR: 100, SONNET: 60, HAIKU_ADVISOR: 30, HAIKU: 10}
    assert relieve(LADDER, DOWNSHIFT, prices.__getitem__) == (SONNET, "cost_guard")


def test_where_nothing_is_cheaper_the_asked_step_stays() -> None:
    prices = {OPUS: 50, SONNET_ADVISOR: 400, SONNET: 300, HAIKU_ADVISOR: 150, HAIKU: 100}
    assert relieve(LADDER, DOWNSHIFT, prices.__getitem__) == (OPUS, "no_saving")
    assert relieve(LADDER, CHEAP_FLOOR, prices.__getitem__) == (OPUS, "no_saving")


def test_a_floor_is_haiku_unless_the_downshift_is_cheaper_still() -> None:
    prices = {OPUS: 100, SONNET_ADVISOR: 40, SONNET: 30, HAIKU_ADVISOR: 90, HAIKU: 80}
    assert relieve(LADDER, CHEAP_FLOOR, prices.__getitem__) == (SONNET_ADVISOR, "downshift")
    assert relieve(LADDER, CHEAP_FLOOR, (prices | {HAIKU: 39}).__getitem__) == (HAIKU, "floor")


def test_when_expensive_calls_run_out_haiku_is_taken_at_any_price() -> None:
    prices = {OPUS: 50, SONNET_ADVISOR: 400, SONNET: 300, HAIKU_ADVISOR: 150, HAIKU: 100}
    short_of_calls = Strain(usd=Pressure.NONE, expensive_calls=Pressure.FLOOR)
    assert relieve(LADDER, short_of_calls, prices.__getitem__) == (HAIKU, "floor")


def test_a_step_that_is_not_allowed_is_passed_over() -> None:
    prices = dict(zip(LADDER, (100, 80, 60, 40, 20), strict=True))
    assert relieve((OPUS, HAIKU), DOWNSHIFT, prices.__getitem__) == (HAIKU, "cost_guard")
    assert relieve((OPUS,), CHEAP_FLOOR, prices.__getitem__) == (OPUS, "no_saving")
