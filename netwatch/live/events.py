"""What happens in a live capture, told to whoever listens: plain values, in their order."""

from collections.abc import Callable
from dataclasses import dataclass

from netwatch.core.alert import Alert


@dataclass(frozen=True, slots=True)
class Started:
    """Packets are taken from `interfaces` by `workers` processes, judged by these versions of
    the configuration and the signatures. `restored` incidents were open before."""

    interfaces: tuple[str, ...]
    workers: int
    policy: str
    signatures: str
    restored: int


@dataclass(frozen=True, slots=True)
class Told:
    """An incident opened, rose or ended."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence on an interface, the state or an output. `trouble` says that something is
    not as it should be."""

    text: str
    trouble: bool = True


@dataclass(frozen=True, slots=True)
class Lost:
    """Packets that the kernel dropped since this was last told, and in all."""

    packets: int
    total: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Another configuration holds from now on."""

    policy: str
    signatures: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A configuration was read and not taken; the old one stays. `error` has its mistakes, a
    line each."""

    error: str


@dataclass(frozen=True, slots=True)
class Passed:
    """How much came in the last `seconds`, and how many incidents are open."""

    seconds: float
    packets: int
    octets: int
    dropped: int
    open: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The capture is over; `reason` in words."""

    reason: str


Event = Started | Told | Said | Lost | Reloaded | Refused | Passed | Stopped
Listener = Callable[[Event], None]
