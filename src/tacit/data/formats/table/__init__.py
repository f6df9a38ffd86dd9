"""Tables: a row for each image."""
