"""Renders pictures as SVG, in a worker process that is kept warm, and remembers what it rendered.

Pictures are found again by a hash of their specification and locales. A worker that does not answer
in time is killed, and the next picture starts a new one.
"""

import contextlib
import hashlib
import importlib.util
import json
import select
import subprocess
import sys
import threading
from collections import OrderedDict
from typing import Any, Self

from netwatch.charts.locales import number_locale, time_locale
from netwatch.charts.picture import Picture, Size
from netwatch.charts.svg import for_page
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.language.language import Language, language

TIME_LIMIT = 60.0
"""Seconds for one picture, the start of the worker included."""

CACHED = 256
"""SVGs that are remembered."""

MAX_SVG_BYTES = 8 << 20
"""Bytes of an answer of the worker."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.charts.worker"]


def require_renderer(command: str, extra: str) -> None:
    """Raise `ConfigError` for a command where the library that renders is not installed."""
    if importlib.util.find_spec("vl_convert") is None:
        message = f"pictures need an extra: {install_command(extra)}"
        raise ConfigError([Problem(command, 0, 0, message)])


class Renderer:
    """Renders pictures, one at a time, for any number of threads; a context that ends the
    worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: OrderedDict[tuple[str, ...], str] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def warm(self) -> None:
        """Start the worker and render something, so that the first picture does not wait. Meant for
        a thread at the start of a service. Raises `NetwatchError`."""
        mark = {"data": {"values": [{}]}, "mark": "point"}
        request = _request(mark, language("en"))
        self._rendered(request, ("warm", "", ""))

    def svg(self, picture: Picture, size: Size, used: Language, prefix: str = "") -> str:
        """A picture as SVG for a page; `prefix` tells it from others of the same name there. Raises
        `NetwatchError` where it cannot be rendered."""
        request = _request(picture.specifications[size], used)
        name = f"{prefix}{picture.name}-{size}"
        return self._rendered(request, (name, picture.title, picture.summary))

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._stop()

    def _rendered(self, request: str, texts: tuple[str, str, str]) -> str:
        """What the worker, or the memory, has for a request, fit for a page with a name, a title
        and a summary."""
        key = hashlib.sha256(request.encode()).hexdigest(), *texts
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            text = self._known[key] = for_page(self._ask(request), *texts)
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
            return text

    def _ask(self, request: str) -> str:
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(self._line(process))
        except (OSError, ValueError) as error:
            self._stop()
            raise NetwatchError(f"a picture could not be rendered: {error}") from None
        if "error" in answer:
            raise NetwatchError(f"a picture could not be rendered: {answer['error']}")
        return str(answer["svg"])

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """The next line of the worker. Raises `OSError` and `ValueError`."""
        assert process.stdout is not None
        parts: list[bytes] = []
        size = 0
        while not parts or not parts[-1].endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], TIME_LIMIT)
            if not ready:
                raise ValueError(f"no answer within {TIME_LIMIT:.0f} s")
            part = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            size += len(part)
            if not part:
                raise ValueError("the renderer ended")
            if size > MAX_SVG_BYTES:
                raise ValueError(f"more than {MAX_SVG_BYTES:,} bytes")
            parts.append(part)
        return b"".join(parts)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._process = subprocess.Popen(
                _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):  # what was not sent cannot be sent any more
                        stream.close()


def _request(specification: Any, used: Language) -> str:
    """A request for the worker, as one line of JSON."""
    request = {
        "specification": specification,
        "numbers": number_locale(used),
        "times": time_locale(used),
    }
    return json.dumps(request, sort_keys=True)
