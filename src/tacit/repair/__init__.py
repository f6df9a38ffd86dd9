"""From a model to a repaired table: what is missing, what people say, what is written."""
