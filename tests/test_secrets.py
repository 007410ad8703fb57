"""No file of the project holds a key, a token or a password, as far as detect-secrets knows their forms."""

from pathlib import Path

import pytest

pytest.importorskip("detect_secrets")
from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings, get_settings, transient_settings

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "configs", "gr2_jax", "launch", "tests")
MADE_UP = {
    ("tests/buckets/conftest.py", "Secret Keyword"),  # of a server that the tests start
    ("tests/docids/test_urls.py", "Basic Auth Credentials"),
}


def found(root, paths):
    """(file, kind) of what looks like a secret; a string that is merely random is mostly a checksum."""
    with default_settings():
        kinds = [{"name": name} for name in get_settings().plugins if not name.endswith("HighEntropyString")]
    secrets = SecretsCollection(str(root))
    with transient_settings({"plugins_used": kinds}):
        for path in paths:
            secrets.scan_file(str(path.relative_to(root)))
    return {(name, secret.type) for name, secret in secrets}


@pytest.mark.slow
def test_no_file_holds_a_secret():
    paths = [*ROOT.iterdir(), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))]
    files = sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)
    assert len(files) > 700
    assert found(ROOT, files) == MADE_UP


def test_a_secret_is_found(tmp_path):
    (tmp_path / "key.py").write_text("-----BEGIN RSA " + "PRIVATE KEY-----\n")
    (tmp_path / "hub.py").write_text('secret = "' + "correct horse" + '"\n')
    assert found(tmp_path, [*tmp_path.iterdir()]) == {("key.py", "Private Key"), ("hub.py", "Secret Keyword")}
