"""Where the relay delivers to: a file for each target, and the answers that all of them give."""
