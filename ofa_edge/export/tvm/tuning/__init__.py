"""Optional tuning of the CPU schedules: what may be turned, how it is timed, when a gain counts, what is remembered.

`tuner.tune` is the sweep. It measures through a `turns.Timer`, which a build gives it over a connection to the
device; nothing here knows a device. docs/tvm.md says what it does and why.
"""
