"""Emulated devices: an arm64 system of Debian packages, a connection to it, and one behind real transports."""
