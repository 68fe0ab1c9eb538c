"""A relay before a real server that does to requests what networks and servers do."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable


class FaultyProxy:
    """Forwards to 127.0.0.1:`port` while `fault` is None; else gives each connection to `fault(reader, writer)`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.fault: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.hits = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "FaultyProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Break off every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def use(self, fault: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None) -> None:
        self.fault = fault
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, OSError):
                if self.fault is not None:
                    self.hits += 1
                    await self.fault(reader, writer)
                else:
                    await self._relay(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError, OSError):
                while chunk := await source.read(1 << 16):
                    sink.write(chunk)
                    await sink.drain()
            sink.close()

        with contextlib.closing(back):
            await asyncio.gather(copy(reader, back), copy(there, writer))


async def request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one whole request: head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().lower().splitlines()
    length = next((int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")), 0)
    return head, await reader.readexactly(length)


def poisoned(port: int, poison: Callable[[bytes], bool]) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answers 400 to bodies that `poison` finds something in, and passes all others on to 127.0.0.1:`port`."""

    async def judge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        if poison(body):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\nConnection: close\r\n\r\npoison")
        else:
            there, back = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(back):
                back.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
                writer.write(await there.read())
        await writer.drain()

    return judge


def answering(
    status: str, *headers: str, body: str = "no"
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", body]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()

    return answer


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads the request and never answers."""
    await request(reader)
    await asyncio.sleep(3600)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a byte at a time, for ever."""
    await request(reader)
    for byte in b"HTTP/1.1 204 No Content\r\nX: " + b"y" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What a TLS server says to somebody who speaks plain HTTP, or a port of something else."""
    await reader.read(100)
    writer.write(b"\x15\x03\x01\x00\x02\x02\x46")
    await writer.drain()


async def stop_halfway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Breaks off in the middle of the request."""
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
