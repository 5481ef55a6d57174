import os

# One thread a process: the suite runs in several processes, and torch's threads would wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
