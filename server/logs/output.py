"""Where log lines go: a file descriptor, written to without waiting wherever that can be had."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

# What Linux writes to a pipe in one piece (PIPE_BUF), so that lines of several processes do not
# mix; a file takes a write of any size in one piece.
PIECE = 4096
_FILE_PIECE = 128 * 1024


@dataclass(frozen=True, slots=True)
class Output:
    """
    What lines are written to.

    Attributes:
        write: writes bytes, gives how many; raises OSError, BlockingIOError where there is no room.
        waits: whether ``write`` may wait for a reader, or a disk.
        piece: how many bytes a write may have.
        identity: the same for two of the same descriptor of the same file.
        close: gives back what was opened, which is not the descriptor that was asked for.
    """

    write: Callable[[bytes], int]
    waits: bool = True
    piece: int = PIECE
    identity: tuple[int, ...] = ()
    close: Callable[[], None] = lambda: None


def open_output(fd: int) -> Output:
    """
    Give what writes to *fd*.

    Whether a descriptor waits is a property that it shares with every process that has inherited
    it, so it is not ours to change: a pipe and a terminal are opened anew, a socket is told for
    each write.
    """
    plain = partial(os.write, fd)
    try:
        status = os.fstat(fd)
    except OSError:
        return Output(plain, waits=False)  # closed: each write fails, at once
    identity = (fd, status.st_dev, status.st_ino)
    if stat.S_ISREG(status.st_mode):
        return Output(plain, piece=_FILE_PIECE, identity=identity)
    if not os.get_blocking(fd):
        return Output(plain, waits=False, identity=identity)
    if stat.S_ISSOCK(status.st_mode):
        own = socket.socket(fileno=os.dup(fd))
        return Output(partial(_send_at_once, own), waits=False, identity=identity, close=own.close)
    # Refused where another user made the pipe, and where there is no /proc.
    with suppress(OSError):
        again = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        give_back = partial(os.close, again)
        return Output(partial(os.write, again), waits=False, identity=identity, close=give_back)
    return Output(plain, identity=identity)


def _send_at_once(own: socket.socket, line: bytes) -> int:
    return own.send(line, socket.MSG_DONTWAIT)
