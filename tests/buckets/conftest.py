"""Object stores on loopback: Google's and Amazon's, as real servers that keep everything in memory."""

import contextlib
import functools
import importlib.util
import itertools
import logging
from http.server import HTTPServer

import fsspec
import pytest

_PACKAGES = {"gs": ("gcp_storage_emulator", "gcsfs"), "s3": ("moto", "s3fs")}
_numbers = itertools.count()


@pytest.fixture(scope="session", params=["gs", "s3"])
def store(request):
    """(scheme, environment for programs that use the store's server)."""
    if missing := [name for name in _PACKAGES[request.param] if importlib.util.find_spec(name) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    start = {"gs": _google, "s3": _amazon}[request.param]
    with pytest.MonkeyPatch.context() as patch:
        server, environment = start()
        for name, value in environment.items():
            patch.setenv(name, value)
        yield request.param, environment
        server.stop()
        fsspec.filesystem(request.param).clear_instance_cache()


def _google():
    from gcp_storage_emulator.handlers import objects
    from gcp_storage_emulator.server import create_server

    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    HTTPServer.request_queue_size = 128  # Orbax opens dozens of connections at once, and this server takes one by one
    objects.download = functools.partial(_with_generation, objects.download)
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="bucket")
    server.start()
    port = server._api._httpd.server_address[1]
    address = f"http://127.0.0.1:{port}"
    return server, {
        "STORAGE_EMULATOR_HOST": address,
        "TENSORSTORE_GCS_HTTP_URL": address,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # which would ask Google by another protocol
        "NO_GCE_CHECK": "true",
        "EPATH_USE_TF": "false",
    }


def _with_generation(download, request, response, storage, *rest, **named):
    """Google's header that Orbax writes its manifests by, and that this server does not send."""
    download(request, response, storage, *rest, **named)
    with contextlib.suppress(Exception):  # there is no such object, as the answer says
        found = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
        response["x-goog-generation"] = found["generation"]


def _amazon():
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    return server, environment


@pytest.fixture
def folder(store, tmp_path, monkeypatch):
    """The URL of a folder that no other test uses; copies of it are in tmp_path."""
    monkeypatch.setenv("GR2_BUCKETS", str(tmp_path / "copies"))
    return f"{store[0]}://bucket/{next(_numbers)}/run"
