"""HTTP/2 around hyper-h2, which speaks the protocol itself: limits before it, environs behind it. No I/O."""
