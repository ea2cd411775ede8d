"""Runs on the workers of a Dask cluster, which share the runs folder with the command that submits them.

A task of the cluster is a run. On the Dask worker a :class:`harness.execution.local.LocalExecutor` works on it: as a
process of its own, with time limit, retries, checkpoints and result as on one machine. This package adds:

* a check of the machines (:mod:`harness.execution.dask.compatibility`);
* the events of runs, sent back to the command;
* the end: a run whose Dask worker is lost is submitted again, a bounded number of times. No run outlives the command.
"""
