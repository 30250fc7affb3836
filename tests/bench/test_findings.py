import pytest

from bench.contestants import BARE, EXPRESS, KEYTURN
from bench.findings import GOALS, Findings, Goal, NotMeasuredError
from bench.throughput import NEW, ONE, SIGNATURE


def rounds(*rates: float) -> list[dict[str, float]]:
    return [{"rate": each, "p50_ms": 1.0, "p99_ms": 2.0, "rss": 5e7} for each in rates]


def test_one_bad_round_does_not_move_a_rate() -> None:
    found = Findings({"throughput": {KEYTURN.name: {ONE: rounds(9000, 100, 9100)}}})

    assert found.rate(KEYTURN.name, ONE) == 9000


def test_the_limit_is_a_bare_answer_and_one_signature() -> None:
    found = Findings({"throughput": {BARE.name: {ONE: rounds(10_000)}, SIGNATURE: [25, 25, 90]}})

    assert found.limit() == pytest.approx(1 / (100e-6 + 25e-6))


def test_figures_that_were_taken_side_by_side_are_compared_side_by_side() -> None:
    found = Findings({"rotation": {"during_ms": [2.0, 30.0, 3.0], "before_ms": [1.0, 20.0, 3.0]}})

    assert found.paired("rotation", "during_ms", "before_ms") == 1.5


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.what)
def test_a_goal_whose_figures_are_missing_is_not_measured(goal: Goal) -> None:
    with pytest.raises(NotMeasuredError):
        goal.figure(Findings({}))


def test_a_ratio_is_ours_over_theirs() -> None:
    found = Findings(
        {
            "throughput": {
                KEYTURN.name: {NEW: rounds(5000)},
                EXPRESS.name: {NEW: rounds(2000)},
            }
        }
    )
    (goal,) = (each for each in GOALS if each.what == "every token new ÷ Express")

    assert goal.figure(found) == 2.5


@pytest.mark.parametrize(
    ("at_most", "value", "met"),
    [(False, 2.0, True), (False, 1.9, False), (True, 2.0, True), (True, 2.1, False)],
)
def test_a_goal_is_met_from_its_bound_on(*, at_most: bool, value: float, met: bool) -> None:
    assert Goal("", 2, lambda _: value, at_most=at_most).is_met_by(value) is met
