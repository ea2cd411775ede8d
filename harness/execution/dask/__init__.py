"""Runs on the workers of a Dask cluster, which share the runs folder with the command that submits them.

A task of the cluster is a run, and what works on it there is :class:`harness.execution.local.Workers`: the run is a
process of its own, with its time limit, retries, checkpoints and result, as on one machine. Added are the check of the
machines (:mod:`harness.execution.dask.compatibility`), the way back of what the user is to see, and what happens when
things end: a run whose Dask worker is lost is submitted again, a bounded number of times; nothing goes on without the
command that wants it.
"""
