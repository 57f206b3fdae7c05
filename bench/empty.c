/* A library that does nothing: what preloading itself costs. */
int af_bench_empty;
