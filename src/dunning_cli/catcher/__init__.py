"""The mail catcher: an SMTP server that keeps every mail as a file and delivers none, with a page and a JSON view to read them."""

from dunning_cli.catcher.server import Catcher, serve

__all__ = ["Catcher", "serve"]
