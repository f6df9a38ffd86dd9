"""Comparing methods on the same data, and a page that shows the outcome."""
