"""Use cases: every method takes an Actor, asks the policy table, and owns its transactions."""
