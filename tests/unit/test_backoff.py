"""Waiting before another try: longer each time, never all at once, and never sooner than asked."""

from hypothesis import given
from hypothesis import strategies as st

from callcenter.domain.backoff import CAP_SECONDS, backoff_seconds

ATTEMPTS = st.integers(min_value=1, max_value=10_000)


@given(ATTEMPTS)
def test_a_wait_is_positive_and_never_longer_than_the_cap(attempts: int) -> None:
    assert 0 < backoff_seconds(attempts) <= CAP_SECONDS


@given(st.integers(min_value=1, max_value=9))
def test_a_wait_doubles_with_each_try_within_its_jitter(attempts: int) -> None:
    assert 2 ** (attempts - 1) / 4 <= backoff_seconds(attempts) <= 2 ** (attempts - 1)


@given(ATTEMPTS, st.floats(min_value=0, max_value=86_400))
def test_nobody_comes_back_sooner_than_the_other_side_asked(attempts: int, asked: float) -> None:
    assert backoff_seconds(attempts, at_least_seconds=asked) >= asked


def test_two_workers_do_not_come_back_together() -> None:
    assert len({backoff_seconds(8) for _ in range(20)}) > 1
