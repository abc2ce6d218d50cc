"""What is said to a peer that says everything back."""

import socket

import pytest

PIECE = bytes(range(256)) * 40


def echo(connection: socket.socket) -> None:
    connection.sendall(PIECE)
    heard = b""
    while len(heard) < len(PIECE):
        heard += connection.recv(1 << 16) or pytest.fail("the connection ended")
    assert heard == PIECE
