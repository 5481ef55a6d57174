"""Devices: connections to them, and the protocol that measures an artifact on one.

`devices_file.open_connection` gives a `protocol.Connection`; `measure.measure` gives a `protocol.Measurement`.
"""
