"""
The door: everything that answers.

What a route table is written with; the rest is between the door's own files.  Reading order:
routing, table_loading, exchange, problems, protection, cors, answering, observation, granted_line,
measurement, throttle, limits, patience, connection, listener, acceptor, operations, metrics_page.
"""

from server.oauth.access_token import AccessToken
from server.oauth.scope import (
    authenticated,
    claim_check,
    claim_equals,
    claim_includes,
    permission,
    scope,
)
from server.web.routing import (
    ACCESS_TOKEN,
    delete,
    get,
    patch,
    post,
    public,
    put,
    route,
)

__all__ = [
    "ACCESS_TOKEN",
    "AccessToken",
    "authenticated",
    "claim_check",
    "claim_equals",
    "claim_includes",
    "delete",
    "get",
    "patch",
    "permission",
    "post",
    "public",
    "put",
    "route",
    "scope",
]
