"""Devices by name: the user's file of them, and the tables that connections read."""
