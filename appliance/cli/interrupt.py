"""Ctrl-C, so that it always ends a command.

Python raises KeyboardInterrupt between any two steps of the main thread.  In a destructor or a
callback it is swallowed, and the command goes on; elsewhere in gRPC it leaves behind what nobody
has thought of.  So nothing here raises it: a command ends by the signal itself, as other programs
do (main.program), and one that watches has its channel closed by another thread.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import grpc


@contextmanager
def until_ctrl_c(channel: grpc.Channel) -> Iterator[threading.Event]:
    """Calls on this channel end at Ctrl-C, and with them the body, which is no error; the event is
    set then, for a body that waits between calls.  What is being written is written to its end;
    where nobody reads it, a second Ctrl-C does what the first would do outside."""
    former = signal.getsignal(signal.SIGINT)
    ended = threading.Event()
    if former is signal.SIG_IGN:
        yield ended
        return
    # Its put() may interrupt itself, as no lock may that a handler takes.
    ends: SimpleQueue[bool] = SimpleQueue()
    interrupted = False

    def note(*_signal: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, former)
        ends.put(True)

    closer = threading.Thread(target=_close_at, args=(ends, channel, ended), daemon=True)
    closer.start()
    try:
        signal.signal(signal.SIGINT, note)
        yield ended
    except (grpc.RpcError, ValueError):     # ValueError: a call on a channel that is closed
        if not interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, former)
        ends.put(False)
        closer.join()


def _close_at(
    ends: "SimpleQueue[bool]", channel: grpc.Channel, ended: threading.Event
) -> None:
    if ends.get():
        # Here, since its lock may be held where a handler runs.
        ended.set()
        channel.close()
