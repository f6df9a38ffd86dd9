"""What a trunk makes of images: computed once, kept on disk, shared by all runs."""
