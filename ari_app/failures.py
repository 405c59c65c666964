"""What became of a connection that failed: why, for those who choose a remedy, and in words.

The words are few, so that each of them is said in the reader's language (`cabinet/locales/check.ru.po`). No
address with a secret is shown.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp

from ari_app.network.reach import NotOutside

_SILENT = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN)
NO_ANSWER = "no answer came in time"


def cause_of(error: BaseException | None) -> str:
    """Say why: ``connection`` (nobody takes it), ``silent``, ``name``, ``inside`` (our own network), ``tls``,
    or ``other``.
    """
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror() | aiohttp.InvalidURL():
            return "name"
        case aiohttp.ClientConnectorError():
            return cause_of(error.os_error)
        case NotOutside():
            return "inside"
        case ConnectionRefusedError():
            return "connection"
        case TimeoutError() | None:
            return "silent"
        case OSError(errno=number) if number in _SILENT:
            return "silent"
        case aiohttp.ServerDisconnectedError() | ConnectionResetError() | aiohttp.ClientOSError():
            return "tls"
        case _:
            return "other"


def in_words(error: BaseException) -> str:
    """Say what became of a request without an answer."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"its certificate is not trusted ({_reason(error.certificate_error)})"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return "its name is not known to this machine"
        case aiohttp.ClientConnectorSSLError():
            return "it does not speak TLS as we do"
        case NotOutside() | aiohttp.ClientConnectorError(os_error=NotOutside()):
            return "it is in the service's own network, which its operator has not allowed (pbx_networks)"
        case aiohttp.ServerDisconnectedError():
            return "it breaks off without an answer"
        case aiohttp.InvalidURL():
            return "it is no address"
        case TimeoutError():
            return NO_ANSWER
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            return os.strerror(number) if number else "it takes no connection"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case _:
            return type(error).__name__


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    return type(error).__name__
