"""Monitoring: servers are asked by C-ECHO again and again, and what was seen is kept."""
