"""One sensor that was taken over, against a centre and an honest sensor, for as long as you like.

``python bench/fleet_attack.py --messages 1000000`` runs a centre with its server on loopback. One
sensor sends messages of all kinds, each with something wrong (`support.fleet_attack`), as fast as
the server takes them, asks for answers on subjects that are not its own, and leaves orphan parts.
Another one reports an incident every second. Printed are how often the centre or a process of it
ended, the longest time in which nothing of the honest sensor was committed, what of it is missing,
the most memory that the centre and its processes took, how many messages were refused, and for
which reasons: of those that the centre keeps, which are a sample of 30 in a minute. With
``--progress``, how far it is goes to standard error. Exit status 1 unless all is as it shall
be: no exits, nothing missing, and less than ``--silence`` seconds.
"""

import argparse
import asyncio
import contextlib
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.fleet_attack import attack
from support.fleet_centre import CentreProcess, sensor_records
from support.fleet_messages import message

from netwatch.fleet.access import HEALTH_BUCKET, MAX_PAYLOAD, STREAM, bucket_subject, subject
from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.connection import Connection
from netwatch.fleet.receiver import FOLDER, RefusedMessages

EVIL, GOOD = "evil-1", "good-1"
PROGRESS = 10_000
"""Messages between two lines of progress."""

LOOK_SECONDS = 20.0
"""Seconds between two looks at the messages that the centre keeps."""

REPLIES = ("", f"$JS.API.STREAM.PURGE.{STREAM}", bucket_subject(HEALTH_BUCKET, GOOD),
           f"_INBOX.{EVIL}.x")  # fmt: skip


class Honest:
    """A sensor that reports an incident every second until it is committed."""

    def __init__(self) -> None:
        self.waiting: dict[str, float] = {}
        self.committed = 0
        self.longest = 0.0
        self.stop = False

    async def run(self, client: object) -> None:
        """Report, and send again what was not committed within 10 s."""
        await client.subscribe(subject(GOOD, "committed"), cb=self._take)  # type: ignore[attr-defined]
        bodies: dict[str, dict[str, object]] = {}
        number = 0
        while not self.stop or self.waiting:
            if not self.stop:
                (record,) = sensor_records(GOOD, [number])
                bodies[record["id"]] = record
                self.waiting[record["id"]] = time.monotonic()
                number += 1
                await self._send(client, [record], number)
            late = [key for key, at in self.waiting.items() if time.monotonic() - at > 10]
            if late:
                await self._send(client, [bodies[key] for key in late[:50]], -number)
            await asyncio.sleep(1)

    async def _send(self, client: object, records: list[dict[str, object]], number: int) -> None:
        body = {"alerts": [{"key": each["id"], "record": each} for each in records]}
        data = message("alerts", abs(number), GOOD, body).encode()
        with contextlib.suppress(Exception):
            await client.jetstream(timeout=10).publish(subject(GOOD, "alerts"), data)  # type: ignore[attr-defined]

    async def _take(self, news: object) -> None:
        import json

        for key in json.loads(news.data).get("keys", ()):  # type: ignore[attr-defined]
            at = self.waiting.pop(key, None)
            if at is not None:
                self.committed += 1
                self.longest = max(self.longest, time.monotonic() - at)


class Refusals:
    """Why messages are refused: those that the centre keeps for a while, each counted once."""

    def __init__(self, folder: Path) -> None:
        self._kept = RefusedMessages(folder / "centre" / FOLDER)
        self._seen = 0
        self.reasons: Counter[str] = Counter()

    def look(self) -> None:
        """Count those that are new."""
        for each in self._kept.listing():
            if each.sensor == EVIL and each.time > self._seen:
                self._seen = each.time
                words = re.sub(r"'[^']*'|\"[^\"]*\"|[\d.,]+", "…", each.reason)
                self.reasons[f"{each.kind}: {words[:80]}"] += 1

    async def run(self) -> None:
        """Look again and again, until this is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()


async def fire(client: object, messages: int, seed: int, report: Callable[[int], None]) -> int:
    """Send so many messages of the attack; how many. `report` is told how far it is."""
    chance = random.Random(seed)
    sent = 0
    for number in range(messages):
        if number % PROGRESS == 0:
            report(number)
        kind, data = attack(chance, EVIL, number)
        place = bucket_subject(HEALTH_BUCKET, EVIL) if kind == "health" else subject(EVIL, kind)
        if len(data) < MAX_PAYLOAD:
            await client.publish(place, data, reply=chance.choice(REPLIES))  # type: ignore[attr-defined]
            sent += 1
        await asyncio.sleep(0)  # The honest sensor has the same loop.
        if number % 100 == 0:
            await client.flush(timeout=60)  # type: ignore[attr-defined]
    return sent


def memory(pids: list[int]) -> int:
    """The most bytes that any of these processes has taken."""
    found = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    found = max(found, int(line.split()[1]) << 10)
    return found


async def against(
    centre: CentreProcess, messages: int, seed: int, refusals: Refusals, *, progress: bool
) -> tuple[Honest, int]:
    """Run both sensors; the honest one, and how many messages the other one sent."""
    honest, began = Honest(), time.monotonic()

    def report(number: int) -> None:
        if progress:
            print(f"{number:,} after {time.monotonic() - began:.0f} s; of the honest sensor"
                  f" {honest.committed:,} committed, {len(honest.waiting)} waiting, the latest"
                  f" after {honest.longest:.1f} s", file=sys.stderr, flush=True)  # fmt: skip

    connections = [Connection(sensor_peer(centre.options(name))) for name in (EVIL, GOOD)]
    for each in connections:
        await each.open()
    try:
        running = asyncio.create_task(honest.run(connections[1].client))
        looking = asyncio.create_task(refusals.run())
        sent = await fire(connections[0].client, messages, seed, report)
        honest.stop = True
        await asyncio.wait_for(running, 300)
        looking.cancel()
    finally:
        for each in connections:
            await each.close()
    return honest, sent


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--silence", type=float, default=60.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--progress", action="store_true", help="say how far it is")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netwatch-") as place:
        centre = CentreProcess(Path(place), EVIL, GOOD)
        centre.start()
        pid = centre.pid
        began = time.monotonic()
        refusals = Refusals(Path(place))
        honest, sent = asyncio.run(
            against(centre, args.messages, args.seed, refusals, progress=args.progress)
        )
        took = time.monotonic() - began
        size = memory([pid, *centre.children()[1]])
        refusals.look()
        status = centre.end()
        counts = "SELECT name, refused FROM fleet_sensor"
        refused = dict(centre.rows(counts)).get(EVIL, 0)
        deaths = centre.log.count("was killed") + centre.log.count("Traceback") + (status != 0)
    print(f"{sent:,} messages in {took:.0f} s; exits {deaths}; of the honest sensor"
          f" {honest.committed:,} committed, {len(honest.waiting)} missing, the latest after"
          f" {honest.longest:.1f} s; at most {size / 1e6:.0f} MB in a process")  # fmt: skip
    print(f"{refused:,} refused; of the {refusals.reasons.total():,} that were looked at:")
    for reason, count in refusals.reasons.most_common():
        print(f"{count:7,}  {reason}")
    return int(bool(deaths or honest.waiting or honest.longest > args.silence))


if __name__ == "__main__":
    sys.exit(main())
