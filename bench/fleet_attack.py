"""One sensor that was taken over, against a centre and an honest sensor, for as long as you like.

``python bench/fleet_attack.py --messages 1000000`` runs a centre with its server on loopback. One
sensor sends messages of all kinds, each with something wrong (`support.fleet_attack`), as fast as
the server takes them, asks for answers on subjects that are not its own, and leaves orphan parts.
Another one reports an incident every second. Printed are how often the centre or a process of it
ended, the longest time in which nothing of the honest sensor was committed, what of it is missing,
and the most memory that the centre and its processes took. Exit status 1 unless all is as it shall
be: no exits, nothing missing, and less than ``--silence`` seconds.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.fleet_attack import attack
from support.fleet_centre import CentreProcess, sensor_records
from support.fleet_messages import message

from netwatch.fleet.alert_sink import sensor_peer
from netwatch.fleet.connection import Connection
from netwatch.fleet.subjects import HEALTH_BUCKET, MAX_PAYLOAD, STREAM, bucket_subject, subject

EVIL, GOOD = "evil-1", "good-1"
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


async def fire(client: object, messages: int, seed: int) -> int:
    """Send so many messages of the attack; how many."""
    chance = random.Random(seed)
    sent = 0
    for number in range(messages):
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


async def against(centre: CentreProcess, messages: int, seed: int) -> tuple[Honest, int]:
    """Run both sensors; the honest one, and how many messages the other one sent."""
    honest = Honest()
    connections = [Connection(sensor_peer(centre.options(name))) for name in (EVIL, GOOD)]
    for each in connections:
        await each.open()
    try:
        running = asyncio.create_task(honest.run(connections[1].client))
        sent = await fire(connections[0].client, messages, seed)
        honest.stop = True
        await asyncio.wait_for(running, 300)
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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netwatch-") as place:
        centre = CentreProcess(Path(place), EVIL, GOOD)
        centre.start()
        pid = centre.pid
        began = time.monotonic()
        honest, sent = asyncio.run(against(centre, args.messages, args.seed))
        took = time.monotonic() - began
        size = memory([pid, *centre.children()[1]])
        status = centre.end()
        deaths = centre.log.count("was killed") + centre.log.count("Traceback") + (status != 0)
    print(f"{sent:,} messages in {took:.0f} s; exits {deaths}; of the honest sensor"
          f" {honest.committed:,} committed, {len(honest.waiting)} missing, the latest after"
          f" {honest.longest:.1f} s; at most {size / 1e6:.0f} MB in a process")  # fmt: skip
    return int(bool(deaths or honest.waiting or honest.longest > args.silence))


if __name__ == "__main__":
    sys.exit(main())
