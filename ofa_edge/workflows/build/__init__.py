"""A build: a target and a supernet go in, one verified artifact with its proof comes out."""
