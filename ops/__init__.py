"""What people run: the `penstock` command and the local stack."""
