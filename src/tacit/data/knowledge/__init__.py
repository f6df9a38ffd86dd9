"""What is known beside the labels."""
