"""Who may do what: one policy table, default deny. Pure: no I/O, no framework."""
