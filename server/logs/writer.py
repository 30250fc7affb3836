"""
Lines on their way out: nobody who writes one waits, whatever becomes of the reader.

Lines are gathered into pieces that are written at once, so that those of several processes never
mix.  Where writing does not wait (a pipe, a terminal, a socket) whoever fills a piece writes it: a
thread cannot keep up, because after each 4 KiB it waits up to 5 ms for the interpreter's lock.  Of
50,000 lines that a busy loop logged, with a second core for the thread, it lost 48,000; this way
none is lost.  The thread only sees to what is left over when lines stop coming.  Where writing may
wait (a file) the thread does all of it, in pieces so large that they are few.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from server.logs.output import PIECE, Output

# In bytes; a fifth of a second of lines at full speed, and small beside what the process has.
LIMIT = 1024 * 1024
# In seconds: how long a line may lie before the thread looks after it.  Short enough for somebody
# who reads along, and twenty wake-ups a second do not show under load.  Idle there are none.
_PAUSE = 0.05
_NOTHING = -1
_RETRY = 0.005  # while the process waits to end


class LineWriter:
    """
    Gathers lines in a bounded buffer and writes them to an output.

    Args:
        report: is told how many lines were dropped, once there is room again.
        limit: of the buffer, in bytes; what does not fit is dropped and counted.

    Attributes:
        dropped: how many lines were not written, in all.
    """

    def __init__(self, report: Callable[[int], None], *, limit: int = LIMIT) -> None:
        self._report = report
        self._limit = limit
        self.output: Output | None = None
        self._piece = PIECE
        self._prompt = self._threaded = self._is_sent_by_callers = False
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget all lines and locks: what is to be done in a process that was forked off."""
        # Reentrant, because what is collected in the midst of a write may log a warning.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lines: deque[bytes] = deque()  # of the piece that is being gathered
        self._size = 0  # bytes in them
        self._pieces: deque[tuple[bytes, int]] = deque()  # each with its number of lines
        self._waiting = 0  # bytes in them
        self._filled = 0  # how many there have been
        self._sending = self._stopping = False
        self._gather = _NOTHING  # with more bytes than that, lines are attended to
        self.dropped = self._reported = 0

    def attach(self, output: Output, *, prompt: bool, threaded: bool) -> None:
        """
        Write to *output* from now on.

        Args:
            prompt: write each line at once, for somebody who reads along.
            threaded: without a thread each line is written at once too, even if that takes waiting.
        """
        with self._lock:
            self.output = output
            self._piece = output.piece
            self._threaded = threaded
            self._prompt = prompt or not threaded
            self._is_sent_by_callers = not (threaded and output.waits)
            self._gather = _NOTHING

    def write(self, line: bytes) -> None:
        """Have *line* written, which ends with a line feed; over 4,096 bytes it may be torn."""
        # Without the lock, which costs more than the rest: should threads meet, a size is wrong
        # until it is counted again.
        self._lines.append(line)
        self._size += len(line)
        if self._size > self._gather:
            with self._lock:
                self._attend()

    def flush(self, seconds: float) -> bool:
        """Write all that has been gathered; say whether that was done within *seconds*."""
        with self._lock:
            thread = self._thread
            if thread is None:
                self._fill(to_the_last=True)
                self._send()
                return not self._pieces
            self._stopping = True
        self._wake.set()
        thread.join(seconds)
        return not thread.is_alive()

    def close(self, seconds: float) -> bool:
        """Do as ``flush``, and write at once what comes later."""
        done = self.flush(seconds)
        if done and self.output is not None:  # else the thread may be in the midst of a line
            self.attach(self.output, prompt=True, threaded=False)
        return done

    def _attend(self) -> None:
        self._fill(to_the_last=self._prompt)
        if not self._threaded:
            return
        if self._thread is None and (self._lines or self._pieces):
            self._stopping = False
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            # There may be too many, or the process may be about to end.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread
        if self._thread is not None and self._gather == _NOTHING:
            self._wake.set()
            self._gather = _NOTHING if self._prompt else self._piece

    def _fill(self, *, to_the_last: bool) -> None:
        """Make pieces of what has been gathered, and send them if that does not wait."""
        while self._lines and (to_the_last or self._size > self._piece):
            lines = [self._lines.popleft()]
            size = len(lines[0])
            while self._lines and size + len(self._lines[0]) <= self._piece:
                lines.append(self._lines.popleft())
                size += len(lines[-1])
            self._size = sum(map(len, self._lines))
            self._add(b"".join(lines), len(lines))
        if self._is_sent_by_callers:
            self._send()
        elif self._waiting > self._limit // 4:
            self._wake.set()

    def _add(self, piece: bytes, count: int) -> None:
        self._filled += 1
        if self._waiting + len(piece) > self._limit and self._is_sent_by_callers:
            self._send()
        if self._waiting + len(piece) > self._limit:
            self.dropped += count
        else:
            self._pieces.append((piece, count))
            self._waiting += len(piece)

    def _send(self) -> None:
        """
        Write the pieces, until there is no more room.

        Called by one at a time: with the lock where writing does not wait, else by the thread.
        """
        if self._sending or self.output is None:
            return
        self._sending = True
        try:
            while self._pieces:
                piece, count = self._pieces[0]
                try:
                    written = self.output.write(piece)
                except BlockingIOError:
                    return
                except OSError:
                    self._take_off(len(piece), dropped=count)
                else:
                    self._advance(written)
        finally:
            self._sending = False

    def _advance(self, written: int) -> None:
        piece, count = self._pieces[0]
        if written < len(piece):
            with self._lock:
                self._pieces[0] = piece[written:], count
                self._waiting -= written
            return
        self._take_off(written, dropped=0)
        if self.dropped > self._reported and self._waiting <= self._limit // 2:
            count, self._reported = self.dropped - self._reported, self.dropped
            self._report(count)

    def _take_off(self, size: int, *, dropped: int) -> None:
        with self._lock:
            self._pieces.popleft()
            self._waiting -= size
            self.dropped += dropped

    def _run(self) -> None:
        filled, is_idle = self._filled, False
        while True:
            self._pause(is_idle=is_idle)
            filled = self._look_after(filled)
            with self._lock:
                # Before lines are looked for: who writes one now will see to it.
                gather, self._gather = self._gather, _NOTHING
                is_idle = not (self._lines or self._pieces)
                if is_idle and self._stopping:
                    self._thread = None
                    return
                if not is_idle:
                    self._gather = gather

    def _pause(self, *, is_idle: bool) -> None:
        if is_idle:
            self._wake.wait()
            self._wake.clear()
        if self._stopping:
            time.sleep(_RETRY if self._pieces else 0)
        else:
            self._wake.wait(_PAUSE)
            self._wake.clear()

    def _look_after(self, filled: int) -> int:
        """
        Write what is left over, or all where callers do not.

        Args:
            filled: how many pieces there had been when it was last done; gives how many by now.
        """
        with self._lock:
            # Where callers fill pieces, they need no help.
            is_left_over = self._filled == filled or self._stopping
            self._fill(to_the_last=is_left_over or not self._is_sent_by_callers)
        if not self._is_sent_by_callers:
            self._send()
        return self._filled
