"""Devices: connections to them, and the protocol that measures an artifact on one.

`registry.devices_file.open_connection` gives a `protocol.Connection`, `measuring.measure` a `protocol.Measurement`.
"""
