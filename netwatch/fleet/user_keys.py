"""Keys of users of a NATS server (nkeys): a seed that stays with the user, and its public key.

The server knows the public key alone and has the user sign a challenge, so nothing that the
server or its configuration has lets anybody else in.
"""

import os

from netwatch.core.errors import NetwatchError


def new_seed() -> str:
    """The seed of a new user."""
    import nkeys

    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """The public key of a user with this seed. Raises `NetwatchError` for what is no seed."""
    import nkeys

    try:
        pair = nkeys.from_seed(bytearray(seed.encode("ascii")))
        return str(pair.public_key.decode())
    except Exception:  # The library raises whatever it meets; a seed must not be repeated.
        raise NetwatchError("expected the seed of a user of NATS, which begins with SU") from None
