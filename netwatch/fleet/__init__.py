"""Many sensors, one centre: what sensors send over NATS JetStream, and who commits it."""
