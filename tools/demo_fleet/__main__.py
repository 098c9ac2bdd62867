"""A centre, its server and two sensors on this machine: ``make demo-fleet``.

Both sensors see the same office, so what they report is one case that two saw. Then one of them is
killed, and the centre says that it is silent. Everything is in a folder that is removed at the end,
and no process is left.
"""

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "pcaps" / "five-kinds.pcap"
SENSORS = ("brussels-1", "brussels-2")
NETWATCH = (sys.executable, "-m", "netwatch")
SILENCE = "15s"
TIMEOUT = 60.0


class Demonstration:
    """The processes and files of a demonstration in `folder`; a context that ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._url = f"tls://127.0.0.1:{free.getsockname()[1]}"
        address = self._url.partition("//")[2]
        self.centre = folder / "centre.yaml"
        self.centre.write_text(
            "version: 1\nstore: {path: store}\n"
            f'fleet:\n  centre: "{self._url}"\n'
            f'  server: {{listen: "{address}", folder: centre, silence: {SILENCE}}}\n'
        )

    def __enter__(self) -> "Demonstration":
        return self

    def __exit__(self, *_: object) -> None:
        # The centre last: sensors say goodbye to it.
        for process in reversed(self._processes):
            if process.stdin is not None:
                process.stdin.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def show(self, *arguments: str) -> None:
        """Run a command at the centre for people to see."""
        print(f"\n$ netwatch {' '.join(arguments)} -c centre.yaml", flush=True)
        subprocess.run([*NETWATCH, *arguments, "-c", str(self.centre)], check=True)

    def records(self, *arguments: str) -> list[dict[str, object]]:
        """The records that a command at the centre gives."""
        command = [*NETWATCH, *arguments, "--format", "jsonl", "-c", str(self.centre)]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return [json.loads(line) for line in found.stdout.splitlines()]

    def start_centre(self) -> None:
        """Start the centre, and wait until its server answers."""
        self._start("centre", "fleet", "centre", "-c", str(self.centre))
        log = self._folder / "centre.log"
        wait_until(lambda: "connected to the server" in log.read_text(), "the centre works", log)

    def enrol(self, name: str) -> None:
        """Make the credentials of a sensor."""
        credentials = self._folder / f"{name}.creds"
        enrol = ["fleet", "enrol", name, "-o", str(credentials), "-c", str(self.centre)]
        subprocess.run([*NETWATCH, *enrol], check=True, stderr=subprocess.DEVNULL)

    def start_sensor(self, name: str) -> subprocess.Popen[bytes]:
        """Start a sensor, and have it see the capture as if packets came now."""
        office = (ROOT / "pcaps" / "netwatch.yaml").read_text()
        office = re.sub(r"inventory: (\S+)", rf"inventory: {ROOT / 'pcaps'}/\1", office)
        path = self._folder / f"{name}.yaml"
        path.write_text(
            f"{office}\nspool: {{path: {name}.outbox}}\n"
            f'fleet: {{sensor: {name}, centre: "{self._url}", credentials: {name}.creds,'
            f" spool: {{path: {name}.spool}}, published: {name}.published}}\n"
        )
        process = self._start(
            name, "live", "--source", "file", "-i", "-", "--no-view", "-q", "-c", str(path)
        )
        assert process.stdin is not None
        process.stdin.write(CAPTURE.read_bytes())
        process.stdin.flush()  # It stays open, as that of a tcpdump that sees nothing more.
        return process

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*NETWATCH, *arguments], stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process


def wait_until(condition: Callable[[], object], what: str, log: Path | None = None) -> None:
    """Wait until something holds; the program ends where that takes too long."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            said = log.read_text() if log is not None else ""
            sys.exit(f"waited {TIMEOUT:g} s in vain until {what}\n{said}")
        time.sleep(0.3)


def main() -> None:
    """Show the fleet."""
    with (
        tempfile.TemporaryDirectory(prefix="netwatch-fleet-") as place,
        Demonstration(Path(place)) as fleet,
    ):
        print(
            "A centre with its NATS server, and two sensors that see the same office …", flush=True
        )
        for name in SENSORS:
            fleet.enrol(name)
        fleet.start_centre()
        sensors = [fleet.start_sensor(name) for name in SENSORS]

        def is_seen_by_both() -> bool:
            cases = fleet.records("store", "query", "cases")
            return any(len(case["seen_by"]) == len(SENSORS) for case in cases)  # type: ignore[arg-type]

        wait_until(is_seen_by_both, "a case was seen by both", Path(place, "brussels-1.log"))
        cases = fleet.records("store", "query", "cases")
        case = next(each for each in cases if len(each["seen_by"]) == len(SENSORS))  # type: ignore[arg-type]
        print("\nOne contact, seen by two sensors, is one case:")
        shown = {
            name: case.get(name) for name in ("id", "verdict", "joined_by", "counts", "seen_by")
        }
        print(json.dumps(shown, indent=2, ensure_ascii=False))
        fleet.show("fleet", "status")
        print(
            f"\n{SENSORS[1]} is killed (SIGKILL). After {SILENCE} without a sign of life:",
            flush=True,
        )
        sensors[1].kill()
        sensors[1].wait()
        wait_until(
            lambda: any(each["state"] == "silent" for each in fleet.records("fleet", "status")),
            "the silence is noticed",
        )
        fleet.show("fleet", "status")
    print("\nNothing is left running. docs/guides/fleet.md says how to do it on several machines.")


if __name__ == "__main__":
    main()
