"""The workers for the tasks of a run: this process, processes of this machine, or a Dask cluster,
which is started here or already runs.

All have the same contract. A task that raises, or whose worker dies, only ends itself: it comes
back as `Failed` or `Lost`. If several tasks were running when a worker died, it is unknown which
one was to blame, so several may be lost, and each is tried again on its own.

Dask's scheduler has no authentication of its own, and anyone who can reach it can run code on every
worker. So TLS with certificates of one authority is required, except on the loopback interface; a
cluster that is started here has certificates of its own, because others may have accounts on this
machine.
"""

import importlib.util
import logging
import pickle
import platform
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import urlsplit

from netwatch.cluster.ledger import code_version
from netwatch.config import Config
from netwatch.core.addresses import is_loopback
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

T = TypeVar("T")
R = TypeVar("R")

Function = Callable[[Config, T], R]
"""The function that performs a task, in a worker that has the configuration."""

LOCAL = "local"
"""The address of a cluster that is started here."""

CONNECT_TIMEOUT = 20
"""Seconds to reach a scheduler."""

WORKERS_TIMEOUT = 120
"""Seconds until the first worker has joined."""

RESTART_TIMEOUT = "10 minutes"
"""How long a worker of a cluster that is started here may take to start."""

PEER_SECONDS = 10
"""How long a connection to a worker of such a cluster is attempted. The worker may have died a
moment ago: an attempt that begins after its death is known is ended by nothing else."""

ALLOWED_FAILURES = 1
"""Workers that may die of a task, besides the first, before it is given up in a cluster that is
started here."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker of a task died."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A task raised something unexpected; `reason` is a clause."""

    reason: str


class Workers(Protocol):
    """Workers that have a configuration. `count` is how many tasks they do at a time, if known."""

    count: int

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """Each task with its outcome, in the order in which they end. Raises `NetwatchError` if
        a task does, which ends the run."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


def attempt(function: Function[T, R], config: Config, task: T) -> R | Failed:
    """The result of a function, or why there is none. Raises `NetwatchError`."""
    try:
        return function(config, task)
    except NetwatchError:
        raise
    except Exception as error:  # Whatever it is, the other units are not affected.
        return Failed(f"{type(error).__name__}: {error}")


class ThisProcess:
    """Does the tasks here, one after the other."""

    count = 1

    def __init__(self, config: Config) -> None:
        self._config = config

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `Workers`."""
        for task in tasks:
            yield task, attempt(function, self._config, task)

    def close(self) -> None:
        """See `Workers`."""


class Processes:
    """Processes of this machine, which are forked with the configuration."""

    def __init__(self, config: Config, count: int) -> None:
        self.count = count
        self._config = config

    def run(
        self, function: Function[T, R], tasks: Iterable[T]
    ) -> Iterator[tuple[T, R | Lost | Failed]]:
        """See `Workers`."""
        from netwatch.core.system import workers

        with workers.Workers(self.count, partial(attempt, function, self._config)) as pool:
            for _, task, outcome in pool.outcomes(tasks):
                if isinstance(outcome, workers.DiedError):
                    yield task, Lost()
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    yield task, outcome

    def close(self) -> None:
        """See `Workers`."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authority that signed all certificates, and the certificate and key of this
    process. None means Dask's configuration, if it has one."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def check_address(address: str) -> None:
    """Raise `ConfigError` for an address that cannot be used or is not safe to use."""
    if address == LOCAL:
        return
    parts = urlsplit(address)
    expected = "expected local, tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine"
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("tls", "tcp") or not parts.hostname or not port:
        raise _usage(f"--cluster {address}: {expected}")
    if parts.scheme == "tcp" and not is_loopback(parts.hostname):
        raise _usage(
            f"--cluster {address}: anyone who reaches a scheduler without TLS can run code on all"
            f" workers; {expected}"
        )


def open_cluster(address: str, count: int, tls: TlsFiles) -> "tuple[Client, LocalCluster | None]":
    """A client of the cluster at `address`, and the cluster if it was started here, for ``local``,
    with `count` workers. Raises `ConfigError` and `NetwatchError`."""
    check_address(address)
    if importlib.util.find_spec("distributed") is None:
        raise _usage(f"--cluster needs an extra: {install_command('cluster')}")
    with warnings.catch_warnings():
        # If versions of libraries differ, `count_workers` explains it better.
        warnings.simplefilter("ignore")
        return _start(count) if address == LOCAL else (_connect(address, tls), None)


def _start(count: int) -> "tuple[Client, LocalCluster]":
    """A cluster on this machine."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
            # A dead worker is restarted, which takes long on a busy machine.
            "distributed.deploy.lost-worker-timeout": RESTART_TIMEOUT,
            "distributed.comm.timeouts.connect": f"{PEER_SECONDS} s",
            "distributed.admin.system-monitor.gil.enabled": False,
            # `silence_logs` reaches a worker only when it has already logged that it starts.
            "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
        }
    )
    has_dashboard = importlib.util.find_spec("bokeh") is not None
    security = Security.temporary()
    try:
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address="127.0.0.1:0" if has_dashboard else None,
            silence_logs=logging.CRITICAL,
        )
    except (RuntimeError, OSError) as error:
        # A worker that is killed while it starts, usually by the kernel for lack of memory.
        raise NetwatchError(
            f"the cluster on this machine did not start ({_root_cause(error)}): was a worker"
            " killed, for want of memory perhaps? A smaller --jobs starts fewer"
        ) from None
    return Client(cluster, security=security, timeout=WORKERS_TIMEOUT), cluster


def _root_cause(error: BaseException) -> str:
    """The root cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__


def _connect(address: str, tls: TlsFiles) -> "Client":
    """A cluster that runs already."""
    from distributed import Client
    from distributed.security import Security

    is_tls = address.startswith("tls://")
    given = {
        "tls_ca_file": tls.ca,
        "tls_client_cert": tls.certificate,
        "tls_client_key": tls.key,
    }
    # The client has a level of its own, which is set when it is imported.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        security = Security(
            require_encryption=is_tls, **{key: value for key, value in given.items() if value}
        )
        return Client(address, security=security, timeout=CONNECT_TIMEOUT)
    except (OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise NetwatchError(f"{address}: no scheduler can be reached: {reason}") from None


def count_workers(client: "Client", address: str) -> int:
    """The threads of all workers, after checking that each can do its work. Raises
    `NetwatchError`."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_TIMEOUT)
    except TimeoutError:
        text = f"{address}: no worker has joined within {WORKERS_TIMEOUT} s"
        raise NetwatchError(text) from None
    expected = _identity()
    found = client.run(_identity, on_error="return")
    for worker, identity in sorted(found.items()):
        if isinstance(identity, Exception):
            what = f"cannot run netwatch ({type(identity).__name__}: {identity})"
        elif identity != expected:
            (version, protocol, python), (here, _, python_here) = identity, expected
            what = f"has netwatch {version} on Python {python}, this process {here} on"
            what += f" Python {python_here}"
            if protocol != expected[1]:
                what += ", whose pickles differ"
            elif version == here:
                continue
        else:
            continue
        text = f"worker {worker} of {address} {what}; install the same everywhere"
        raise NetwatchError(text)
    return sum(client.nthreads().values())


def _identity() -> tuple[str, int, str]:
    return code_version(), pickle.HIGHEST_PROTOCOL, platform.python_version()


def _usage(text: str) -> ConfigError:
    return ConfigError.of("netwatch scan", text)
