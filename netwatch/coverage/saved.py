"""What coverage counted, as values of JSON and back, so that it can be added to other counts."""

from typing import Any

from netwatch.core.typed_json import read, reader
from netwatch.core.verdict import DeviceClass
from netwatch.coverage.counts import Coverage
from netwatch.coverage.visibility import VISIBILITIES

_NUMBERS = [int] * len(VISIBILITIES)
_read_text = reader(str)


def coverage_state(coverage: Coverage) -> dict[str, Any]:
    """All counts, as JSON can have them. Numbers are in the order of `VISIBILITIES`."""
    return {
        "outside": coverage._outside,
        "missed": coverage._missed,
        "networks": [
            [name, device_class, counts]
            for name, (device_class, counts) in sorted(coverage._networks.items())
        ],
        "devices": [[*key, counts] for key, counts in sorted(coverage._devices.items())],
    }


def restored_coverage(state: Any) -> Coverage:
    """The counts that `coverage_state` gave. Raises one of
    `netwatch.core.typed_json.MISMATCHES`."""
    coverage = Coverage()
    coverage._outside = _counts(state["outside"])
    coverage._missed.update(read(dict[str, int], state["missed"]))
    for name, device_class, counts in state["networks"]:
        networks = coverage._networks
        networks[read(str, name)] = read(DeviceClass, device_class), _counts(counts)
    for network, device, counts in state["devices"][: coverage._limit]:
        coverage._devices[_read_text(network), _read_text(device)] = _counts(counts)
    if any(network not in coverage._networks for network, _ in coverage._devices):
        raise ValueError("a device is in no network")
    return coverage


def _counts(found: Any) -> list[int]:
    # An archive has a list for each device of each capture: one comparison is a tenth of the time.
    if not isinstance(found, list) or [*map(type, found)] != _NUMBERS:
        raise ValueError(f"expected {len(VISIBILITIES)} numbers")
    return found
