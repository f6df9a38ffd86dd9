"""Writing repaired labels: in the file that they came in, or as another one."""
