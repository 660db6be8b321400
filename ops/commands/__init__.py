"""The commands of `penstock`: each parses, calls one function of `ops`, and prints."""
