"""An event loop for `nats` that never holds its thread longer than asked.

asyncio waits for two things without a limit: a name that is being resolved, when a loop is closed,
and data that a peer does not read, when a connection is closed. Names are therefore resolved by
`exchange.in_background`, and connections that did not close in time are aborted.
"""

import asyncio
import socket
from typing import Any

from netwatch.core.exchange import Background


class Loop(asyncio.SelectorEventLoop):
    """A selector loop that knows its connections."""

    def __init__(self) -> None:
        super().__init__()
        self._opened: list[asyncio.BaseTransport] = []
        # What is left behind by a connection that failed is no news for anybody.
        self.set_exception_handler(lambda *_: None)

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Resolve a name in a thread that nothing waits for when the loop is closed."""
        lookup = Background(lambda: socket.getaddrinfo(host, port, **options))
        while not lookup.is_done:
            await asyncio.sleep(0.005)
        return lookup.result(1)

    async def create_connection(self, *args: Any, **keys: Any) -> Any:
        """Connect, and remember the connection for `abort`."""
        transport, protocol = await super().create_connection(*args, **keys)
        self._opened.append(transport)
        return transport, protocol

    async def abort(self) -> None:
        """Close all connections at once, even those with data that nobody reads."""
        for transport in self._opened:
            if isinstance(transport, asyncio.Transport):
                transport.abort()
        self._opened.clear()
        await asyncio.sleep(0)  # Sockets are closed in the next round of the loop.
