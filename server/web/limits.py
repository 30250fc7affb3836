"""What one client may take of our time and memory, and how many may be there at once."""

from typing import Annotated, Self

from pydantic import Field

from server.settings import Bytes, Connections, Seconds, Settings

# With more nobody would be kept from anything.
_Timeout = Annotated[Seconds, Field(gt=0, le=3600)]
_MOMENT = 2.0  # seconds
_LEAST_RESERVE = 16
_RESERVE = 0.05  # of the room that there is
_LARGEST_BODY = 1 << 40


class Limits(Settings):
    """
    What clients may take.

    Attributes:
        header_timeout: from the first byte of a request's head to its last.
        body_timeout: how long a handler may wait for a body at one stretch, and in all: but bytes
            that come earn more time.
        idle_timeout: between two requests; who reads nothing of an answer has twice that at most.
        max_body_size: of one request, whether its handler reads it at once or piece by piece.
        max_connections: at once, over all workers.
    """

    header_timeout: _Timeout = 10.0
    body_timeout: _Timeout = 20.0
    idle_timeout: _Timeout = 75.0
    max_body_size: Annotated[Bytes, Field(le=_LARGEST_BODY)] = 1 << 20
    max_connections: Connections = 10_000

    def share(self, workers: int) -> int:
        """Give the connections that each of so many *workers* may have."""
        return -(-self.max_connections // workers)

    def hurried(self) -> Self:
        """Give the limits for those who are only told that there is no room for them."""
        return self.model_copy(
            update={
                "header_timeout": min(self.header_timeout, _MOMENT),
                "idle_timeout": min(self.idle_timeout, _MOMENT),
            }
        )


def reserve_beside(room: float) -> float:
    """Give how many connections more than there is *room* for are heard and then turned away."""
    return max(_LEAST_RESERVE, room * _RESERVE)


USUAL_LIMITS = Limits()
