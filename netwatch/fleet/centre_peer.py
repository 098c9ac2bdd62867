"""How a centre connects to its own server, or to the one that it joins."""

from netwatch.config.fleet_section import FleetOptions
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Peer


def centre_peer(options: FleetOptions, folder: CentreFolder) -> Peer:
    """The server, and the centre as its user. Raises `NetwatchError` where keys are missing."""
    server = options.server
    assert server is not None
    scheme, _, _ = options.centre.partition("://")
    name = options.centre.rpartition("/")[2]
    host = name.rpartition(":")[0] or name
    if server.join:
        url, host = server.join, ""
    else:
        listening = server.host if server.host not in ("0.0.0.0", "::") else "127.0.0.1"
        address = f"[{listening}]" if ":" in listening else listening
        url = f"{scheme}://{address}:{server.port}"
    return Peer(
        url=url,
        name="netwatch centre",
        seed="" if server.credentials else folder.seed,
        credentials=server.credentials,
        ca=folder.ca,
        server_name=host.strip("[]"),
    )
