"""Emulated devices behind real transports: an arm64 system in namespaces of its own, with an ssh server or adb's.

`connections` is the way in. Everything else runs in the process that is the device.
"""
