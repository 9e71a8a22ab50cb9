/* A libcuda.so.1 of which the runtime learns its version and nothing else. */
#ifndef VERSION
#define VERSION 11040
#endif
int cuInit(unsigned flags) { return (void)flags, 0; }
int cuDriverGetVersion(int* version) { return *version = VERSION, 0; }
