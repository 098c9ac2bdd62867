"""A key of GPG in a keyring of its own, which programs find by the environment."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signing_key() -> Iterator[str]:
    """The fingerprint of a new key, whose keyring every process finds meanwhile."""
    former = os.environ.get("GNUPGHOME")
    # The path of a socket in it has a limit of 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        os.environ["GNUPGHOME"] = home
        try:
            gpg("--passphrase", "", "--quick-generate-key", "releaser@example.org", "rsa3072")
            listed = gpg("--with-colons", "--list-secret-keys").splitlines()
            yield next(line.split(":")[9] for line in listed if line.startswith("fpr:"))
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=False)
            if former is None:
                del os.environ["GNUPGHOME"]
            else:
                os.environ["GNUPGHOME"] = former


def gpg(*words: str) -> str:
    """What gpg prints."""
    command = ["gpg", "--batch", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
