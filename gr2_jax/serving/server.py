"""The process of `gr2 serve`: it listens, says where, and stops once what it accepted is answered."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gr2_jax.errors import Preempted, UserError, reason_of
from gr2_jax.serving.app import SENDING, make_app
from gr2_jax.serving.rows import ServedRows

_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_CONNECTIONS = 500  # open at once; another is answered with 503
_IDLE = 5  # seconds that a connection stays open without a request
_STOPPING = 60  # seconds that a stop waits for what was accepted


def serve(
    rows: ServedRows, *, host: str, port: int, seconds: float, ready: Callable[[str], None] = lambda url: None
) -> None:
    """Serves until SIGTERM or Ctrl-C; `ready` gets the URL once requests are taken. Port 0 is any free one.

    Only names of this computer are taken as a request's Host where the server listens on the loopback: a page from
    elsewhere whose name is made to mean 127.0.0.1 reads nothing.
    """
    listening = _bound(host, port)
    address = ipaddress.ip_address(listening.getsockname()[0])
    name = f"[{host}]" if ":" in host else host
    hosts = (name, str(address), *_LOCAL) if address.is_loopback else ("*",)
    url = f"http://{name}:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        make_app(rows, hosts=hosts, seconds=seconds),
        http=_Hurried,
        log_level="error",  # else any garbage that is sent writes a line
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=_STOPPING,
    )
    try:
        asyncio.run(_Server(config, lambda: ready(url)).serve(sockets=[listening]))
    except (KeyboardInterrupt, Preempted):
        pass  # the signal that it stopped for, raised again once it has
    finally:
        listening.close()


class _Hurried(H11Protocol):
    """Hangs up on a client that does not send the head of its request in time: uvicorn itself waits for ever, and a few
    hundred such clients would take all connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._expect_a_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_a_request()

    def _expect_a_request(self) -> None:
        before = self.cycle
        self.loop.call_later(SENDING, lambda: self._hang_up_unless_sent(before))

    def _hang_up_unless_sent(self, before: object) -> None:
        if self.cycle is before and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}, port {port} ({reason_of(error)}): give another --port or --host"
        ) from error
    return listening
