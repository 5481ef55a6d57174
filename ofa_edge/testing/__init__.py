"""What ofa-edge is tested with, as public API."""
