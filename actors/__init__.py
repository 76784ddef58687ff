"""Ray shells: they carry out what `maestro` decides, and decide nothing themselves."""
