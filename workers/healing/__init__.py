"""First load and audit: what an org is asked to send, and what becomes of what it sends."""
