"""The version, for whoever writes it down; the package's own `__init__` stands above them."""

__version__ = "0.1.0"
