"""How many files a process may have open: each connection is one."""

import math
import resource
from contextlib import suppress

import structlog

from server.web.limits import reserve_beside

# For the log, the issuers, the store, operators, and what handlers open.
_OTHERS = 100


def allow_files_for(connections: int) -> None:
    """Let this process, and those that it forks, have so many *connections*, or warn."""
    needed = connections + math.ceil(reserve_beside(connections)) + _OTHERS
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (most, needed):
        # Where there is no limit some systems refuse to have none.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            break
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        structlog.get_logger().warning("server.few_files", allowed=allowed, needed=needed)
