"""Alerts and dashboards, written from the metrics that the code defines: `make docs`."""
