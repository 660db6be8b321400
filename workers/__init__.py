"""Consume, decode, dedupe, persist, evaluate, settle; and relay what the outbox holds."""
