"""What ships for people who test against devices: simulated ones, recordings, and what every connection must do."""
