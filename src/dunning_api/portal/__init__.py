"""The customer's page behind a link of a mail."""
