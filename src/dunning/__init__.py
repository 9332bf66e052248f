"""Accounts receivable dunning: the domain that the API, the worker and the command line are shells over."""
