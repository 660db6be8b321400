"""Replays: stored changes through the rules again, and original callouts from the log."""
