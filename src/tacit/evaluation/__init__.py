"""Numbers that say how good predictions and suspects are."""
