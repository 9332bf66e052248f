"""`python -m dunning_worker`."""

from dunning_worker.main import run

run()
