"""One generation of the service: loads a Bento, answers its supervisor in private, then serves the public socket.

`refit.release.child` runs this file as a script. It imports nothing of `refit`: the Bento brings its own copy along.
The supervisor speaks to it over an inherited socket, a line a command:

- `serve` comes with the listening socket: start to accept; answered with `live`.
- `told JSON`: what the metrics shall show of the supervisor.
- `drain SECONDS`: a successor accepts now. Answer what still comes on open connections, each with `Connection: close`.
- `stop SECONDS`: the same, because all of it ends.

The end of that socket means that the supervisor is gone: stop.
"""

import argparse
import asyncio
import errno
import gc
import importlib.util
import json
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import uvicorn

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LAST_SECONDS: Final = 1.0
"""How long, when all ends, a busy connection may take to hear `Connection: close`."""
KEEP_ALIVE_SECONDS: Final = 75
IN_FLIGHT_SECONDS: Final = 30
"""What is in flight at the end has so long, or longer where a request may take longer."""
TICK: Final = 0.02
LINE: Final = 4096
REQUEST_SECONDS: Final = 30.0
PROGRESS: Final = 256 << 10
"""So much of an answer, or the rest of it, is to be read in the time that a request may take."""
SLOW_BODY: Final = b'{"error":{"code":"timeout","message":"no whole request came in time"}}\n'
TOO_SLOW: Final = (
    b"HTTP/1.1 504 Gateway Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: " + str(len(SLOW_BODY)).encode() + b"\r\n\r\n" + SLOW_BODY
)
NICE: Final = 5
"""How far a generation that loads stands back behind the one that serves; threads that serve do not."""
AUTOGROUP_TRIES: Final = 5
AUTOGROUP_SECONDS: Final = 0.1
FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
BROKEN: Final = frozenset(
    {
        *(errno.EINTR, errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP),
        *(errno.ENETDOWN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT),
    }
)
"""What accept(2) says of a connection that is gone already; the next one may be sound."""
BACKLOG: Final = 4096

log = logging.getLogger("refit.generation")


class Boss:
    """The line to the supervisor. Heard from the start, so that no orphan outlives a slow import."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._commands: tuple[asyncio.AbstractEventLoop, Callable[[str, socket.socket | None], None]] | None = None
        threading.Thread(target=self._listen, name="boss", daemon=True).start()

    def tell(self, line: str) -> None:
        """Say one line to the supervisor."""
        try:
            self._control.sendall(f"{line}\n".encode())
        except OSError:
            log.debug("the supervisor is gone")

    def attach(self, obey: Callable[[str, socket.socket | None], None]) -> None:
        """From now on have every command carried out in the running loop."""
        self._commands = asyncio.get_running_loop(), obey

    def _listen(self) -> None:
        text = b""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, LINE, 1)
            except OSError:
                data, descriptors = b"", []
            listener = socket.socket(fileno=descriptors[0]) if descriptors else None
            *lines, text = (text + data).split(b"\n") if data else [f"stop {LAST_SECONDS}".encode(), b""]
            for line in lines:
                self._pass_on(line.decode(), listener)
            if not data:
                return

    def _pass_on(self, command: str, listener: socket.socket | None) -> None:
        if self._commands is None:
            os._exit(0)  # nothing is served yet, so there is nothing to end well
        loop, obey = self._commands
        loop.call_soon_threadsafe(obey, command, listener)


class Acceptor:
    """Takes connections from a listening socket that other processes share, and can stop without losing one.

    asyncio's own server drops a connection that it took in the moment of its closing.
    """

    def __init__(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._listener: socket.socket | None = None
        self._opening: set[asyncio.Task[Any]] = set()

    @property
    def opening(self) -> bool:
        """Whether a connection was taken that its protocol does not know of yet."""
        return bool(self._opening)

    def listen(self, listener: socket.socket) -> None:
        """Start to take connections."""
        listener.settimeout(0)
        self._listener = listener
        self._loop.add_reader(listener, self._accept)

    def close(self, *, empty: bool) -> None:
        """Stop taking connections; with `empty`, after all that wait at this moment."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            if empty:
                self._accept()
            self._listener.close()
            self._listener = None

    def open(self, connection: socket.socket, protocol: Callable[[], asyncio.Protocol] | None = None) -> None:
        """Serve one connection, by another protocol than all others where one is given."""
        connection.settimeout(0)
        task = self._loop.create_task(self._loop.connect_accepted_socket(protocol or self._protocol, connection))
        self._opening.add(task)
        task.add_done_callback(self._opened)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            if self._listener is None:
                return
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in BROKEN:
                    continue
                if error.errno not in FULL:
                    raise
                log.warning("no room for another connection; it waits")
                self._loop.remove_reader(self._listener)
                self._loop.call_later(1.0, self._resume)
                return
            self.open(connection)

    def _resume(self) -> None:
        if self._listener is not None:
            self._loop.add_reader(self._listener, self._accept)

    def _opened(self, task: "asyncio.Task[Any]") -> None:
        self._opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a connection ended before it began: %s", type(error).__name__)


