"""How a centre connects to its own server, or to the one that it joins."""

from netwatch.config.fleet_section import FleetOptions
from netwatch.fleet.centre_folder import CentreFolder
from netwatch.fleet.connection import Connection, Peer


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


async def try_server(options: FleetOptions, folder: CentreFolder) -> None:
    """Connect to the server once. Raises `NetwatchError` where it does not answer, or does not let
    the centre in."""
    connection = Connection(centre_peer(options, folder))
    await connection.open()
    await connection.close()
