"""Public aids for testing: what a connection must do, and stand-ins for devices. Needs pytest only where it is run."""
