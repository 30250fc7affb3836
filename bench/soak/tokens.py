"""What is sent, and what is the right answer to it."""

import itertools
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from bench.issuer import SigningKey, base64url

AUDIENCE = "https://soak.example/api"
OWN = "https://own.example/"
GUEST = "https://guest.example/"

_SCOPED = "/api/private-scoped"
_PRIVATE = "/api/private"
_INVENTED = "an invented key"


@dataclass(frozen=True, slots=True)
class Wish:
    """
    One request.

    Attributes:
        case: what it is an example of.
        right: the answers that are right.
    """

    case: str
    right: frozenset[int]
    path: str = _PRIVATE
    token: str = ""
    method: str = "GET"
    body: bytes = b""


@dataclass
class Turning:
    """
    The tokens of an issuer that turns its key.

    Attributes:
        sure: of keys that every worker has, or can have at once.
        unsure: of a key that came while the issuer could not be asked.
    """

    sure: list[list[str]] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)

    def any_sure(self) -> str:
        """Give one that has to be admitted."""
        return random.choice(random.choice(self.sure))


class OwnIssuer:
    """An issuer whose key stands in the configuration, so that it can sign what it likes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = SigningKey.generate("own")
        self._private: rsa.RSAPrivateKey = self._key.private
        self._numbers = itertools.count()

    @property
    def jwks(self) -> dict[str, Any]:
        """Its public key, as a JWK set."""
        return {"keys": [self._key.public_jwk]}

    def sign(self, *, key_id: str = "own", **changes: object) -> str:
        """Sign a sound token, but for the *changes* of its claims."""
        now = int(time.time())
        head = {"typ": "at+jwt", "alg": "RS256", "kid": key_id}
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "user",
            "client_id": "soak",
            "iat": now,
            "exp": now + 3600,
            "jti": f"own-{next(self._numbers)}",
            "scope": "read:messages",
        } | changes
        parts = [base64url(json.dumps(each).encode()) for each in (head, claims)]
        signing_input = ".".join(parts).encode()
        signature = self._private.sign(signing_input, padding.PKCS1v15(), SHA256())
        return f"{signing_input.decode()}.{base64url(signature)}"


class Traffic:
    """
    Gives one request after the other, as they come in life: most of them good.

    Attributes:
        turning: the tokens of the issuer that turns its key.
        guest_is_in: whether the guest issuer is believed; nothing while that changes.
        dev_issuer: the name of the issuer that turns its key.
        issuer_is_broken: it cannot be asked, or could not until just now.
    """

    def __init__(self) -> None:
        self.turning = Turning()
        self.guest_is_in: bool | None = False
        self.own, self.guest = OwnIssuer(OWN), OwnIssuer(GUEST)
        self.dev_issuer = ""
        self.issuer_is_broken = False
        self._kept = [self.own.sign() for _ in range(50)]
        self._of_guest = [self.guest.sign() for _ in range(10)]
        self._bad = self._make_bad()
        self._makers = {
            self._turned: 40,
            self._known: 15,
            self._fresh: 5,
            self._noted: 5,
            self._scoped: 5,
            self._guest: 5,
            self._refused: 20,
            self._without: 5,
        }

    def next(self) -> Wish:
        """Give one more."""
        makers = list(self._makers)
        return random.choices(makers, list(self._makers.values()))[0]()

    def _turned(self) -> Wish:
        if self.turning.unsure and random.random() < 0.2:
            token = random.choice(self.turning.unsure)
            return Wish("a new key while the issuer is broken", frozenset({200, 503}), token=token)
        return Wish("a key that turns", frozenset({200}), token=self.turning.any_sure())

    def _known(self) -> Wish:
        return _granted("a token seen before", random.choice(self._kept))

    def _fresh(self) -> Wish:
        return _granted("a token never seen before", self.own.sign())

    def _noted(self) -> Wish:
        right = frozenset({200})
        body = b"x" * random.randrange(4096)
        return Wish("a body", right, "/notes", self._kept[0], "POST", body)

    def _scoped(self) -> Wish:
        if random.random() < 0.5:
            return Wish("the scope it takes", frozenset({200}), _SCOPED, self._kept[0])
        return Wish("too small a scope", frozenset({403}), _SCOPED, self._bad["too small a scope"])

    def _guest(self) -> Wish:
        rights = {True: frozenset({200}), False: frozenset({401}), None: frozenset({200, 401})}
        case = "an issuer that comes and goes"
        return Wish(case, rights[self.guest_is_in], token=random.choice(self._of_guest))

    def _refused(self) -> Wish:
        names = [name for name in self._bad if name != "too small a scope"]
        name = random.choice([*names, _INVENTED])
        if name in self._bad:
            return Wish(name, frozenset({401}), token=self._bad[name])
        # One, of a client that goes on with a dead token: a flood is another story (rotation).
        token = self.own.sign(key_id="invented", iss=self.dev_issuer)
        # Who cannot be asked may have it.
        return Wish(name, frozenset({401, 503} if self.issuer_is_broken else {401}), token=token)

    def _without(self) -> Wish:
        return random.choice(
            [
                Wish("no token", frozenset({401})),
                Wish("a public route", frozenset({200}), "/api/public"),
                Wish("no such route", frozenset({404}), "/nowhere"),
                Wish("no such method", frozenset({405}), method="DELETE"),
                Wish("a token twice", frozenset({400}), f"{_PRIVATE}?access_token=x", "x"),
            ]
        )

    def _make_bad(self) -> dict[str, str]:
        now = int(time.time())
        good = self.own.sign()
        head, claims, _ = good.split(".")
        return {
            "expired": self.own.sign(iat=now - 7200, exp=now - 3600),
            "for another API": self.own.sign(aud="https://other.example"),
            "of a stranger": self.own.sign(iss="https://stranger.example/"),
            "forged": f"{head}.{claims}.{base64url(random.randbytes(256))}",
            "no token at all": "rubbish",
            "too small a scope": self.own.sign(scope="other"),
        }


def _granted(case: str, token: str) -> Wish:
    return Wish(case, frozenset({200}), token=token)
