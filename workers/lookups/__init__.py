"""Rules that look up other records: parents read, waited for, and heard of when they change."""
