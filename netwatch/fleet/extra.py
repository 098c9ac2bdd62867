"""What a fleet needs of libraries that netwatch does not install by itself."""

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.installing import install_command


def require_extra(what: str) -> None:
    """Raise `ConfigError` where a library is missing; `what` needs it."""
    try:
        import cryptography
        import nats.aio.client
        import nkeys
        import pyarrow.parquet
    except ImportError as error:
        text = f"a fleet needs an extra: {install_command('fleet')} ({error})"
        raise ConfigError([Problem(what, 0, 0, text)]) from None
    del cryptography, nats, nkeys, pyarrow
