"""Framework-free ground floor: money, clock, ids, calendar, errors, settings, database, signing. No business word lives here."""
