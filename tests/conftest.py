import os
import tempfile

# One thread a process: the suite runs in several processes, and torch's threads would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# No two processes of the suite keep each other off this machine as a device.
os.environ["OFA_EDGE_LEASES"] = tempfile.mkdtemp(prefix="ofa-test-")
# No test reads or writes the user's own tuning database.
os.environ["OFA_EDGE_TUNE_DB"] = f"{tempfile.mkdtemp(prefix='ofa-test-')}/tuning.json"
# Nor the user's devices, nor the key of their names.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="ofa-test-")
