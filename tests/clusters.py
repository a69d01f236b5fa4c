"""Clusters of `dask.distributed` on this machine, in processes as those of other machines would be."""

import contextlib

import pytest


@contextlib.contextmanager
def local_cluster(workers=2, **options):
    """A cluster, which is closed in the end."""
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": ":0", **options}
    with distributed.LocalCluster(n_workers=workers, **options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cluster():
    """Two workers with a thread each."""
    with local_cluster() as made:
        yield made


@pytest.fixture
def client(cluster):
    """A client of `cluster`."""
    distributed = pytest.importorskip("distributed")
    cluster.scale(2)
    with distributed.Client(cluster, set_as_default=False) as made:
        made.wait_for_workers(2, timeout=60)
        yield made
