"""`uwsgi.sendfile` and `offload`: a file to the client, moved by the kernel."""

from __future__ import annotations

import os
import stat
from typing import Any, Optional

from ..log import log
from ..server.transport import ClientError
from .context import serving

__all__ = ["offload", "sendfile"]


def sendfile(filename_or_fd: Any, chunk: int = 0, pos: int = 0, /, filesize: int = 0, *, request_context: Any = None) -> Optional[bool]:
    """Send a regular file, or a part of it, to the client as a piece of the response, after `start_response`.

    Args:
        filename_or_fd: a path (str or bytes), a descriptor, which is closed afterwards as uWSGI does, or an object with `fileno()`,
            which is not closed (uWSGI closes its descriptor under it).
        chunk: without meaning, in uWSGI too.
        pos: where to begin.
        filesize: how many bytes; 0 for all from there on.

    Returns:
        True; None when the file cannot be opened, which is logged.

    Raises:
        OSError: the client is gone.
        TypeError: `filename_or_fd` is nothing of the kind.
    """
    response = serving(request_context).connection.response
    if response is None:
        raise OSError("the response is over")
    what = filename_or_fd
    if isinstance(what, (str, bytes)):
        try:
            fd = os.open(what, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            log(f"uwsgi.sendfile(): {error}")
            return None
        ours = True
    else:
        ours = isinstance(what, int)
        if not ours and not hasattr(what, "fileno"):
            raise TypeError(f"a path, a descriptor or a file expected, not {type(what).__name__}")
        fd = what if ours else what.fileno()
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            log(f"uwsgi.sendfile(): {what!r} is not a regular file")
            return None
        left = max(0, status.st_size - pos)
        response.write_file(fd, pos, min(filesize, left) if filesize > 0 else left)
    except ClientError as error:
        raise OSError("write error") from error
    finally:
        if ours:
            os.close(fd)
    return True


def offload(filename: str, len: int = 0, /, *, request_context: Any = None) -> bytes:
    """Send a file to the client after `start_response`, and return b"" for the application to return.

    No thread is needed for it: while the client is slow, the others are served. In uWSGI 2.0 the name is there, but does nothing.

    Args:
        filename: its path.
        len: how many bytes; 0 for all.

    Raises:
        ValueError: "unable to offload the request": the file cannot be opened.
        OSError: the client is gone.
    """
    if not isinstance(filename, (str, bytes)):
        raise TypeError(f"offload() argument 1 must be str, not {type(filename).__name__}")
    if not sendfile(filename, 0, 0, len, request_context=request_context):
        raise ValueError("unable to offload the request")
    return b""
