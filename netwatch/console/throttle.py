"""Limits how often somebody may try to sign in: by account, and by address.

Whether an account exists makes no difference. The tables are bounded: of too many keys the oldest
are forgotten, and the limit over all addresses together still holds.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from netwatch.core.dataclass import dataclass

MAX_KEYS = 10_000
"""Accounts and addresses that are remembered."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `tries` in `seconds`."""

    tries: int
    seconds: int


ACCOUNT_RATE = Rate(10, 900)
"""Wrong passwords for one account."""

ADDRESS_RATE = Rate(20, 300)
"""Wrong passwords from one address."""

ALL_RATE = Rate(200, 300)
"""Wrong passwords together."""


class Throttle:
    """Counts failures; thread-safe. `now` is in s."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait(self, account: str, address: str) -> int:
        """How long to wait before another try, in s; 0 if none is needed."""
        with self._lock:
            return max(self._wait(key, rate) for key, rate in _keys(account, address))

    def failed(self, account: str, address: str) -> bool:
        """Count a wrong password. True if the next try will be refused, which began now."""
        with self._lock:
            keys = _keys(account, address)
            for key, rate in keys:
                failures = self._failures.setdefault(key, deque(maxlen=rate.tries))
                failures.append(self._now())
                self._failures.move_to_end(key)
            while len(self._failures) > MAX_KEYS:
                self._failures.popitem(last=False)
            return any(self._wait(key, rate) for key, rate in keys)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the failures of an account; those of the address still count."""
        with self._lock:
            self._failures.pop(("account", account.lower()), None)

    def _wait(self, key: tuple[str, str], rate: Rate) -> int:
        failures = self._failures.get(key)
        if failures is None or len(failures) < rate.tries:
            return 0
        left = failures[0] + rate.seconds - self._now()
        return max(0, int(left) + 1) if left > 0 else 0


def _keys(account: str, address: str) -> Sequence[tuple[tuple[str, str], Rate]]:
    return (
        (("account", account.lower()), ACCOUNT_RATE),
        (("address", address), ADDRESS_RATE),
        (("all", ""), ALL_RATE),
    )
