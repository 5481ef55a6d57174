"""What a command does as a whole: build, calibrate, import, train, fine-tune, verify, profile, the nightly run."""
