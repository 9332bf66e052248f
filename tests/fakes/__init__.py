"""Stand-ins for the outside world: relays, sinks and broken networks that run for real on loopback."""
