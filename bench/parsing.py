"""
What strict parsing costs, against the same work done leniently, and against the mathematics.

Figures of one machine mean nothing on another; the ratios do.  ``make bench`` prints them.
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from statistics import median

from joserfc import jws

from server.oauth.access_token import verify
from server.oauth.errors import InvalidTokenError
from server.oauth.jwk_set import parse_jwks
from server.oauth.policy import TokenPolicy
from server.oauth.unverified_token import UnverifiedToken
from server.testing.issuer import TestIssuer

_ROUNDS = 15
_CALLS = 400


def main() -> None:
    issuer = TestIssuer()
    small = issuer.mint(["read:messages"])
    large = issuer.mint(permissions=[f"area-{number}:read" for number in range(250)])
    keys = parse_jwks(issuer.jwks).keys
    policy = TokenPolicy(issuer=issuer.name, audience=(issuer.audience,))
    token = UnverifiedToken.parse(small)
    now = time.time()
    work: dict[str, Callable[[], object]] = {
        "lenient parsing": lambda: lenient(small),
        "joserfc's parsing": lambda: joserfc(small),
        "strict parsing": lambda: UnverifiedToken.parse(small),
        f"lenient parsing, {len(large)} characters": lambda: lenient(large),
        f"strict parsing, {len(large)} characters": lambda: UnverifiedToken.parse(large),
        "refusing two parts": lambda: refused("a.b"),
        "refusing 8 KiB of dots": lambda: refused("." * 8192),
        "refusing brackets, as deep as 6 KB can be": lambda: refused(deep()),
        "verifying ES256 and its claims": lambda: verify(token, keys, policy, now=now),
    }
    medians = measure(work)
    first = medians["lenient parsing"]
    print("One call each, the median of fifteen rounds taken in turns; the ratio is to the first.")
    print(f"{'':45} {'µs':>8} {'ratio':>7}")
    for name, seconds in medians.items():
        print(f"{name:45} {seconds * 1e6:8.1f} {seconds / first:7.2f}")


def measure(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Give the median of each, in seconds for one call; in turns, so that noise falls on all."""
    samples: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(_ROUNDS):
        for name, call in work.items():
            begun = time.perf_counter()
            for _ in range(_CALLS):
                call()
            samples[name].append((time.perf_counter() - begun) / _CALLS)
    return {name: median(each) for name, each in samples.items()}


def lenient(compact: str) -> object:
    head, payload, signature = (urlsafe_b64decode(part + "==") for part in compact.split("."))
    return json.loads(head), json.loads(payload), signature


def joserfc(compact: str) -> object:
    taken = jws.extract_compact(compact.encode())
    return taken.headers(), json.loads(taken.payload)


def refused(compact: str) -> None:
    try:
        UnverifiedToken.parse(compact)
    except InvalidTokenError:
        return
    raise AssertionError(compact)


def deep() -> str:
    return f"eyJhbGciOiJFUzI1NiJ9.{'W1tb' * 1900}.AA"


if __name__ == "__main__":
    main()
