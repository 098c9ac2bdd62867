"""QUIC on 127.0.0.1 by aioquic: a server with a page over HTTP/3, and a client."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ProtocolNegotiated, QuicEvent
from aioquic.quic.packet import QuicProtocolVersion
from support.loopback import HOST, TIMEOUT, Certificate
from support.loopback_servers import PAGE

V1, V2 = QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2


class _Http3(QuicConnectionProtocol):
    """Answers every request of HTTP/3 with the page."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        for each in self._http.handle_event(event) if self._http else ():
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                fields = [(b":status", b"200"), (b"content-type", b"text/html")]
                self._http.send_headers(each.stream_id, fields)
                self._http.send_data(each.stream_id, PAGE, end_stream=True)
                self.transmit()


class _Silent(QuicConnectionProtocol):
    """A client that asks for nothing, and lets go of what the server sends."""

    def quic_event_received(self, event: QuicEvent) -> None:
        pass


@contextlib.contextmanager
def quic_serving(
    certificate: Certificate, *versions: QuicProtocolVersion, retry: bool = False
) -> Iterator[int]:
    """The port of a server that speaks these versions, the first one rather than others."""
    configuration = QuicConfiguration(
        is_client=False, alpn_protocols=["h3"], supported_versions=list(versions or (V1, V2))
    )
    configuration.load_cert_chain(certificate.chain, certificate.key)
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def serve() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        transport, server = await loop.create_datagram_endpoint(
            lambda: QuicServer(configuration=configuration, create_protocol=_Http3, retry=retry),
            local_addr=(HOST, 0),
        )
        started.set_result((loop, over, transport.get_extra_info("sockname")[1]))
        await over.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, over, port = started.result(TIMEOUT)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def quic_handshake(
    port: int, name: str | None, *versions: QuicProtocolVersion, **more: Any
) -> None:
    """Shakes hands under a name, first in the first of these versions."""
    options = {"original_version": versions[0], "alpn_protocols": ["h3"], **more}
    configuration = QuicConfiguration(
        server_name=name,
        verify_mode=ssl.CERT_NONE,
        supported_versions=list(versions),
        **options,
    )

    async def shake() -> None:
        connection = QuicConnection(configuration=configuration)
        transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Silent(connection), local_addr=(HOST, 0)
        )
        protocol.connect((HOST, port))
        await asyncio.wait_for(protocol.wait_connected(), TIMEOUT)
        protocol.close()
        await asyncio.wait_for(protocol.wait_closed(), TIMEOUT)
        transport.close()

    asyncio.run(shake())
