"""The worker process: loops that look for due work in PostgreSQL, and a bell that makes them look early."""
