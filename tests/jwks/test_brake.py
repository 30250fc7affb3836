from hypothesis import given
from hypothesis import strategies as st

from server.jwks.brake import TokenBucket, UnknownKeyBrake


def test_a_bucket_gives_its_burst_and_then_one_each_interval() -> None:
    bucket = TokenBucket(burst=2, interval=30)

    assert [bucket.take(now=time) for time in (0, 0, 0, 29, 30, 31, 59, 61)] == [
        True, True, False, False, True, False, False, True,
    ]  # fmt: skip


def test_a_bucket_holds_no_more_than_its_burst() -> None:
    bucket = TokenBucket(burst=2, interval=30)
    bucket.give_back()

    assert [bucket.take(now=10**6) for _ in range(3)] == [True, True, False]


@given(st.lists(st.floats(0, 10_000), max_size=200))
def test_no_flood_gets_more_than_the_bound(times: list[float]) -> None:
    bucket = TokenBucket(burst=2, interval=30)

    taken = sum(bucket.take(now=time) for time in sorted(times))

    assert taken <= 2 + (max(times, default=0) - min(times, default=0)) / 30 + 1e-6


def test_a_permit_in_reserve_is_not_taken() -> None:
    bucket = TokenBucket(burst=2, interval=30)

    assert [bucket.take(now=0, reserve=1) for _ in range(3)] == [True, False, False]
    assert bucket.take(now=0)


def test_a_key_that_is_known_to_be_absent_never_takes_the_last_permit() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_change(added=[], removed=["dead"])

    assert [brake.permits("dead", now=time) for time in (0, 1, 20)] == [True, False, False]
    assert brake.permits("new", now=21)


def test_a_dead_token_that_is_sent_on_leaves_a_permit_for_each_rotation() -> None:
    brake = UnknownKeyBrake(cooldown=30)

    assert brake.permits("dead", now=0)
    brake.learn_absent("dead", now=0)
    for now in range(1, 600, 20):
        kid = f"turn-{now}"
        assert brake.permits(kid, now=now)
        brake.reward([kid], now=now)
        brake.learn_change(added=[kid], removed=[], past_caches=True)
        if not brake.remembers("dead", now=now) and brake.permits("dead", now=now):
            brake.learn_absent("dead", now=now)


def test_after_a_change_absent_keys_may_be_asked_for_again() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_absent("early", now=0)

    brake.learn_change(added=["another"], removed=[])

    assert not brake.remembers("early", now=1)
    assert brake.permits("early", now=1)


def test_a_key_that_has_come_back_is_like_any_other() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_change(added=[], removed=["back"])
    brake.learn_change(added=["back", "other"], removed=[])

    assert [brake.permits("back", now=0) for _ in range(3)] == [True, True, False]


def test_only_so_many_absent_keys_are_remembered() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_change(added=[], removed=[str(number) for number in range(1024)])
    brake.learn_change(added=[], removed=["0", "one more"])

    assert [brake.permits("0", now=0) for _ in range(2)] == [True, False], "it was named again"
    assert brake.permits("1", now=0), "the oldest is forgotten"


def test_a_fetch_that_brought_a_new_key_is_free() -> None:
    brake = UnknownKeyBrake(cooldown=30)

    for number in range(20):
        assert brake.permits(str(number), now=0)
        brake.reward([str(number)], now=0)


def test_a_key_that_comes_back_earns_nothing() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_change(added=[], removed=["back"])

    for _ in range(2):
        assert brake.permits("invented", now=0)
        brake.reward(["back"], now=0)

    assert not brake.permits("invented", now=0)


def test_new_keys_without_end_are_not_free_without_end() -> None:
    brake = UnknownKeyBrake(cooldown=30)

    fetches = 0
    for number in range(1000):
        if brake.permits(f"invented-{number}", now=0):
            fetches += 1
            brake.reward([f"new-{number}"], now=0)

    assert fetches == 2 + 32


@given(st.lists(st.tuples(st.floats(0, 1000), st.sampled_from("abcd")), max_size=200))
def test_whatever_is_known_to_be_absent_the_bound_holds(asked: list[tuple[float, str]]) -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_change(added=[], removed="ab")

    asked.sort()
    taken = sum(brake.permits(key_id, now=time) for time, key_id in asked)

    elapsed = asked[-1][0] - asked[0][0] if asked else 0
    assert taken <= 2 + elapsed / 30 + 1e-6


def test_a_key_that_the_issuer_was_asked_for_in_vain_is_remembered_for_half_a_minute() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_absent("invented", now=0)

    assert [brake.remembers("invented", now=now) for now in (0, 29, 30)] == [True, True, False]
    assert not brake.remembers("another", now=0)


def test_other_keys_make_what_was_remembered_out_of_date() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    brake.learn_absent("early", now=0)
    brake.learn_change(added=["new"], removed=["old"])

    assert not brake.remembers("early", now=1)
    assert not brake.remembers("old", now=1), "it may be back: two servers may disagree"


def test_only_so_many_keys_are_remembered() -> None:
    brake = UnknownKeyBrake(cooldown=30)
    for number in range(1025):
        brake.learn_absent(str(number), now=0)

    assert not brake.remembers("0", now=1)
    assert all(brake.remembers(str(number), now=1) for number in range(1, 1025))


def test_a_permit_that_was_not_needed_is_given_back() -> None:
    brake = UnknownKeyBrake(cooldown=30)

    for number in range(10):
        assert brake.permits(str(number), now=0)
        brake.give_back()
