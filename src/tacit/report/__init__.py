"""Pages, charts and images of a report."""
