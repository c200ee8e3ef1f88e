"""repositories and git_alone: local repositories, folders that lie, settings that run programs."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from qvim_kit.downloads import DownloadError, clone, git_alone, repositories
from qvim_kit.downloads.git_alone import GitError, run_git

ENDS = "working-tree files\r\n"


@pytest.fixture(scope="module", autouse=True)
def online():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("QVIM_OFFLINE", raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "core.hooksPath=")
    command = ["git", *settings, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with two commits on main, one on side; and their ids."""
    folder = tmp_path_factory.mktemp("origin")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commits = {}
    for name in ("first", "second"):
        (folder / f"{name}.py").write_text(f"name = {name!r}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", name)
        commits[name] = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "tag", "v1")
    git(folder, "checkout", "--quiet", "-b", "side")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "side")
    commits["side"] = git(folder, "rev-parse", "HEAD").strip()
    git(folder, "checkout", "--quiet", "-b", "odd")
    (folder / "ends.txt").write_bytes(ENDS.encode())
    git(folder, "-c", "core.autocrlf=false", "add", ".")
    (folder / ".gitattributes").write_text("*.txt text eol=lf\n")
    (folder / 'é "x".txt').write_text("odd\n")
    (folder / "link").symlink_to("ends.txt")
    git(folder, "add", ".gitattributes", 'é "x".txt', "link")
    commits["odd"] = commit(folder)
    (folder / ".gitignore").write_text("build/\n__pycache__/\n")
    git(folder, "add", ".gitignore")
    commits["ignoring"] = commit(folder)
    (folder / "big.pt").write_bytes(repositories.POINTER + b"v1\noid sha256:0\n")
    git(folder, "add", "big.pt")
    commits["lfs"] = commit(folder)
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{commits['side']},sub")
    commits["submodule"] = commit(folder)
    (folder / "way out").symlink_to("../../../etc")
    git(folder, "add", "way out")
    commits["leads out"] = commit(folder)
    return folder, commits


def commit(folder):
    git(folder, "commit", "--quiet", "-m", "odd")
    return git(folder, "rev-parse", "HEAD").strip()


def test_clone_checks_out_exactly_the_commit(repository, tmp_path, monkeypatch):
    origin, commits = repository
    (tmp_path / "code").mkdir()  # an empty folder will do
    for name, folder in (("first", "code"), ("second", "new/code")):
        path = clone(origin.as_uri(), tmp_path / folder, "main", commits[name], _allow_local=True)
        assert git(path, "rev-parse", "HEAD").strip() == commits[name]
        assert (path / "second.py").exists() == (name == "second")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["code", "new"]
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    (path / "__pycache__").mkdir()
    (path / "__pycache__" / "first.cpython-311.pyc").write_bytes(b"")
    clone(origin.as_uri(), path, "main", commits["second"], _allow_local=True)


def test_clone_accepts_only_an_unchanged_folder(repository, tmp_path):
    origin, commits = repository

    def again(name):
        clone(str(origin), path, "main", commits[name], _allow_local=True)

    path = tmp_path / "code"
    again("first")
    with pytest.raises(DownloadError, match="is at commit .* move or delete"):
        again("second")
    (path / "added.py").write_text("x = 1\n")
    with pytest.raises(DownloadError, match="added.py"):
        again("first")
    (path / "added.py").unlink()
    (path / "first.py").write_text("x = 1\n")
    with pytest.raises(DownloadError, match="first.py"):
        again("first")
    assert (path / "first.py").read_text() == "x = 1\n"


