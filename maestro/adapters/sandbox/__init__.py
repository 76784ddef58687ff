"""The sandbox on a process of its own: user code that may fail, hang, print and exit there, and nowhere else."""
