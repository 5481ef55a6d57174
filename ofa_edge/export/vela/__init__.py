"""Arm Ethos-U: int8 TFLite files compiled by Vela, Arm's own compiler, whose account of cycles is kept."""
