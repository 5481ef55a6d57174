"""Verification: the parity ladder, its tolerances, and the gates' verdicts."""
