"""Ways to a machine: this one, ssh, adb; each a `protocol.Connection`; and what a machine says it is."""
