"""The figures of DESIGN 9: each job done by Maestro and by a bare loop, in one run, on one kind of server.

    python -m benchmarks [--quick] [--full] [--only NAME ...] [--out FILE] [--write-docs]

Not here: assertions. A figure that falls short is printed as falling short; tests assert behaviour, not speed.
"""
