"""Send a centre whatever a sensor could: ``python tests/fuzz/fuzz_fleet.py --messages 1000000``.

The messages are those of `support.fleet_attack`, of all kinds and with something wrong anywhere,
and go through the centre's own code without a server. Whatever raises is a finding, as is a message
that is neither stored nor refused; `--seed` and the number of the batch make it again. For a centre
as a whole see ``bench/fleet_attack.py``.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.fleet_attack import attack
from support.fleet_local import LocalCentre

BATCH = 100
SENSOR = "evil-1"


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sent = waiting = 0
    with tempfile.TemporaryDirectory(prefix="netwatch-") as folder:
        centre = LocalCentre(Path(folder), SENSOR)
        for batch in range(-(-args.messages // BATCH)):
            chance = random.Random(f"{args.seed} {batch}")
            found = [attack(chance, SENSOR, batch * BATCH + each) for each in range(BATCH)]
            try:
                messages = centre.take(SENSOR, found)
            except Exception:
                print(f"seed {args.seed}, batch {batch}:")
                raise
            sent += len(found)
            waiting += sum(not each.ended for each in messages)
        refused = centre.status.refused[SENSOR]
        dropped = centre.status.dropped[SENSOR]
        parts, _ = centre.receiver.waiting(SENSOR)
        centre.close()
    print(f"{sent:,} messages: {refused:,} refused, {dropped:,} contents dropped as parts")
    return int(parts > waiting)


if __name__ == "__main__":
    sys.exit(main())
