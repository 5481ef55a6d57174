"""Weights and configurations of the reference, read without trusting them.

`reading` opens a file and hands on tensors only; `dialects` knows the spellings of a key; `matching` holds tensors
against a network's layout and reports what does not fit; `supernets`, `net_config` and `networks` make networks of
them; `fetch` brings a file from a URL whose digest is known beforehand.
"""