class Server(uvicorn.Server):
    """uvicorn without sockets and signals of its own: both come from the supervisor."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals alone."""
        return nullcontext()

    def protocol(self, **state: Any) -> asyncio.Protocol:
        """Return what serves one connection, as uvicorn's own start-up makes it; `state` reaches the application."""
        loop = asyncio.get_running_loop()
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state={**self.lifespan.state, **state}, _loop=loop
        )


@dataclass(frozen=True, slots=True)
class Wait:
    """Since when a connection's client makes us wait: to read an answer, or to say what it wants."""

    since: float
    cycle: object
    unread: int
    """Bytes of answers that not even the kernel took yet."""

    def goes_on(self, now: "Wait") -> bool:
        """Tell whether it is the same wait still: nothing new was begun or answered, and too little of it was read."""
        same = self.cycle is now.cycle and bool(self.unread) == bool(now.unread)
        return same and self.unread - PROGRESS < now.unread <= self.unread


class Patience:
    """Ends connections whose client takes too long to say what it wants, or to read what it is told.

    uvicorn waits for both for ever: closing a connection waits until all is read.
    """

    def __init__(self, connections: Callable[[], Iterable[Any]], seconds: float) -> None:
        self._connections = connections
        self._seconds = seconds
        self._waits: dict[Any, Wait] = {}

    def look(self, now: float) -> None:
        """End each connection that has made us wait for the same thing for too long."""
        before, self._waits = self._waits, {}
        for connection in list(self._connections()):
            unread = connection.transport.get_write_buffer_size()
            if not unread and not _owes_a_request(connection):
                continue
            wait = Wait(now, connection.cycle, unread)
            last = before.get(connection)
            if last is not None and last.goes_on(wait):
                wait = last
            if now - wait.since <= self._seconds:
                self._waits[connection] = wait
            elif unread:
                connection.transport.abort()
            else:
                _end(connection)


def _owes_a_request(connection: Any) -> bool:
    """Tell whether a client has begun a request, or has just come, or owes the rest of a body that was answered."""
    answered = connection.cycle is None or connection.cycle.response_complete
    return answered and connection.timeout_keep_alive_task is None and not connection.transport.is_closing()


def _end(connection: Any) -> None:
    """Close a connection; only a request that has no answer gets one, or it would pass for the answer to the next."""
    if connection.cycle is None or connection.scope is not connection.cycle.scope:
        connection.transport.write(TOO_SLOW)
    connection.transport.close()


