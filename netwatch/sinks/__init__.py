"""Where alerts are delivered to: files, SIEMs, message buses and mailboxes; one module per type.

    Delivery.put -> outbox (SQLite) -> one delivery worker an output -> its sink -> the receiver

`base` is the contract between delivery and the sinks and the place to start reading. A new type of
output is one module and one row of `netwatch.sinks.registry.SINKS`. `netwatch.delivery` keeps
alerts on disk until they are delivered and retries; a sink only knows the protocol of its receiver.
"""
