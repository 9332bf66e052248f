"""The command line: a shell over the domain package, and the servers that it can bring along."""
