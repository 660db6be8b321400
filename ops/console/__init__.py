"""The console: pages over the functions of `ops` that the commands call, too. No SQL in here."""