def test_clone_refuses_what_is_not_a_clone(repository, tmp_path):
    origin, commits = repository
    clone(str(origin), tmp_path / "outer", "main", commits["first"], _allow_local=True)
    inner = tmp_path / "outer" / "inner"  # git itself would find the repository around it
    inner.mkdir()
    (inner / "mine.txt").write_text("keep me")
    with pytest.raises(DownloadError, match="not a git clone"):
        clone(str(origin), inner, "main", commits["first"], _allow_local=True)
    (inner / ".git").mkdir()
    with pytest.raises(DownloadError, match="not a git repository"):
        clone(str(origin), inner, "main", commits["first"], _allow_local=True)
    assert (inner / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    "branch, commit, reason",
    [
        ("main", "side", "is not on a branch called 'main'"),
        ("main", "0" * 40, "is not on a branch called 'main'"),
        ("v1", "second", "is not on a branch called 'v1'"),
        ("nowhere", "first", "nowhere not found"),
    ],
)
def test_failed_clone_leaves_nothing(repository, tmp_path, branch, commit, reason):
    origin, commits = repository
    commit = commits.get(commit, commit)
    with pytest.raises(DownloadError, match=reason):
        clone(str(origin), tmp_path / "new" / "code", branch, commit, _allow_local=True)
    assert list(tmp_path.iterdir()) == []
    clone(str(origin), tmp_path / "new" / "code", "main", commits["first"], _allow_local=True)


@pytest.mark.parametrize(
    "url",
    [
        "file:///tmp/x",
        "/tmp/x",
        "ext::sh -c touch% /tmp/x",
        "ssh://git@github.com/a/b",
        "git@github.com:a/b",
        "-u/tmp/x",
        "http://127.0.0.1/x",
        "https://me:secret@github.com/a/b",
    ],
)
def test_clone_is_https_only(url, tmp_path):
    with pytest.raises(ValueError, match="cannot clone") as caught:
        clone(url, tmp_path / "code", "--upload-pack=x", "abc123")
    assert "branch name" in str(caught.value) and "40 hexadecimal" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_clone_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    with pytest.raises(DownloadError, match="QVIM_OFFLINE is set.*git clone -b main https://"):
        clone("https://github.com/a/b", tmp_path / "code", "main", "0" * 40)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def first_clone(repository, tmp_path_factory):
    origin, commits = repository
    folder = tmp_path_factory.mktemp("first") / "code"
    return clone(origin.as_uri(), folder, "main", commits["first"], _allow_local=True)


@pytest.fixture
def cloned(repository, first_clone, tmp_path):
    """A clone at the first commit; and a function that asks for it again, as from nowhere."""
    commits = repository[1]
    path = shutil.copytree(first_clone, tmp_path / "code")
    return path, lambda: clone("https://x.invalid/", path, "main", commits["first"])


def trap(tmp_path, name="ran"):
    """A program that leaves a mark when it is run."""
    return f"touch '{tmp_path / name}'; cat"


HIDDEN = {
    "a changed file": lambda path: (path / "first.py").write_text("x = 1\n"),
    "a changed file marked as unchanged": lambda path: (
        git(path, "update-index", "--assume-unchanged", "first.py"),
        (path / "first.py").write_text("x = 1\n"),
    ),
    "a changed file left out of the checkout": lambda path: (
        git(path, "update-index", "--skip-worktree", "first.py"),
        (path / "first.py").write_text("x = 1\n"),
    ),
    "a changed file of the same length and time": lambda path: _same_stat(path / "first.py"),
    "a deleted file": lambda path: (path / "first.py").unlink(),
    "a file that info/exclude ignores": lambda path: (
        (path / ".git" / "info").mkdir(exist_ok=True),
        (path / ".git" / "info" / "exclude").write_text("*\n"),
        (path / "evil.py").write_text("x = 1\n"),
    ),
    "a folder that ignores itself": lambda path: (
        (path / "evil").mkdir(),
        (path / "evil" / ".gitignore").write_text("*\n"),
        (path / "evil" / "__init__.py").write_text("x = 1\n"),
    ),
    "byte code by its name only": lambda path: (path / "a.pyc.py").write_text("x = 1\n"),
    "byte code where Python imports it": lambda path: (path / "evil.pyc").write_bytes(b"x"),
    "another repository inside": lambda path: git(path, "init", "--quiet", "inner"),
    "a link in place of a file": lambda path: (
        (path / "first.py").unlink(),
        (path / "first.py").symlink_to("/etc/passwd"),
    ),
    "a staged file": lambda path: (
        (path / "new.py").write_text("x = 1\n"),
        git(path, "add", "new.py"),
    ),
    "a replaced commit": lambda path: (
        (path / "first.py").write_text("x = 1\n"),
        _replace(path),
    ),
}


