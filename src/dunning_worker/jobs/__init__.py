"""What a worker does, a noun a file; each job opens one transaction a batch."""
