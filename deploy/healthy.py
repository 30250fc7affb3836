"""Tell whether the server on this machine is ready: what HEALTHCHECK runs.  Exit status 0 or 1."""

import os
import sys
from http.client import HTTPConnection, HTTPException

PATIENCE = 3.0  # seconds


def main() -> int:
    """Ask the admin listener, and print what it says."""
    port = int(os.environ.get("KEYTURN__ADMIN__PORT", "3012"))
    # Not urllib's urlopen, which would ask a proxy that the environment names.
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())
    except (OSError, HTTPException) as error:
        print(f"127.0.0.1:{port} does not answer: {error}")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
