# C types for `websocket.py`, which is compiled as it stands under the name `_websocket`.

cimport cython

from geuwsgi.protocol._messages cimport MessageDecoder as CompiledDecoder


cdef class WebSocketConnection:
    cdef object __weakref__
    cdef public int opcode
    cdef public bint heard
    cdef public str peer
    cdef public long long bytes_sent
    cdef public long long messages_sent
    cdef public long long messages_received
    cdef public double ping_due
    cdef public double ping_sent
    cdef public double close_deadline
    cdef object _settings
    cdef object _hub
    cdef int _fd
    cdef int _family
    cdef object _native
    cdef CompiledDecoder _decoder
    cdef object _deflater
    cdef object _messages
    cdef list _receivers
    cdef object _outbox
    cdef Py_ssize_t _outbox_size
    cdef list _writers
    cdef object _write_watcher
    cdef object _read_watcher
    cdef object _pong_owed
    cdef bint _paused
    cdef object _readiness
    cdef object _error
    cdef bint _close_sent
    cdef bint _shut_after_flush
    cdef bint _tcp_done
    cdef bint _finished
    cdef bint _half_closed
    cdef object _keepalive

    @cython.locals(receivers=list)
    cpdef receive(self)
    cpdef receive_nowait(self)
    cpdef send(self, int opcode, bytes payload)
    @cython.locals(payload=bytes)
    cdef _take(self)
    cdef bint _unsettled(self)
    cdef _raise_if_over(self)
    cpdef _pull(self)
    cpdef feed(self, bytes data)
    cdef _answer_control(self)
    cdef _settle(self)
    cdef bint _inbox_full(self) except *
    @cython.locals(receivers=list)
    cdef _wake_receivers(self)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t)
    cpdef send_frame(self, bytes frame)
    cdef _watch_writes(self)
