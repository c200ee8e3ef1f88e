"""Which addresses a submission may use: public ones, by https.

Notebook: 05_submission.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from qvim_kit.submission.reading.texts import shown, words

PRIVATE = ("localhost", ".localhost", ".local", ".internal", ".lan")
BAD_SCHEMES = words("http ftp ftps sftp ssh git file s3 gs rsync scp git+http git+ssh git+git")
NAMESPACES = ("http://www.w3.org/", "http://schemas.", "http://purl.org/", "http://xmlns.")


def url_fault(text: str) -> str | None:
    """Why an address may not be used, or None for what is no address or a good one.

    >>> url_fault("http://example.org/net.pt")
    "the address 'http://example.org/net.pt' is not https"
    """
    scheme, found, rest = text.partition("://")
    if not found:
        words_before = text.partition(":")[0]
        copied = text.startswith("git@") and ":" in text and " " not in words_before
        return f"the address {shown(text)!r} needs a key" if copied else None
    if scheme.lower() in BAD_SCHEMES and rest and not text.startswith(NAMESPACES):
        return f"the address {shown(text)!r} is not https"
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    if scheme.lower() != "https":
        return None
    if "@" in parts.netloc:
        return f"the address {shown(text)!r} holds a user name or password"
    return f"the address {shown(text)!r} is not public" if _is_private(host) else None


def _is_private(host: str) -> bool:
    """Whether a host is a machine that the organisers cannot reach.

    >>> [_is_private(host) for host in ("localhost", "nas.local", "192.168.1.3", "zenodo.org")]
    [True, True, True, False]
    """
    try:
        return not ip_address(host).is_global
    except ValueError:  # a name
        return host == PRIVATE[0] or host.endswith(PRIVATE[1:])
