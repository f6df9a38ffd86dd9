"""Everything that knows timm: trunks, their layouts and weights."""
