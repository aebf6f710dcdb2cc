"""Run as a program: forwards TCP from the machine's loopback into another network namespace.

``door.py FD PID HOST PORT``: accepts on the listening socket FD, which belongs to the namespace it
was made in, and connects to HOST:PORT in the network namespace of the process PID.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys

CLONE_NEWNET = 0x40000000


def enter_network(pid: int) -> None:
    """Move this process into the network namespace of another; its open sockets stay behind."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns into the network of {pid}")
    os.close(namespace)


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction until its end, then close that direction only."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Join every connection with one to host and port."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        inner_writer.close()
        writer.close()

    server = await asyncio.start_server(joined, sock=listener)
    await server.serve_forever()


def main() -> None:
    """Be the program."""
    descriptor, pid, host, port = sys.argv[1:]
    listener = socket.socket(fileno=int(descriptor))
    enter_network(int(pid))
    asyncio.run(serve(listener, host, int(port)))


if __name__ == "__main__":
    main()
