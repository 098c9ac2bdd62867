"""Many sensors, one centre: what sensors send over NATS JetStream, and the process that commits it.

Every live capture asks here whether it is a sensor, so nothing is imported that only a fleet needs.
"""

from netwatch.config import Config
from netwatch.config.fleet_section import FleetOptions
from netwatch.core.errors import ConfigError
from netwatch.core.installing import install_command
from netwatch.delivery.output import Output


def require_extra(what: str) -> None:
    """Raise `ConfigError` if a library that `what` needs is missing."""
    try:
        import cryptography
        import nats.aio.client
        import nkeys
        import pyarrow.parquet
        import tuf.ngclient
    except ImportError as error:
        text = f"a fleet needs an extra ({error}): {install_command('fleet')}"
        raise ConfigError.of(what, text) from None
    del cryptography, nats, nkeys, pyarrow, tuf


def is_sensor(config: Config) -> bool:
    """Whether this is a sensor that reports to a centre."""
    return config.fleet is not None and bool(config.fleet.sensor)


def outputs_of(config: Config) -> tuple[Output, ...]:
    """The outputs of a configuration, including the centre on a sensor."""
    return with_centre(config.outputs, config.fleet, config.path or "")


def with_centre(
    outputs: tuple[Output, ...], fleet: FleetOptions | None, path: str
) -> tuple[Output, ...]:
    """The same for parts of a configuration, which is at `path`."""
    if fleet is None or not fleet.sensor:
        return outputs
    from netwatch.fleet.alert_sink import OUTPUT, centre_output

    taken = {output.name for output in outputs}
    name = next(name for name in (OUTPUT, "centre", "fleet-centre") if name not in taken)
    return (*outputs, centre_output(fleet, name, path))
