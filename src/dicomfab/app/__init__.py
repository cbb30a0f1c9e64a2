"""Settings, and the one place that wires services to adapters."""
