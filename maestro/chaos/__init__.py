"""`maestro chaos`: faults on a schedule that a seed draws, a workload that keeps books, and a checker that may fail.

    proxy       what a network does to a connection           schedule    which fault when: a pure function of a seed
    annals      what a client asked for and was told          invariants  I1..I12 over exports and annals, nothing else
    workload    behaviours that count                         grounds     what is wounded: plain processes, or Ray's

What is not here: ray. Processes are met by their pids, the cluster by the command line, the store by its socket.

Source: PROMISES 2 and 3d.
"""
