"""The context field: what one continuation may know, ranked, fading, and composed into calls."""
