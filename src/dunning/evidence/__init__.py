"""Links, what was read through them, and what that proves."""
