"""Access: who may use the service and how much, and what a browser may do with its answers."""
