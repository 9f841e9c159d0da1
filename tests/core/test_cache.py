"""The folder of files that are kept between runs."""

from pathlib import Path

import pytest

from spark_sentiment.core import cache


def test_a_folder_that_cannot_be_written_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARK_SENTIMENT_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    assert cache.cache_folder().parent == tmp_path
    assert "cannot be used" in caplog.text
