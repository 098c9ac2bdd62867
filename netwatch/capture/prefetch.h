/* Tells the processor that a line of memory will be read soon. The address need not exist. */
#ifndef NETWATCH_PREFETCH_H
#define NETWATCH_PREFETCH_H

#if defined(__GNUC__)
#define netwatch_prefetch(address) __builtin_prefetch((const void *)(address), 0, 2)
#else
#define netwatch_prefetch(address) ((void)(address))
#endif

#endif
