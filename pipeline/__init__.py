"""What ingest and workers share: contract, topology, broker, database, settings, lifecycle."""
