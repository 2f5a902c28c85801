"""Observing: metrics for Prometheus, one log line a request, and traces for OpenTelemetry."""
