"""What is printed: nothing that drives the terminal, nothing that stands in the wrong place."""

import re
import sys


def say(*lines: str) -> None:
    """Print *lines*."""
    for line in lines:
        print(_printable(line))


def complain(*lines: str) -> None:
    """Print *lines* on standard error."""
    for line in lines:
        print(_printable(line), file=sys.stderr, flush=True)


def _printable(line: str) -> str:
    # Issuers and files have their say in these lines; none of them is to drive the terminal.
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def cut(text: str) -> str:
    """Leave out what may be a token."""
    # What stands in the wrong place may be a token, which is not to be repeated.
    return re.sub(r"\S{64,}", "…", text)
