"""What a stored mail says: its parsed view, and how bytes become one."""
