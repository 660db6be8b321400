"""The outbox relay: claims rows, delivers them to the target, marks what became of them."""
