"""One measurement of an artifact on a device: programs, sessions, samples, the lease that keeps others off."""
