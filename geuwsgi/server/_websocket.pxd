# C types for `websocket.py`, which is compiled as it stands under the name `_websocket`.

cimport cython

from geuwsgi.protocol._messages cimport MessageDecoder as CompiledDecoder
from geuwsgi.server._writer cimport FrameWriter as CompiledWriter


cdef class WebSocketConnection:
    cdef object __weakref__
    cdef readonly CompiledWriter writer
    cdef public bint heard
    cdef object _hub
    cdef int _fd
    cdef object _native
    cdef object _settings
    cdef object _error
    cdef bint _tcp_done
    cdef public int opcode
    cdef public str peer
    cdef public long long messages_sent
    cdef public long long messages_received
    cdef public object channels
    cdef public object on_end
    cdef public double ping_due
    cdef public double ping_sent
    cdef public double close_deadline
    cdef object _stream
    cdef CompiledDecoder _decoder
    cdef list _messages
    cdef object _receiver
    cdef list _receivers
    cdef object _read_watcher
    cdef object _pong_owed
    cdef bint _paused
    cdef long long _ping_end
    cdef long long _taken
    cdef int _read_size
    cdef object _readiness
    cdef bint _close_sent
    cdef bint _shut_after_flush
    cdef bint _finished
    cdef bint _half_closed
    cdef object _keepalive

    cpdef receive(self)
    cpdef receive_nowait(self)
    cpdef send(self, int opcode, bytes payload)
    cpdef send_view(self, int opcode, object view)
    cpdef pause(self)
    @cython.locals(payload=bytes)
    cdef _take(self)
    cdef bint _unsettled(self)
    cdef _raise_if_over(self)
    cpdef _pull(self)
    cpdef feed(self, bytes data)
    @cython.locals(control=list, count=Py_ssize_t, answered=Py_ssize_t, pongs=list, room=Py_ssize_t)
    cdef _answer_control(self)
    cdef _settle(self)
    cdef bint _inbox_full(self) except *
    cdef _next_receiver(self)
    cpdef _wake_receivers(self)
