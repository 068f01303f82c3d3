"""Everything that numba compiles: kernels over addresses, and the threads that share them."""
