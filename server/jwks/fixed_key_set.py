"""Keys that are configured, public ones or a secret: always there, never fetched."""

from server.jwks.journal import Journal
from server.jwks.outcomes import Result, Trigger
from server.jwks.snapshot import State, Status
from server.oauth.errors import InvalidTokenError, Reason
from server.oauth.keys import KeySet, VerificationKey, canonical_algorithm
from server.oauth.unverified_token import UnverifiedToken


class FixedKeySet:
    """The *keys* of *issuer*, as long as this configuration lasts."""

    def __init__(self, issuer: str, keys: KeySet) -> None:
        self._issuer = issuer
        self._keys = keys
        self._journal = Journal(issuer)

    async def find(self, token: UnverifiedToken, *, may_ask: bool) -> tuple[VerificationKey, ...]:
        """
        Give the keys that *token* may have been signed with: at least one.

        Raises:
            InvalidTokenError: there is no such key, or it is made for another algorithm.
        """
        del may_ask  # nobody need be asked
        keys = self._keys.candidates(
            key_id=token.jws.key_id, algorithm=canonical_algorithm(token.jws.algorithm)
        )
        if not keys:
            raise InvalidTokenError(Reason.UNKNOWN_KEY)
        return keys

    async def refresh(self, _trigger: Trigger) -> Result:
        """Do nothing: there is nobody to ask."""
        return Result.NOT_MODIFIED

    async def run(self) -> None:
        """Tell which keys are left out; there is nothing to keep current."""
        self._journal.ignored(self._keys.unfit)

    async def until_idle(self) -> None:
        """Nothing is ever under way."""

    @property
    def generation(self) -> int:
        """They never change."""
        return 1

    def vouches_for(self, generation: int) -> bool:
        """Tell whether what was verified under *generation* may still be believed."""
        return generation == self.generation

    @property
    def is_usable(self) -> bool:
        """Tokens can be judged at any time."""
        return True

    @property
    def status(self) -> Status:
        """What an operator wants to know."""
        return Status(
            self._issuer,
            State.FRESH,
            keys=len(self._keys.keys),
            age=None,
            time_left=None,
            generation=self.generation,
        )
