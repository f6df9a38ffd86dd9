"""Models for others."""