def _same_stat(path):
    before = path.stat()
    path.write_text(path.read_text().replace("first", "FIRST"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path):
    """HEAD's commit keeps its name and stands for the changed files."""
    head = git(path, "rev-parse", "HEAD").strip()
    git(path, "commit", "--quiet", "-am", "evil")
    evil = git(path, "rev-parse", "HEAD").strip()
    git(path, "reset", "--quiet", "--soft", head)
    git(path, "replace", head, evil)


def test_what_is_as_it_was_is_accepted_without_a_network(cloned, monkeypatch):
    monkeypatch.setenv("QVIM_OFFLINE", "1")
    path, again = cloned
    assert again() == path


@pytest.mark.parametrize("change", HIDDEN)
def test_what_git_itself_would_not_tell(cloned, change):
    path, again = cloned
    HIDDEN[change](path)
    with pytest.raises(DownloadError, match="changed or added"):
        again()


def test_what_the_repository_itself_ignores_may_be_there(repository, tmp_path):
    origin, commits = repository
    url, commit = origin.as_uri(), commits["ignoring"]
    path = clone(url, tmp_path / "code", "odd", commit, _allow_local=True)
    (path / "build").mkdir()
    (path / "build" / "made.py").write_text("x = 1\n")
    (path / "__pycache__").mkdir()
    (path / "__pycache__" / "first.cpython-311.pyc").write_bytes(b"")
    assert clone(url, path, "odd", commit, _allow_local=True) == path


def test_odd_files_are_not_changes(repository, tmp_path):
    """Line ends other than .gitattributes asks for; spaces, quotes and accents; a link."""
    origin, commits = repository
    for _ in range(2):
        path = clone(origin.as_uri(), tmp_path / "c", "odd", commits["odd"], _allow_local=True)
    assert (path / "ends.txt").read_bytes() == ENDS.encode()
    assert (path / 'é "x".txt').read_text() == "odd\n"
    assert (path / "link").read_text() == ENDS.replace("\r", "")


def test_a_link_out_of_the_clone_is_refused(repository, tmp_path):
    origin, commits = repository
    with pytest.raises(DownloadError, match="way out .a link out of the folder"):
        clone(origin.as_uri(), tmp_path / "code", "odd", commits["leads out"], _allow_local=True)
    assert list(tmp_path.iterdir()) == []


def test_submodules_stay_empty(repository, tmp_path, monkeypatch):
    origin, commits = repository
    monkeypatch.setattr(repositories, "_is_pointer", lambda path: False)
    url, commit = origin.as_uri(), commits["submodule"]
    path = clone(url, tmp_path / "code", "odd", commit, _allow_local=True)
    assert list((path / "sub").iterdir()) == []
    (path / "sub" / "evil.py").write_text("x = 1\n")
    with pytest.raises(DownloadError, match="sub .a submodule that should be empty"):
        clone(url, path, "odd", commit, _allow_local=True)


def test_files_in_lfs_are_told(repository, tmp_path):
    origin, commits = repository
    with pytest.warns(UserWarning, match="of 1 file in Git LFS, such as big.pt"):
        clone(origin.as_uri(), tmp_path / "code", "odd", commits["lfs"], _allow_local=True)


def _setting(key, value):
    section, name = key.rsplit(".", 1)
    section, _, sub = section.partition(".")
    return (
        f'[{section} "{sub}"]\n{name} = "{value}"\n'
        if sub
        else f'[{section}]\n{name} = "{value}"\n'
    )


@pytest.mark.parametrize("where", ["global", "system", "XDG", "environment", "template"])
def test_the_users_settings_run_nothing(repository, tmp_path, monkeypatch, where):
    """Hooks, filters, file system monitors, templates: from every place that git looks at."""
    origin, commits = repository
    for name in ("home", "hooks", "template/hooks"):
        (tmp_path / name).mkdir(parents=True)
    for folder in ("hooks", "template/hooks"):
        hook = tmp_path / folder / "post-checkout"
        hook.write_text(f"#!/bin/sh\n{trap(tmp_path)}\n")
        hook.chmod(0o755)
    (tmp_path / "attributes").write_text("* filter=f\n")
    settings = {
        "core.hooksPath": tmp_path / "hooks", "core.attributesFile": tmp_path / "attributes",
        "filter.f.smudge": trap(tmp_path), "filter.f.clean": trap(tmp_path),
        "core.fsmonitor": trap(tmp_path), "init.templateDir": tmp_path / "template",
        "url.file:///nowhere/.insteadOf": "file://",
    }  # fmt: skip
    place = {
        "global": tmp_path / "own", "system": tmp_path / "own", "XDG": tmp_path / "home/git/config",
    }.get(where)  # fmt: skip
    if place:
        place.parent.mkdir(exist_ok=True)
        place.write_text("".join(_setting(*one) for one in settings.items()))
    if where in ("global", "system"):
        monkeypatch.setenv(f"GIT_CONFIG_{where.upper()}", str(place))
    elif where == "XDG":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    elif where == "environment":
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
        for number, (key, value) in enumerate(settings.items()):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", str(value))
    else:
        monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path / "template"))
    clone(origin.as_uri(), tmp_path / "code", "main", commits["first"], _allow_local=True)
    assert not (tmp_path / "ran").exists()
    plain = ["git", "clone", "--quiet", str(origin), str(tmp_path / "plain")]
    with contextlib.suppress(subprocess.CalledProcessError):
        subprocess.run(plain, check=True, capture_output=True)
    assert (tmp_path / "ran").exists() or not (tmp_path / "plain").exists()  # the trap was laid


