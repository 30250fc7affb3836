"""From the Authorization header to the token's text: RFC 6750 section 2.1, RFC 9110 section 11."""

import re
from collections.abc import Sequence

from server.oauth.errors import InvalidRequestError, MissingTokenError

# A comma, then a scheme with something behind it: credentials sent twice in one line.
_SECOND_SCHEME = re.compile(r",\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+ +\S")


def bearer_token(authorization: Sequence[str]) -> str:
    """
    Take the token out of the ``Authorization`` lines of one request.

    The text is not judged here: what is no token is refused when it is parsed.

    Raises:
        MissingTokenError: no line, an empty one, another scheme, or a scheme without a token.
        InvalidRequestError: more than one line, or a second scheme behind a comma.
    """
    if len(authorization) > 1:
        raise InvalidRequestError
    if not authorization:
        raise MissingTokenError
    scheme, _, credentials = authorization[0].strip(" \t").partition(" ")
    credentials = credentials.strip(" \t")
    if scheme.lower() != "bearer" or not credentials:
        raise MissingTokenError
    if "," in credentials and _SECOND_SCHEME.search(credentials):
        raise InvalidRequestError
    return credentials
