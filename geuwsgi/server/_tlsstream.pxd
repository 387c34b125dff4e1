# C types for `tlsstream.py`, which is compiled as it stands under the name `_tlsstream`.

cimport cython


cdef class TLSStream:
    cdef public object native
    cdef public int number
    cdef public str peer
    cdef public bint broken
    cdef public object ssl
    cdef object _sock
    cdef int _fd
    cdef int _family
    cdef int _size
    cdef bint _held
    cdef bint _came
    cdef bint _ended
    cdef bint _ending
    cdef bint _moved
    cdef object _unsent
    cdef object _watcher
    cdef public object _on_readable
    cdef public object _on_writable
    cdef object _incoming
    cdef object _outgoing
    cdef object _read
    cdef object _write

    cpdef receive(self, int size)
    cdef _decrypt(self, int size)
    cdef bytes _decrypt_more(self, bytes data, int size)
    cpdef _hold(self)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t, done=Py_ssize_t, end=Py_ssize_t, ciphertext=bytes)
    cpdef transmit(self, object data)
    cpdef transmit_two(self, bytes head, object body)
    cdef bytes _failed(self, object error)
    cpdef flush(self)
    cdef _sent(self, object data, Py_ssize_t sent)
    cpdef _watch(self)
    cpdef release(self)
    cdef _close_watcher(self)
