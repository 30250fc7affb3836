"""What one client may take of our time and memory, and how many may be there at once."""

from typing import Annotated

from pydantic import Field

from server.settings import Bytes, Connections, Seconds, Settings

# With more nobody would be kept from anything.
_Timeout = Annotated[Seconds, Field(gt=0, le=3600)]
_LARGEST_BODY = 1 << 40


class Limits(Settings):
    """
    What clients may take.

    Attributes:
        header_timeout: from the first byte of a request's head to its last.
        body_timeout: how long a handler may wait for a body at one stretch, and in all: but bytes
            that come earn more time.
        idle_timeout: between two requests.
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


USUAL_LIMITS = Limits()
