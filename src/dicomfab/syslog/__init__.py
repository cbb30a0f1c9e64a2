"""Syslog messages (RFC 5424) over TLS (RFC 5425)."""
