# C types for `request.py`, which is compiled as it stands under the name `_request`.


cdef class Request:
    cdef object __weakref__
    cdef public object connection
    cdef public object environ
    cdef public long long core
    cdef public long long id
    cdef public double started
    cdef public object websocket
    cdef public str status
    cdef public long long header_count
    cdef public long long header_bytes
    cdef public long long body_bytes
    cdef public object logvars
    cdef public bint log
    cdef public long long switches
    cdef public bint finished
    cdef public object channel_queues
    cdef public bint descriptor_asked
    cdef public object waits
    cdef public double sleep
    cdef public long long ready_fd
    cdef public object at_end

    cpdef bind(self, object greenlet)
    cpdef end(self)


cpdef find_request()
