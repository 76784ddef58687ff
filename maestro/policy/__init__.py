"""The policy kernel: one pure function that says which model step, when, where, and whether it is worth its price."""