class Generation:
    """Serves one application until it is told to end."""

    def __init__(self, app: App, boss: Boss) -> None:
        self._app = app
        self._boss = boss
        self._leaving = asyncio.Event()
        self._deadline = float("inf")
        self._private: asyncio.Protocol | None = None
        self._told: dict[str, float] = {}

    async def run(self, config: uvicorn.Config, check: socket.socket) -> None:
        """Serve from the first check to the last answer."""
        loop = asyncio.get_running_loop()
        self._server = Server(config)
        self._acceptor = Acceptor(lambda: self._server.protocol(refit_told=self._told))
        serving = loop.create_task(self._server.serve(sockets=[]))
        while not self._server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for its start
            await asyncio.sleep(TICK)
        self._boss.attach(self._obey)
        self._acceptor.open(check, self._own_line)
        self._boss.tell("checking")
        looking = loop.create_task(self._look_for_the_slow())
        await self._leaving.wait()
        while self._busy and loop.time() < self._deadline:  # noqa: ASYNC110 - uvicorn has no event for its last connection
            await asyncio.sleep(TICK)
        looking.cancel()
        self._server.should_exit = True
        await serving

    def _own_line(self) -> asyncio.Protocol:
        """Return what serves the supervisor's own connection: it needs no key, and keeps nothing open."""
        self._private = self._server.protocol(refit_private=True)
        return self._private

    def _others(self) -> set[Any]:
        return {connection for connection in self._server.server_state.connections if connection is not self._private}

    async def _look_for_the_slow(self) -> None:
        seconds = request_seconds()
        patience = Patience(self._others, seconds)
        while True:
            await asyncio.sleep(min(1.0, seconds / 4))
            patience.look(asyncio.get_running_loop().time())

    async def application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to the application; tell clients when all ends."""

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start" and self._leaving.is_set():
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, say)

    @property
    def _busy(self) -> bool:
        return self._acceptor.opening or bool(self._others())

    def _obey(self, command: str, listener: socket.socket | None) -> None:
        word, _, rest = command.partition(" ")
        if word == "serve" and listener is not None:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, self._leave, LAST_SECONDS, True)  # noqa: FBT003 - a callback's argument
            self._acceptor.listen(listener)
            self._boss.tell("live")
        elif word == "told":
            self._told.update(json.loads(rest))
        elif word in {"drain", "stop"}:
            self._leave(float(rest), word == "stop")

    def _leave(self, seconds: float, last: bool) -> None:
        """Take no more connections; who waits goes to the successor, or in here where there is none."""
        self._leaving.set()
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + seconds)
        self._acceptor.close(empty=last)


def main() -> None:
    """Run until told to end."""
    parser = argparse.ArgumentParser(
        prog="generation", description="One generation of the service; `refit serve` runs it."
    )
    parser.add_argument("--bento", type=Path, required=True, help="folder of the built Bento")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the line to the supervisor")
    parser.add_argument(
        "--check", type=int, required=True, help="descriptor of a connection the supervisor checks over"
    )
    given = parser.parse_args()
    logging.basicConfig(
        level=os.environ.get("REFIT_LOG_LEVEL") or logging.WARNING,
        format="%(asctime)s %(process)d %(name)s %(message)s",
        stream=sys.stderr,
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to hear
    # Until it serves, so is this one: whoever ends a whole group must not make it look as if it could not start.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    boss = Boss(socket.socket(fileno=given.control))
    try:
        generation = Generation(_loaded(given.bento), boss)
        config = config_of(generation.application)
    except Exception as error:
        boss.tell(f"failed {type(error).__name__}: {_last_line(str(error))}")
        raise
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(generation.run(config, socket.socket(fileno=given.check)))


def config_of(app: App) -> uvicorn.Config:
    """Return how an application is served."""
    return uvicorn.Config(
        app,
        http=_protocol(),
        interface="asgi3",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,  # uvicorn's names the query string, which may hold values
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # One second over, for who took too long is to hear the application's own 504, not the 500 of a cancelled task.
        timeout_graceful_shutdown=max(IN_FLIGHT_SECONDS, math.ceil(request_seconds()) + 1),
    )


def request_seconds() -> float:
    """Return how long a request may take; the application reads the same variable, and says what is wrong with it."""
    return float(os.environ.get("REFIT_REQUEST_SECONDS") or REQUEST_SECONDS)


def _protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """Return ours, loaded as a file, for the package it stands in is the Bento's; without httptools uvicorn's own.

    That one, on h11, keeps bodies and bounds heads by itself.
    """
    if importlib.util.find_spec("httptools") is None:
        return "auto"
    path = Path(__file__).with_name("protocol.py")
    spec = importlib.util.spec_from_file_location("refit_protocol", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    protocol: type[asyncio.Protocol] = module.Protocol
    return protocol


def _loaded(bento: Path) -> App:
    """Load in the time that the generation now live leaves over."""
    _group_nice(NICE)
    try:
        with ThreadPoolExecutor(1, "loading", initializer=_stand_back) as aside:
            return aside.submit(_load, bento).result()
    finally:
        _group_nice(0)


def _stand_back() -> None:
    """Give this thread less of the processor; on Linux that is a thread's own, and cannot be taken back."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _group_nice(nice: int) -> None:
    """Weigh our session against others, where the kernel shares the processor out by sessions: sched(7), autogroup."""
    if os.getsid(0) != os.getpid():
        return  # somebody else's session, who started us by hand
    for _ in range(AUTOGROUP_TRIES):
        try:
            Path("/proc/self/autogroup").write_text(str(nice), encoding="ascii")
        except BlockingIOError:  # it may be changed ten times a second
            time.sleep(AUTOGROUP_SECONDS)
        except OSError:
            return
        else:
            return


def _load(bento: Path) -> App:
    """Return the application of the Bento's service, made of the code the Bento carries."""
    import bentoml  # noqa: PLC0415 - seconds of imports; the boss must be heard before

    app: App = bentoml.load(str(bento), standalone_load=True).to_asgi()
    package = sys.modules.get("refit")
    if package is not None and not Path(package.__file__ or "").is_relative_to(bento.resolve()):
        raise ImportError(f"refit was imported from {package.__file__}, not from the Bento")
    gc.collect()
    gc.freeze()  # what is loaded stays: looking through it again took 50 ms in the middle of requests
    return app


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else "no reason given"


if __name__ == "__main__":
    main()
    logging.shutdown()
    os._exit(0)  # all is answered and written; to take a whole interpreter apart costs those who serve
