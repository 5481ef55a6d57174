"""Programs that are pushed to a device and run there."""