def test_the_folders_own_settings_run_nothing(cloned, tmp_path):
    path, again = cloned
    (path / ".git" / "info").mkdir(exist_ok=True)
    (path / ".git" / "info" / "attributes").write_text("* filter=f\n")
    for key in ("filter.f.clean", "core.fsmonitor", "core.sshCommand", "core.pager"):
        git(path, "config", key, trap(tmp_path))
    (path / "first.py").touch()
    again()
    assert not (tmp_path / "ran").exists()
    subprocess.run(["git", "status"], cwd=path, check=True, capture_output=True)
    assert (tmp_path / "ran").exists()  # the trap was laid


def test_a_link_in_place_of_the_git_folder(cloned, tmp_path):
    path, again = cloned
    (path / ".git").rename(tmp_path / "elsewhere")
    (path / ".git").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match="not a git clone"):
        again()


def test_run_by_git_itself(repository, tmp_path, monkeypatch):
    """As from a hook, where GIT_DIR and others say which repository is meant."""
    origin, commits = repository
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    for _ in range(2):
        clone(origin.as_uri(), tmp_path / "code", "main", commits["first"], _allow_local=True)


@pytest.mark.parametrize("url", ["ext::sh -c 'touch ran'", "file:///nowhere", "ssh://x.org/a"])
def test_git_is_given_no_other_transport(tmp_path, url):
    """Should an address ever get past the checks."""
    with pytest.raises(GitError, match="not allowed"):
        run_git(tmp_path, "ls-remote", url, protocols="https")
    assert list(tmp_path.iterdir()) == []


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.headers.get("Authorization"))
        self.server.asked.set()
        if "silent" in self.path:
            self.connection.settimeout(20)
            if self.connection.recv(1) == b"":
                self.server.gone.set()
        elif "moved" in self.path:
            self.send_response(302)
            self.send_header("Location", self.server.there)
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        with contextlib.suppress(AttributeError, OSError):
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.seen, server.there = [], ""
    server.asked, server.gone = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(web, page, folder, **options):
    with pytest.raises(GitError) as caught:
        run_git(folder, "ls-remote", web.url + page, protocols="http", **options)
    return str(caught.value)


