"""Delivery of alerts to outputs: stored on disk first, then sent until the receiver has them.

    Delivery.put -> outbox (SQLite) -> one delivery worker an output -> its sink -> the receiver

`delivery` is what the rest of netwatch uses. `outbox` stores alerts until every output has
delivered them, `worker` sends and retries, `attempt` is one attempt to send a batch, and
`dead_letters` stores what a receiver refuses permanently. `deferred` stores alerts that some
recipients are still to get. `configuration` reads ``outputs:`` of netwatch.yaml.
"""
