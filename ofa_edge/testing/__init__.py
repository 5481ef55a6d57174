"""Public aids for testing: what a connection must do, simulated devices, recordings, models of noise."""
