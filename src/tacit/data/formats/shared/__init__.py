"""What readers and writers share."""
