"""The whole of Penstock on one machine: servers, processes, a sample org, and what came of it."""
