"""A cluster that does not come up is one line, whatever Dask says about it."""

import logging

import pytest

from netwatch.cluster.workers import LOCAL, TlsFiles, open_cluster
from netwatch.core.errors import NetwatchError


def test_a_worker_that_is_killed_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    import distributed  # here, as it takes long, and every process that runs tests collects this

    def start(*_: object, **__: object) -> None:
        # As LocalCluster fails then.
        try:
            raise RuntimeError("Nanny failed to start worker process")
        except RuntimeError as error:
            raise RuntimeError("Nanny failed to start.") from error

    monkeypatch.setattr(distributed, "LocalCluster", start)
    with pytest.raises(NetwatchError) as caught:
        open_cluster(LOCAL, 2, TlsFiles())
    assert "did not start (Nanny failed to start worker process)" in str(caught.value)
    assert "\n" not in str(caught.value)
    # Its traceback is not printed behind it either.
    assert caught.value.__suppress_context__


def test_dask_is_silent_about_a_scheduler_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.cluster.workers.CONNECT_TIMEOUT", 0.1)
    logger = logging.getLogger("distributed.client")
    before = logger.level
    try:
        with pytest.raises(NetwatchError, match="no scheduler can be reached"):
            open_cluster("tcp://127.0.0.1:9", 0, TlsFiles())
        assert not logger.isEnabledFor(logging.ERROR)
    finally:
        logger.setLevel(before)
