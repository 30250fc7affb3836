import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.web.limits import Limits


@pytest.mark.parametrize(
    ("connections", "workers", "share"), [(10_000, 1, 10_000), (10_000, 3, 3334), (1, 4, 1)]
)
def test_each_worker_has_its_share(connections: int, workers: int, share: int) -> None:
    assert Limits(max_connections=connections).share(workers) == share


@given(st.integers(1, 1_000_000), st.integers(1, 256))
def test_the_shares_are_enough_for_all_and_hardly_more(connections: int, workers: int) -> None:
    together = Limits(max_connections=connections).share(workers) * workers

    assert connections <= together < connections + workers
