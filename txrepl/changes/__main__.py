"""The process that an `Encoder` has to itself: messages from its standard input, a socket, are answered on the same.

It ends with the connection. It is a little nicer than the process that it works for, so that readers wait for those
who write, and not the other way round.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Final

from txrepl.changes.encoder import Encoder, Frames, frame

NICENESS: Final = 5
READ_BYTES: Final = 256 * 1024


def main() -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the server, which then closes the socket
    os.nice(NICENESS)
    encoder, frames = Encoder(), Frames()
    with socket.socket(fileno=0) as connection:
        while data := connection.recv(READ_BYTES):
            for message in frames.feed(data):
                answer = encoder.take(message)
                if answer is not None:
                    connection.sendall(frame(answer))


if __name__ == "__main__":
    main()
