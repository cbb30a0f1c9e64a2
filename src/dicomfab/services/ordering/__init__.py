"""From HL7 messages to requested procedures, the worklist, what was performed of it, and the closed loop."""