def test_a_log_in_is_an_error_not_a_question(web, tmp_path, monkeypatch):
    """No prompt, no helper, no ~/.netrc; a prompt would wait for ever."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("default login me password secret\n")
    (tmp_path / "helper").write_text(f"#!/bin/sh\necho secret\ntouch '{tmp_path}/ran'\n")
    (tmp_path / "helper").chmod(0o755)
    helper = str(tmp_path / "helper")
    (tmp_path / ".gitconfig").write_text(
        f"[core]\naskPass = {helper}\n[credential]\nhelper = {helper}\n"
    )
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, helper)
    plain = ["git", "ls-remote", web.url + "a"]
    subprocess.run(plain, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    assert any(web.seen) and (tmp_path / "ran").exists()  # the trap was laid
    (tmp_path / "ran").unlink()
    web.seen.clear()
    assert "could not read Username" in ask(web, "a", tmp_path)
    assert web.seen == [None] and not (tmp_path / "ran").exists()


def test_git_follows_no_redirect_to_another_transport(web, tmp_path, repository, monkeypatch):
    for web.there in (repository[0].as_uri() + "/info/refs", "ftp://127.0.0.1/info/refs"):
        assert "unable to access" in ask(web, "moved", tmp_path)


def test_a_server_that_says_nothing_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(git_alone, "SILENCE", 1)
    assert "less than 1 bytes/sec" in ask(web, "silent", tmp_path).lower()
    assert "took longer than 0.2 s" in ask(web, "silent", tmp_path, limit=0.2)


def test_ctrl_c_ends_git_and_what_it_has_started(web, tmp_path, monkeypatch):
    started = []
    plain = subprocess.Popen

    class Interrupted(plain):
        def communicate(self, *arguments, **options):
            started.append(self)
            web.asked.wait(10)
            raise KeyboardInterrupt

    monkeypatch.setattr(git_alone, "_network_settings", list)
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_git(tmp_path, "ls-remote", web.url + "silent", protocols="http")
    assert started[0].poll() is not None
    assert web.gone.wait(10)  # it is another program that holds the connection


def test_only_proxy_and_certificates_are_kept(tmp_path, monkeypatch):
    settings = {"http.proxy": "http://proxy.example:8080", "http.sslCAInfo": "/ca.pem"}
    for key, value in {**settings, "http.extraHeader": "X: y", "user.name": "me"}.items():
        git(tmp_path, "config", "--file", str(tmp_path / "own"), key, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "own"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    told = run_git(tmp_path, "config", "--list", protocols="https")
    assert "http.proxy=http://proxy.example:8080\nhttp.sslcainfo=/ca.pem\n" in told
    assert "extraheader" not in told and "user.name" not in told
    for line in run_git(tmp_path, "config", "--list", "--show-origin").splitlines():
        assert line.startswith("command line:"), line  # and nothing from any file


def test_without_git_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("QVIM_OFFLINE", raising=False)
    with pytest.raises(DownloadError, match="no program git; get it from https"):
        clone("https://example.org/a", tmp_path / "code", "main", "0" * 40)
    assert list(tmp_path.iterdir()) == []


def test_a_clone_that_breaks_off_leaves_nothing(repository, tmp_path, monkeypatch):
    origin, commits = repository

    def interrupted(folder, commit):
        assert (folder / "first.py").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(repositories, "check_clone", interrupted)
    with pytest.raises(KeyboardInterrupt):
        clone(str(origin), tmp_path / "new" / "code", "main", commits["first"], _allow_local=True)
    assert list(tmp_path.iterdir()) == []
