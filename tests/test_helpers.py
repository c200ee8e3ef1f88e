"""helpers: the five functions keep to ROOT_PATH and to their word; nothing here needs a network."""

from __future__ import annotations

import http.server
import inspect
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
import helpers  # noqa: E402
from qvim_kit import downloads  # noqa: E402

DRIVE = "https://drive.google.com/file/d/1AbCdEfGhIjKlMnOpQrStUvWxYz012345/view?usp=sharing"
PAGE = b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>"


@pytest.fixture(autouse=True)
def only_the_root_changes(root, tmp_path):
    yield
    assert [path.name for path in tmp_path.iterdir() if path.name != "outside"] == ["root"]
    assert not list(tmp_path.rglob(".qvim-*"))


@pytest.fixture(scope="module")
def address():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"weights" if self.path == "/a.pt" else b"no"
            self.send_response(200 if self.path == "/a.pt" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    command = ["git", *settings, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_signatures():
    assert {name: list(inspect.signature(getattr(helpers, name)).parameters) for name in NAMES} == {
        "google_drive_download": ["filename", "shared_url", "relative_dir"],
        "wget_download": ["filename", "shared_url", "relative_dir"],
        "git_clone_checkout": ["output_dir", "url", "branch", "commit_sha"],
        "unpack_file": ["file_path", "output_dir"],
        "check_download_file_info": ["filename", "shared_url", "relative_dir", "url_prefix"],
    }
    assert issubclass(helpers.DownloadError, RuntimeError)
    assert issubclass(helpers.ArchiveError, ValueError)


NAMES = [name for name in helpers.__all__ if name[0].islower()]


def test_import_is_cheap():
    code = (
        "import sys, helpers; assert helpers.ROOT_PATH == '.'; "
        "print({'torch', 'gdown', 'pooch', 'git', 'requests', 'numpy'} & set(sys.modules))"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_wget_download(root, address):
    for _ in range(2):
        assert helpers.wget_download("b.pt", address + "a.pt", "models/mn") is None
    assert (root / "models" / "mn" / "b.pt").read_bytes() == b"weights"
    helpers.wget_download("c.pt", address + "a.pt", ".")
    assert (root / "c.pt").read_bytes() == b"weights"
    with pytest.raises(helpers.DownloadError, match="404.*put d.pt into .*models and run again"):
        helpers.wget_download("d.pt", address + "missing", "models")


def test_a_home_folder_is_no_folder_in_root_path(root, address):
    for folder in ("~", "~/models"):
        with pytest.raises(ValueError, match="begins with '~'"):
            helpers.wget_download("a.pt", address + "a.pt", folder)
    assert not list(root.iterdir())


def test_a_file_that_is_there_is_kept(root, address):
    (root / "a.pt").write_bytes(b"good")
    helpers.wget_download("a.pt", address + "missing", "")
    assert (root / "a.pt").read_bytes() == b"good"


def test_root_path_is_read_at_call_time(root, address, monkeypatch, tmp_path):
    (tmp_path / "outside").mkdir()
    monkeypatch.setattr(helpers, "ROOT_PATH", ".")
    monkeypatch.chdir(tmp_path / "outside")
    helpers.wget_download("a.pt", address + "a.pt", "x")
    assert (tmp_path / "outside" / "x" / "a.pt").exists()
    monkeypatch.setattr(helpers, "ROOT_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nowhere.*not a folder"):
        helpers.wget_download("a.pt", address + "a.pt", "x")


def drive(monkeypatch, body: bytes | Exception, calls: list | None = None):
    """Replace gdown.download; its arguments are checked against the real signature."""
    import gdown

    real = getattr(gdown.download, "real", gdown.download)

    def download(*arguments, **options):
        bound = inspect.signature(real).bind(*arguments, **options).arguments
        if calls is not None:
            calls.append(bound["url"])
        Path(bound["output"]).write_bytes(b"par" if isinstance(body, Exception) else body)
        Path(bound["output"] + ".part").write_bytes(b"left by gdown")
        if isinstance(body, Exception):
            raise body
        return bound["output"]

    download.real = real
    monkeypatch.setattr(gdown, "download", download)


def test_google_drive_download_once(root, monkeypatch):
    calls: list[str] = []
    drive(monkeypatch, b"weights", calls)
    for _ in range(2):
        assert helpers.google_drive_download("a.pt", DRIVE, "models") is None
    assert calls == [DRIVE]
    assert [path.name for path in (root / "models").iterdir()] == ["a.pt"]
    assert (root / "models" / "a.pt").read_bytes() == b"weights"


def test_google_drive_id_is_understood_by_gdown():
    from gdown.parse_url import parse_url

    for url in (DRIVE, "https://drive.google.com/uc?id=1AbCdEfGhIjKlMnOpQrStUvWxYz012345"):
        helpers.check_download_file_info("a.pt", url, "models", "https://drive.google.com/")
        assert parse_url(url)[0] == "1AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    "body, reason",
    [(PAGE, "web page.*quota"), (b"", "empty"), (RuntimeError("Cannot retrieve"), "Cannot retr")],
)
def test_google_drive_failure(root, monkeypatch, body, reason):
    drive(monkeypatch, body)
    with pytest.raises(helpers.DownloadError, match=f"{reason}.*put a.pt into .*models and run"):
        helpers.google_drive_download("a.pt", DRIVE, "models")
    assert list(root.iterdir()) == []
    drive(monkeypatch, b"weights")
    helpers.google_drive_download("a.pt", DRIVE, "models")
    assert (root / "models" / "a.pt").read_bytes() == b"weights"


def test_google_drive_offline(root, monkeypatch):
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    drive(monkeypatch, AssertionError("gdown was called"))
    with pytest.raises(helpers.DownloadError, match="QVIM_OFFLINE"):
        helpers.google_drive_download("a.pt", DRIVE, "models")
    assert list(root.iterdir()) == []


def test_git_clone_checkout(root, tmp_path, monkeypatch):
    (tmp_path / "outside").mkdir()
    git(tmp_path / "outside", "init", "--quiet", "--initial-branch", "main")
    (tmp_path / "outside" / "model.py").write_text("x = 1\n")
    git(tmp_path / "outside", "add", ".")
    git(tmp_path / "outside", "commit", "--quiet", "-m", "first")
    commit = git(tmp_path / "outside", "rev-parse", "HEAD").strip()
    local = (tmp_path / "outside").as_uri()
    monkeypatch.setattr(
        helpers, "clone", lambda url, *rest: downloads.clone(local, *rest, _allow_local=True)
    )
    for _ in range(2):
        assert helpers.git_clone_checkout("code", "https://x.org/a", "main", commit) is None
    assert (root / "code" / "model.py").read_text() == "x = 1\n"
    with pytest.raises(helpers.DownloadError, match="is not on a branch"):
        helpers.git_clone_checkout("other", "https://x.org/a", "main", "0" * 40)
    assert [path.name for path in root.iterdir()] == ["code"]


def test_git_arguments_are_reported_together():
    with pytest.raises(ValueError) as caught:
        helpers.git_clone_checkout(".", "http://127.0.0.1/a", "-b", "abc123")
    for words in ("below ROOT_PATH", "expected https", "branch name", "40 hexadecimal"):
        assert words in str(caught.value)
    with pytest.raises(ValueError, match="url is None.*expected text"):
        helpers.git_clone_checkout("code", None, "main", "0" * 40)


def test_unpack_file(root):
    with zipfile.ZipFile(root / "a.zip", "w") as container:
        container.writestr("deep/er/a.wav", b"a")
    for _ in range(2):
        assert helpers.unpack_file("a.zip", "data") is None
    helpers.unpack_file("./a.zip", "")
    for folder in (root, root / "data"):
        assert (folder / "deep" / "er" / "a.wav").read_bytes() == b"a"
    (root / "b").write_bytes(b"b")
    for suffix, mode in ((".tar.gz", "w:gz"), (".tar.xz", "w:xz"), (".tgz", "w:gz")):
        with tarfile.open(root / f"b{suffix}", mode) as container:
            container.add(root / "b", "b")
        helpers.unpack_file(Path(f"b{suffix}"), f"from{suffix}")
        assert (root / f"from{suffix}" / "b").read_bytes() == b"b"


@pytest.mark.parametrize("member", ["../x.wav", "output/similarities.json", "Output/x", "output"])
def test_unpack_file_writes_nowhere_else(root, member):
    with zipfile.ZipFile(root / "a.zip", "w") as container:
        container.writestr("fine.wav", b"a")
        container.writestr(member, b"a")
    with pytest.raises(ValueError, match="nothing was unpacked"):
        helpers.unpack_file("a.zip", ".")
    assert [path.name for path in root.iterdir()] == ["a.zip"]


def test_unpack_file_arguments():
    with pytest.raises(ValueError) as caught:
        helpers.unpack_file("absent.zip", "../elsewhere")
    assert "there is no file" in str(caught.value) and "'..'" in str(caught.value)


BAD_FOLDERS = ["..", "a/../..", "a/../b", "/tmp", "a\\b", "C:/x", "output", "output/x", "OUTPUT"]
BAD_FOLDERS += ["./output", "a//../x", "nul", "a.", "a ", "x:y", "a\0", "leads_out", "leads_out/x"]
BAD_FOLDERS += ["results", "results/x", "x" * 2000, "a/" * 600, "circle", "circle/x", ".git"]
BAD_FOLDERS += [
    ".git/hooks",
    "code/.GIT/hooks",
    "deep/leads_out/x",
    "Models",
    "models/MN",
    "a\udcff",
]


@pytest.mark.parametrize("folder", BAD_FOLDERS)
def test_no_function_leaves_root_path_or_enters_output(root, tmp_path, folder, monkeypatch):
    (tmp_path / "outside").mkdir()
    (root / "leads_out").symlink_to(tmp_path / "outside")
    (root / "results").mkdir()
    (root / "deep").mkdir()
    (root / "deep" / "leads_out").symlink_to("../../outside")
    (root / "models" / "mn").mkdir(parents=True)
    (root / "circle").symlink_to("circle")
    (root / "output").symlink_to(root / "results")
    with zipfile.ZipFile(root / "a.zip", "w") as container:
        container.writestr("a.wav", b"a")
    monkeypatch.setenv("QVIM_OFFLINE", "1")  # what gets past the checks shows as another error
    for call in (
        lambda: helpers.wget_download("a.pt", "https://x.org/a", folder),
        lambda: helpers.google_drive_download("a.pt", DRIVE, folder),
        lambda: helpers.git_clone_checkout(folder, "https://x.org/a", "main", "0" * 40),
        lambda: helpers.unpack_file("a.zip", folder),
        lambda: helpers.check_download_file_info("a.pt", "https://x.org/a", folder, ""),
    ):
        with pytest.raises(ValueError):
            call()
    assert not list((tmp_path / "outside").iterdir()) and not list((root / "results").iterdir())


def test_a_link_that_stays_inside_is_followed(root, address):
    (root / "real").mkdir()
    (root / "models").symlink_to("real")
    helpers.wget_download("a.pt", address + "a.pt", "models")
    assert (root / "real" / "a.pt").read_bytes() == b"weights"


def test_root_path_may_be_a_link_or_begin_with_a_tilde(root, tmp_path, address, monkeypatch):
    (tmp_path / "outside").symlink_to(root)
    monkeypatch.setattr(helpers, "ROOT_PATH", str(tmp_path / "outside"))
    helpers.wget_download("a.pt", address + "a.pt", "models")
    assert (root / "models" / "a.pt").read_bytes() == b"weights"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(helpers, "ROOT_PATH", "~/root")
    with zipfile.ZipFile(root / "a.zip", "w") as container:
        container.writestr("output/similarities.json", b"{}")
    with pytest.raises(ValueError, match="nothing may be unpacked into"):
        helpers.unpack_file("a.zip", ".")
    with pytest.raises(ValueError, match="expected a folder below ROOT_PATH"):
        helpers.git_clone_checkout(".", "https://x.org/a", "main", "0" * 40)
    monkeypatch.setattr(helpers, "ROOT_PATH", root)  # a Path
    helpers.wget_download("b.pt", address + "a.pt", "models")


@pytest.mark.parametrize(
    "value", [5, None, b"x", "a\0b", "~nobody-of-this-name/x", ["."], "no/such"]
)
def test_a_root_path_that_cannot_be(monkeypatch, value):
    monkeypatch.setattr(helpers, "ROOT_PATH", value)
    for call in (
        lambda: helpers.wget_download("a.pt", "https://x.org/a", "models"),
        lambda: helpers.unpack_file("a.zip", "models"),
        lambda: helpers.git_clone_checkout("code", "https://x.org/a", "main", "0" * 40),
    ):
        with pytest.raises(ValueError, match="ROOT_PATH is"):
            call()


def test_a_folder_exchanged_during_the_download_is_noticed(root, tmp_path, address, monkeypatch):
    """What was a folder inside ROOT_PATH when it was checked is a link out of it at the end."""
    (tmp_path / "outside").mkdir()
    plain = downloads.transfer

    def exchanged(*arguments, **options):
        plain(*arguments, **options)
        (root / "models").rename(root / "moved")
        (root / "models").symlink_to(tmp_path / "outside")
        for part in (root / "moved").iterdir():
            part.rename(tmp_path / "outside" / part.name)

    monkeypatch.setattr(downloads, "transfer", exchanged)
    with pytest.raises(helpers.DownloadError, match="was exchanged meanwhile"):
        helpers.wget_download("a.pt", address + "a.pt", "models")
    assert not (tmp_path / "outside" / "a.pt").exists()


def test_what_never_ends_is_ended(root, address, monkeypatch):
    monkeypatch.setattr(helpers, "MAX_BYTES", 5)
    with pytest.raises(helpers.DownloadError, match="more than the 5 allowed"):
        helpers.wget_download("a.pt", address + "a.pt", "models")
    drive(monkeypatch, b"weights")
    seen = []
    monkeypatch.setattr(helpers, "fetch_from_drive", lambda *_, **options: seen.append(options))
    helpers.google_drive_download("a.pt", DRIVE, "models")
    assert seen == [{"max_bytes": 5}] and list(root.iterdir()) == []


def test_names_that_are_one_on_windows(root):
    (root / "models").mkdir()
    (root / "models" / "MN.pt").write_bytes(b"x")
    for name, folder in (("mn.pt", "models"), ("a.pt", "MODELS")):
        with pytest.raises(ValueError, match="differs only in case from"):
            helpers.check_download_file_info(name, "https://x.org/a", folder, "")
    helpers.check_download_file_info("MN.pt", "https://x.org/a", "models", "")


def test_archives_with_names_for_one_system_only(root):
    with zipfile.ZipFile(root / "a.zip", "w") as container:
        container.writestr("what?.wav", b"a")
    with pytest.raises(helpers.ArchiveError, match="what.*holds a control character or one of"):
        helpers.unpack_file("a.zip", "data")


def test_file_names(root, tmp_path):
    def check(name, folder=""):
        helpers.check_download_file_info(name, "https://x.org/a", folder, "")

    check("mn04_as_mAP_432.pt")
    for name in ("", ".", "..", "a/b", "a\\b", "/a", "C:a", "x:y", "a\0", "CON.wav", "a.", "a "):
        with pytest.raises(ValueError, match="name"):
            check(name)
    with pytest.raises(ValueError, match="output"):
        check("output")  # a file where the notebook's folder will be
    check("output", "models")
    (root / "a.pt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="leads out"):
        check("a.pt")


def test_url_prefix():
    def check(url, prefix):
        helpers.check_download_file_info("a.pt", url, "models", prefix)

    check(DRIVE, "https://drive.google.com/")
    check(DRIVE, "https://drive.google.com")
    check(DRIVE, "https://drive.google.com/file/")
    check(DRIVE, "https://")
    check("https://DRIVE.google.com/uc?id=1", "https://drive.google.com/")
    for url in (
        "https://drive.google.com.evil.example/file/d/1",
        "https://drive.google.com@evil/file/d/1",
        "https://evil.example/https://drive.google.com/",
        "https://evil.example/?https://drive.google.com/file/",
        "https://drive.google.com:444/file/d/1",
        "http://drive.google.com/file/d/1",
        "https://drive.google.com\\@evil.example/",
        "https://drive.google.com/file/../evil",
        "https://drive.google.com/file/%2e%2e/evil",
        "https://docs.google.com/file/d/1",
        "https://drive.google.com/file/..%5c..%5cevil",
        "",
    ):
        with pytest.raises(ValueError):
            check(url, "https://drive.google.com/file/")
        with pytest.raises(ValueError):
            check(url, "https://drive.google.com/file")


def test_a_prefix_that_cannot_be_read():
    for prefix in ("https://x.org:port/", "https://[x/"):
        with pytest.raises(ValueError, match="url_prefix is .*cannot be read"):
            helpers.check_download_file_info("a.pt", "https://x.org/a", "models", prefix)


def test_everything_wrong_is_named_at_once():
    with pytest.raises(ValueError) as caught:
        helpers.check_download_file_info("a:b", "http://x.org/a", "../x", "https://x.org/")
    for words in ("'a:b'", "scheme is 'http'", "'../x'"):
        assert words in str(caught.value)
    with pytest.raises(ValueError) as caught:
        helpers.check_download_file_info(1, None, b"x", Path("y"))
    for name in ("filename", "shared_url", "relative_dir", "url_prefix"):
        assert f"{name} is" in str(caught.value)
