"""Encoders, one architecture a file."""
