"""What is written to disk to be read again: manifests, searches, refinements, nights. `build` is the way back."""
