import io
import json
from pathlib import Path

import pytest

from bench import parts
from bench.client import p99_ms, percentile
from bench.issuer import SigningKey, Wording, invented, jwk_set
from bench.load import read_findings
from bench.machine import build_of
from bench.progress import Step, remaining, run
from bench.session import Session
from server.oauth.errors import InvalidTokenError


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.generate("key-0000")


@pytest.fixture(scope="module")
def wording() -> Wording:
    return Wording(parts.ISSUER, "key-0000")


def test_all_tokens_of_a_file_are_of_one_length(key: SigningKey, wording: Wording) -> None:
    tokens = [*key.mint(wording, range(3)), *key.mint(wording, range(999_999, 1_000_001))]

    assert len({len(each) for each in tokens}) == 1
    assert len(set(tokens)) == 5


def test_its_tokens_are_sound_and_invented_ones_are_not(key: SigningKey, wording: Wording) -> None:
    (token,) = key.mint(wording, range(1))
    jwks = json.loads(jwk_set(key))

    assert parts.verification(token, jwks)().subject == "user-0000000"
    with pytest.raises(InvalidTokenError):
        parts.verification(invented(wording, 1), jwks)()


def test_new_tokens_go_on_where_the_same_server_left_off(tmp_path: Path) -> None:
    session = Session(tmp_path, stack=None)  # type: ignore[arg-type]

    session.have_sent("one", session.token_count)

    assert session.new_tokens("one").begin == 1001
    assert session.new_tokens("other").begin == 0


def test_what_wrk_prints_is_read() -> None:
    printed = (
        "Running 3s test\n  1 threads\n"
        '{"requests": 30, "seconds": 3.0, "p50_ms": 1.5, "p99_ms": 2.5, "refused": 3, "broken": 0}\n'
    )

    found = read_findings(printed)

    assert found.rate == 9
    assert found.p99_ms == 2.5


def test_a_percentile_leaves_out_the_rest() -> None:
    assert percentile(range(100), 0.99) == 99
    assert percentile(range(1000), 0.5) == 500
    assert percentile([7], 0.99) == 7


def test_requests_count_in_the_second_in_which_they_were_due() -> None:
    samples = [(0.5, 0.001, 200), (1.5, 0.009, 200), (2.0, 0.1, 200)]

    assert p99_ms(samples, 1, 2) == pytest.approx(9)


def test_the_build_of_an_interpreter_is_told() -> None:
    assert build_of("'--enable-optimizations' '--with-lto'") == "with PGO, with LTO"
    assert build_of("'--enable-shared'") == "without PGO, without LTO"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2, "5 s left"), (41, "40 s left"), (60, "1 min 0 s left"), (599, "9 min 50 s left")],
)
def test_the_time_that_is_left_is_told_as_exactly_as_it_is_known(seconds: int, said: str) -> None:
    assert remaining(seconds) == said


def test_where_there_is_no_terminal_each_step_has_a_line() -> None:
    out, done = io.StringIO(), []
    steps = [Step("one", 50, lambda: done.append(1)), Step("two", 20, lambda: done.append(2))]

    run(steps, out)

    assert done == [1, 2]
    assert out.getvalue() == "[1/2] one · 1 min 10 s left\n[2/2] two · 20 s left\n"
