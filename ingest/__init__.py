"""The edge: verify a callout, admit it, publish it, answer once the broker has confirmed it."""
