"""Datasets, splits, and preprocessing described as data."""
