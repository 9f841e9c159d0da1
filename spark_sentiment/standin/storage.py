"""Client of the stand-in's S3 for training, hosting and transform jobs, by the public port."""

import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from spark_sentiment.standin.errors import JobError

_MOST_BYTES = 2**31  # largest size of an unpacked model archive


class Storage:
    """Reads and writes objects of the S3 that `url` serves.

    Parameters
    ----------
    url : str
        URL of the stand-in.
    region : str
        AWS region.
    role : str
        Role in the messages of S3's refusals.
    """

    def __init__(self, url: str, region: str, role: str) -> None:
        self._url, self._region, self._role = url, region, role

    @cached_property
    def client(self) -> Any:
        """The boto3 client; all threads may use it."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self._url,
            region_name=self._region,
            aws_access_key_id="stand-in",
            aws_secret_access_key="of-no-account",
            # Ignore proxies of the environment: the URL is on the loopback interface.
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    def get(self, uri: str) -> bytes:
        """Return the bytes of an object; raise JobError if it does not exist."""
        bucket, key = split(uri)
        try:
            found: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise JobError(f"ClientError: {self._nothing(uri)}") from error
        return found

    def put(self, uri: str, body: bytes) -> None:
        """Write an object; raise JobError if its bucket does not exist."""
        bucket, key = split(uri)
        try:
            self.client.put_object(Bucket=bucket, Key=key, Body=body)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            raise JobError(f"ClientError: {code}: cannot write to {uri}") from error

    def below(self, source: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the URIs of the objects of an S3DataSource, and their paths below its folder.

        As in S3, a prefix need not end at a slash: ``s3://b/run1`` includes the objects of
        ``run10``. Empty objects, such as markers of folders, are omitted.
        """
        uri, kind = source["S3Uri"], source["S3DataType"]
        if kind == "ManifestFile":
            return self._manifest(uri)
        if kind != "S3Prefix":
            raise JobError(f"ClientError: the stand-in does not support S3DataType {kind}")
        bucket, prefix = split(uri)
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            keys = [
                item["Key"] for page in pages for item in page.get("Contents", []) if item["Size"]
            ]
        except ClientError as error:
            raise JobError(f"ClientError: {self._nothing(uri)}") from error
        if not keys:
            raise JobError(f"ClientError: {self._nothing(uri)}")
        folder = prefix.rfind("/") + 1
        return [(f"s3://{bucket}/{key}", key[folder:]) for key in keys]

    def _manifest(self, uri: str) -> list[tuple[str, str]]:
        """Read a manifest: the common prefix, then the rest of each URI."""
        try:
            first, *rest = json.loads(self.get(uri))
            prefix = first["prefix"]
        except (ValueError, KeyError, TypeError) as error:
            raise JobError(f"ClientError: the manifest file at {uri} is not valid") from error
        return [(f"{prefix}{one}", str(one)) for one in rest]

    def _nothing(self, uri: str) -> str:
        return (
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure '
            f"that the bucket exists in the selected region ({self._region}), that objects exist "
            f'under that S3 prefix, and that the role "{self._role}" has "s3:ListBucket" '
            f'permissions on bucket "{split(uri)[0]}".'
        )


def split(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key.

    Examples
    --------
    >>> split("s3://stand-in/models/m.tar.gz")
    ('stand-in', 'models/m.tar.gz')
    """
    match = re.fullmatch(r"s3[an]?://([^/]+)/?(.*)", uri, re.DOTALL)
    if match is None:
        raise JobError(f"ClientError: {uri} is not an S3 URI")
    return match[1], match[2]


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return a ``model.tar.gz`` of `files`, by name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Read the files of a ``model.tar.gz``; raise JobError if it is invalid or unsafe.

    Examples
    --------
    >>> unpacked(packed({"model.json": b"{}"}))
    {'model.json': b'{}'}
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
            left = _MOST_BYTES
            for member in opened:
                if member.isdir():
                    continue
                if member.name.startswith("/") or ".." in member.name.split("/"):
                    raise JobError("the model's archive has a member outside of its folder")
                content = opened.extractfile(member) if member.isfile() else None
                left -= member.size
                if content is None or left < 0:
                    raise JobError("the model's archive has a link, or is too large")
                files[member.name.removeprefix("./")] = content.read()
    except (tarfile.TarError, zlib.error, OSError, EOFError) as error:
        raise JobError("the model's archive is not a tar.gz") from error
    return files
