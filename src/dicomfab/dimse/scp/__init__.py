"""The answering side: a server that turns requests into calls of a few small handlers."""
